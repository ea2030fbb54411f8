//! Bodies that are piped into streams, and their stop.

use std::time::Duration;

use http::StatusCode;
use tokio::io::AsyncReadExt as _;

use crate::harness::{send_chunk, start, start_with};
use crate::streams::{end_of, post, state_of};

#[tokio::test]
async fn a_piped_body_begins_a_stream_and_ends_it() {
    let server = start().await;
    for (topic, content_type, body) in
        [("c/1", "text/event-stream", "data: a\n\ndata: b\n\n"), ("c/2", "text/plain", "a\nb\n")]
    {
        let mut reader = server.stream(&format!("/topics/{topic}")).await;
        let piped = server.post(&format!("/events?topic={topic}&begin&end"), body);
        let answer = piped.content_type(content_type).answer().await;
        assert_eq!(answer.status, StatusCode::CREATED);
        assert_eq!(answer.json()["committed"], 2);
        let state = state_of(&server, topic).await;
        assert_eq!(
            (&state["state"], &state["stream_id"]),
            (&"done".into(), &answer.header("stream-id").into())
        );
        assert_eq!((reader.data().await, reader.data().await), ("a".into(), "b".into()));
        assert!(end_of(&mut reader).await.starts_with(r#"{"reason":"done","events":2"#));
    }
    let several = server.post("/events?topic=c/1&topic=c/2&begin", "data: a\n\n");
    several.content_type("text/event-stream").answer().await.problem(400, "invalid-parameter");
    let none = server.post("/events?topic=c/1&end", "data: late\n\n");
    none.content_type("text/event-stream").answer().await.problem(409, "ended");
    assert_eq!(server.held("c/1"), ["a", "b"]);
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_the_stream_open_for_the_grace() {
    let server = start().await;
    let mut reader = server.stream("/topics/c/1").await;
    let path = "/events?topic=c/1&begin&end&grace=200ms";
    let body = server.stalled(path, "text/event-stream", "data: a\n\n").await;
    assert_eq!(reader.data().await, "a");
    drop(body);
    // The server notices that by itself; then the time goes on.
    for seconds in 1.. {
        server.tick(Duration::from_secs(seconds));
        if state_of(&server, "c/1").await["state"] == "aborted" {
            break;
        }
    }
    assert!(end_of(&mut reader).await.starts_with(r#"{"reason":"aborted","events":1"#));
}

/// A model thinks for minutes; after one its server was given up, and the stream aborted.
#[tokio::test]
async fn a_piped_body_may_be_silent_for_longer_than_others() {
    let server = start_with(|config, _| config.body_timeout = Duration::from_millis(500)).await;
    let path = "/events?topic=c/1&begin&end";
    let mut piped = server.stalled(path, "text/event-stream", "data: a\n\n").await;
    let path = "/events?topic=other";
    let mut other = server.stalled(path, "text/event-stream", "data: a\n\n").await;
    let mut answer = String::new();
    other.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    send_chunk(&mut piped, "data: b\n\n").await;
    send_chunk(&mut piped, "").await;
    let mut status = [0; 12];
    piped.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 201");
    assert_eq!(state_of(&server, "c/1").await["state"], "done");
}

#[tokio::test]
async fn a_reader_stops_a_piped_body_whose_409_is_the_answer_of_its_producer() {
    let server = start().await;
    for path in ["/events?topic=c/1&begin&end", "/events?topic=c/1&begin&end&private"] {
        let mut reader = server.stream("/topics/c/1").await;
        let mut body = server.stalled(path, "text/event-stream", "data: a\n\n").await;
        assert_eq!(reader.data().await, "a");
        let stopped = server.post("/streams/stop?topic=c/1", "").answer().await;
        assert_eq!(
            (stopped.status, &stopped.json()["state"]),
            (StatusCode::ACCEPTED, &"streaming".into())
        );
        let mut answer = String::new();
        while !answer.contains("/problems/stopped") {
            // The client is still sending.
            send_chunk(&mut body, "data: b\n\n").await;
            let mut bytes = [0; 4096];
            let read = body.read(&mut bytes).await.unwrap();
            assert_ne!(read, 0, "{answer}");
            answer.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
        assert!(answer.starts_with("HTTP/1.1 409"), "{answer}");
        assert!(end_of(&mut reader).await.starts_with(r#"{"reason":"stopped","events":1"#));
    }
}

#[tokio::test]
async fn a_stopped_producer_learns_it_by_its_next_publish_and_by_waiting() {
    let server = start().await;
    let begun = post(&server, "/topics/c/1?begin", "a").await;
    let id = begun.header("stream-id").to_owned();
    let ask = || server.get("/streams/stop?topic=c/1").answer();
    assert_eq!(ask().await.status, StatusCode::NO_CONTENT);
    let waiting = server.get("/streams/stop?topic=c/1&wait=30s").answer();
    let stop = async {
        for _ in 0..2 {
            let stopped =
                server.post(&format!("/streams/stop?topic=c/1&stream={id}"), "").answer().await;
            assert_eq!(stopped.status, StatusCode::ACCEPTED);
        }
    };
    let (waited, ()) = tokio::join!(waiting, stop);
    assert_eq!((waited.status, &waited.json()["stopping"]), (StatusCode::OK, &true.into()));
    assert_eq!(ask().await.status, StatusCode::OK);
    server.post("/topics/c/1", "b").answer().await.problem(409, "stopped");
    post(&server, "/topics/c/1?end", "").await;
    assert_eq!(state_of(&server, "c/1").await["state"], "stopped");
    assert_eq!(server.held("c/1"), ["a"]);
    // A late stop hits no newer stream.
    post(&server, "/topics/c/1?begin", "c").await;
    let late = server.post(&format!("/streams/stop?topic=c/1&stream={id}"), "").answer().await;
    assert_eq!((late.status, &late.json()["state"]), (StatusCode::ACCEPTED, &"streaming".into()));
    assert_eq!(ask().await.status, StatusCode::NO_CONTENT);
    post(&server, "/topics/c/1", "d").await;
    let missing = server.post("/streams/stop?topic=c/2", "").answer().await;
    assert_eq!(
        (missing.status, &missing.json()["state"]),
        (StatusCode::ACCEPTED, &"missing".into())
    );
    server.post("/streams/stop", "").answer().await.problem(400, "missing-parameter");
    server
        .post("/streams/stop?topic=c/1&stream=x", "")
        .answer()
        .await
        .problem(400, "invalid-parameter");
}

#[tokio::test]
async fn a_stream_that_was_stopped_and_is_not_ended_ends_after_the_grace() {
    let server = start().await;
    post(&server, "/topics/c/1?begin&grace=5s", "a").await;
    server.post("/streams/stop?topic=c/1", "").answer().await;
    server.tick(Duration::from_secs(4));
    assert_eq!(state_of(&server, "c/1").await["state"], "streaming");
    server.tick(Duration::from_secs(6));
    assert_eq!(state_of(&server, "c/1").await["state"], "stopped");
}

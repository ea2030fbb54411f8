//! Streams within a topic: they begin, end, and tell their readers.

use http::StatusCode;

use crate::harness::{Running, Stream, Whole, start};

pub(crate) async fn post(server: &Running, path: &str, body: &str) -> Whole {
    let answer = server.post(path, body.to_owned()).answer().await;
    assert_eq!(answer.status, StatusCode::CREATED, "{path} {}", answer.text());
    answer
}

/// Publishes an answer of two events, which begins with the first and ends with the second.
pub(crate) async fn publish_answer(server: &Running, end: &str) {
    post(server, "/topics/c/1?begin", "a").await;
    post(server, &format!("/topics/c/1?{end}"), "b").await;
}

#[tokio::test]
async fn an_end_is_the_last_event_and_then_the_response_ends() {
    let server = start().await;
    let mut http_1 = server.stream("/topics/c/1").await;
    let mut http_2 = Stream::new(server.get("/topics/c/1").send_http2().await);
    let begun = post(&server, "/topics/c/1?begin", "").await;
    assert_eq!(begun.header("stream-id"), begun.text());
    post(&server, "/topics/c/1", "a").await;
    post(&server, "/topics/c/1?end", "b").await;
    let mut late = server.stream("/topics/c/1?last_event_id=earliest").await;
    for stream in [&mut http_1, &mut http_2, &mut late] {
        assert_eq!(stream.data().await, "a");
        assert_eq!(stream.data().await, "b");
        let end = stream.event().await;
        assert_eq!(end.event_type(), "end");
        assert_eq!(end.data(), r#"{"reason":"done","events":2}"#);
        while stream.read().await {}
        assert!(!stream.has_event());
    }
}

#[tokio::test]
async fn a_silent_end_sends_nothing_but_what_was_published() {
    let server = start().await;
    let mut live = server.stream("/topics/c/1").await;
    let mut live_2 = Stream::new(server.get("/topics/c/1").send_http2().await);
    publish_answer(&server, "end=close").await;
    for stream in [&mut live, &mut live_2] {
        assert_eq!(stream.data().await, "a");
        assert_eq!(stream.data().await, "b");
        while stream.read().await {}
        assert!(!stream.has_event());
    }
}

#[tokio::test]
async fn whoever_has_been_sent_all_of_it_is_told_by_the_status() {
    let server = start().await;
    post(&server, "/topics/c/1?begin", "a").await;
    let last = post(&server, "/topics/c/1", "b").await.text();
    let end = post(&server, "/topics/c/1?end", "").await.text();
    let back = |place: &str| server.get("/topics/c/1").header("last-event-id", place);
    // At the last event, the end is still to be told.
    let mut told = back(&last).stream().await;
    assert_eq!(told.event().await.event_type(), "end");
    let event_source = back(&end).header("accept", "text/event-stream").answer().await;
    assert_eq!(event_source.status, StatusCode::NO_CONTENT);
    let accept = "text/html, text/event-stream";
    back(&end).header("accept", accept).answer().await.problem(410, "stream-ended");
    let of_http_2 = back(&end).header("accept", accept).send_http2().await;
    Whole::read(of_http_2).await.problem(410, "stream-ended");
    // Without a place it waits for the next one, and a place is no end once there is one.
    let mut next = server.stream("/topics/c/1").await;
    post(&server, "/topics/c/1?begin", "c").await;
    assert_eq!(next.data().await, "c");
    assert_eq!(back(&end).stream().await.data().await, "c");
}

#[tokio::test]
async fn at_the_last_event_of_a_silent_end_nothing_is_left() {
    let server = start().await;
    post(&server, "/topics/c/1?begin", "a").await;
    let last = post(&server, "/topics/c/1?end=close", "b").await.text();
    let back = server.get("/topics/c/1").header("last-event-id", last);
    back.header("accept", "*/*").answer().await.problem(410, "stream-ended");
}

#[tokio::test]
async fn readers_of_several_topics_are_told_the_end_and_go_on() {
    let server = start().await;
    let mut several = server.stream("/events?match=c/**&topic=other").await;
    publish_answer(&server, "end").await;
    server.publish("other", "o").await;
    assert_eq!(several.data().await, "a");
    assert_eq!(several.data().await, "b");
    let end = several.event().await;
    assert_eq!(
        (end.event_type(), end.data()),
        ("end", r#"{"reason":"done","events":2,"topic":"c/1"}"#)
    );
    assert_eq!(several.data().await, "o");
}

#[tokio::test]
async fn after_an_end_a_stream_must_begin_anew() {
    let server = start().await;
    server.post("/topics/c/1?end", "").answer().await.problem(409, "ended");
    publish_answer(&server, "end").await;
    for path in ["/topics/c/1", "/topics/c/1?end"] {
        server.post(path, "late").answer().await.problem(409, "ended");
    }
    let json = server.post("/events", r#"{"topic":"c/1","data":"late"}"#);
    json.content_type("application/json").answer().await.problem(409, "ended");
    assert_eq!(server.held("c/1"), ["a", "b"]);
    // Other topics are as they were.
    server.publish("c/2", "x").await;
    post(&server, "/topics/c/1?begin&end", "again").await;
    assert_eq!(server.held("c/1"), ["a", "b", "again"]);
}

#[tokio::test]
async fn a_beginning_aborts_the_stream_before_it() {
    let server = start().await;
    let mut live = server.stream("/topics/c/1").await;
    post(&server, "/topics/c/1?begin", "a").await;
    post(&server, "/topics/c/1?begin", "b").await;
    assert_eq!(live.data().await, "a");
    assert_eq!(live.event().await.data(), r#"{"reason":"aborted","events":1}"#);
    while live.read().await {}
}

#[tokio::test]
async fn a_successor_takes_over_and_the_late_append_is_refused() {
    let server = start().await;
    let send = |path: &str, data: &str, id: &str, epoch: u64, seq: u64| {
        let ask = server.post(path, data.to_owned()).header("producer-id", id);
        let ask = ask.header("producer-epoch", epoch.to_string());
        ask.header("producer-seq", seq.to_string()).answer()
    };
    assert_eq!(send("/topics/c/1?begin", "a", "p", 0, 0).await.status, 201);
    assert_eq!(send("/topics/c/1?begin", "a", "p", 0, 0).await.status, 204);
    server.post("/topics/c/1", "x").answer().await.problem(409, "streaming");
    server.post("/topics/c/1?begin", "x").answer().await.problem(409, "streaming");
    let missing = send("/topics/c/1", "c", "p", 0, 2).await;
    assert_eq!(missing.json()["expected"], 1);
    missing.problem(409, "missing-sequence");
    assert_eq!(send("/topics/c/1", "b", "p", 0, 1).await.status, 201);
    assert_eq!(send("/topics/c/1", "c", "q", 1, 0).await.status, 201);
    send("/topics/c/1", "late", "p", 0, 2).await.problem(403, "stale-epoch");
    assert_eq!(send("/topics/c/1?end", "", "q", 1, 1).await.status, 201);
    assert_eq!(server.held("c/1"), ["a", "b", "c"]);
    let some = server.post("/topics/c/1", "x").header("producer-id", "p").answer().await;
    some.problem(400, "invalid-parameter");
}

#[tokio::test]
async fn the_state_of_streams_is_listed() {
    let server = start().await;
    publish_answer(&server, "end").await;
    post(&server, "/topics/c/2?begin", "").await;
    let answer = server.get("/streams?topic=c/1&topic=c/2&topic=c/3").answer().await;
    let json = answer.json();
    let streams = json["streams"].as_array().unwrap();
    let states: Vec<_> = streams.iter().map(|it| it["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["done", "streaming", "missing"]);
    assert_eq!(streams[0]["events"], 2);
    assert!(streams[0]["began"].is_u64() && streams[0]["ended"].is_u64());
    assert!(streams[1].get("ended").is_none());
    assert!(streams.iter().all(|it| it["readers"] == 0));
    let one = server.get("/streams?match=c/**&limit=1").answer().await.json();
    assert_eq!((one["streams"].as_array().unwrap().len(), &one["next"]), (1, &"c/1".into()));
    let rest = server.get("/streams?match=c/**&after=c/1").answer().await.json();
    assert_eq!(rest["streams"][0]["topic"], "c/2");
    server.get("/streams").answer().await.problem(400, "missing-parameter");
}

#[tokio::test]
async fn the_readers_of_a_stream_are_counted() {
    let server = start().await;
    let _alone = server.stream("/topics/c/1").await;
    let _several = server.get("/events?topic=c/1&topic=c/2").send_http2().await;
    let _pattern = server.stream("/events?match=c/**").await;
    for state in ["missing", "streaming"] {
        let list = server.get("/streams?topic=c/1&topic=c/2").answer().await.json();
        assert_eq!(
            (&list["streams"][0]["state"], &list["streams"][0]["readers"]),
            (&state.into(), &3.into())
        );
        assert_eq!(list["streams"][1]["readers"], 2);
        server.post("/topics/c/1?begin", "a").answer().await;
    }
}

/// The end of a stream as a reader is told it.
pub(crate) async fn end_of(stream: &mut Stream) -> String {
    let end = stream.event().await;
    assert_eq!(end.event_type(), "end");
    while stream.read().await {}
    end.data().to_owned()
}

pub(crate) async fn state_of(server: &Running, topic: &str) -> serde_json::Value {
    let list = server.get(&format!("/streams?topic={topic}")).answer().await.json();
    list["streams"][0].clone()
}

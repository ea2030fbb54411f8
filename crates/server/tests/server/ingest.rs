//! Many events in one request, as it comes.

use std::fmt::Write as _;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{Ask, Running, send_chunk, start, start_with};

/// More than any buffer on the way holds.
const EVENTS: usize = 100_000;

fn ndjson(server: &Running, body: impl Into<bytes::Bytes>) -> Ask {
    server.post("/events", body).content_type("application/x-ndjson")
}

fn event_stream(server: &Running, body: impl Into<bytes::Bytes>) -> Ask {
    server.post("/events?topic=a", body).content_type("text/event-stream")
}

/// Publishes a body of numbered events twice with one key, while a second client reads along.
async fn check_every_number_once(ask: impl Fn(&Running) -> Ask) {
    let server = start().await;
    let mut stream = server.stream("/topics/a").await;
    let read = async {
        for expected in 0..EVENTS {
            assert_eq!(stream.data().await, expected.to_string());
        }
    };
    let publish = ask(&server).header("idempotency-key", "once").answer();
    let ((), answer) = tokio::join!(read, publish);
    assert_eq!(answer.status, 201);
    let first = answer.json();
    assert_eq!(first["committed"], EVENTS);
    assert_eq!(first["ids"].as_array().unwrap().len(), 1000);

    let again = ask(&server).header("idempotency-key", "once").answer().await;
    assert_eq!(again.json(), first);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(server.hub.stats().published, EVENTS as u64);
    // The next event is the next number: nothing came in between.
    server.publish("a", "after").await;
    assert_eq!(stream.data().await, "after");
}

#[tokio::test]
async fn a_hundred_thousand_lines_arrive_in_order_and_once() {
    let mut body = String::new();
    for number in 0..EVENTS {
        writeln!(body, r#"{{"topic":"a","data":"{number}"}}"#).unwrap();
    }
    let body = bytes::Bytes::from(body);
    check_every_number_once(|server| ndjson(server, body.clone())).await;
}

#[tokio::test]
async fn an_event_stream_of_a_hundred_thousand_events_arrives_in_order_and_once() {
    let mut body = String::from(": from somewhere else\nretry: 5\n");
    for number in 0..EVENTS {
        write!(body, "data: {number}\n\n:\n").unwrap();
    }
    let body = bytes::Bytes::from(body);
    check_every_number_once(|server| event_stream(server, body.clone())).await;
}

#[tokio::test]
async fn an_event_stream_keeps_types_ids_and_lines() {
    let server = start().await;
    let mut stream = server.stream("/topics/a").await;
    let body =
        "event: delta\nid: 7\ndata: one\r\ndata: two\n\ndata: three\n\nid: 8\n\ndata: cut off";
    let answer = event_stream(&server, body).answer().await.json();
    assert_eq!(answer["committed"], 2);
    assert_eq!(answer["ids"][0], "7");
    let event = stream.event().await;
    assert_eq!((event.event_type(), event.data()), ("delta", "one\ntwo"));
    assert_eq!(event.id(), Some("7"));
    let event = stream.event().await;
    assert_eq!((event.event_type(), event.data()), ("message", "three"));
    assert_eq!(event.id(), answer["ids"][1].as_str());
}

#[tokio::test]
async fn events_are_published_while_the_body_is_still_coming() {
    let server = start().await;
    let mut stream = server.stream("/topics/a").await;
    let mut publisher =
        server.stalled("/events?topic=a", "text/event-stream", "data: 1\n\nda").await;
    assert_eq!(stream.data().await, "1");
    send_chunk(&mut publisher, "ta: 2\n\n").await;
    assert_eq!(stream.data().await, "2");
    publisher.write_all(b"0\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    publisher.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 201");
}

#[tokio::test]
async fn what_precedes_a_refused_event_stays_published_and_the_rest_is_not() {
    let server = start().await;
    let line = |data: u8| format!("{{\"topic\":\"a\",\"data\":\"{data}\"}}\n");
    for wrong in ["{\"topic\":\"a\"}\n", "{\"topic\":\"a\",\"data\":1,\"id\":\"earliest\"}\n"] {
        let before = server.held("a").len();
        let body = format!("{}\n{}{wrong}{}", line(1), line(2), line(3));
        let answer = ndjson(&server, body).answer().await;
        assert_eq!(answer.status, 400);
        let body = answer.json();
        assert_eq!(body["committed"], 2);
        assert_eq!(body["ids"].as_array().unwrap().len(), 2);
        assert_eq!(body["refused"]["index"], 2);
        assert!(!body["refused"]["detail"].as_str().unwrap().is_empty());
        assert!(!body["detail"].as_str().unwrap().is_empty());
        assert_eq!(server.held("a").len(), before + 2);
    }
    let answer = ndjson(&server, format!("{}\n\nno JSON\n", line(1))).answer().await.json();
    assert_eq!((&answer["refused"]["line"], &answer["refused"]["index"]), (&json!(4), &json!(1)));
}

#[tokio::test]
async fn a_corrected_request_with_the_same_key_publishes_only_what_was_missing() {
    let server = start().await;
    let line = |data: u8| format!("{{\"topic\":\"a\",\"data\":\"{data}\"}}\n");
    let post = |body: String| ndjson(&server, body).header("idempotency-key", "k");
    assert_eq!(post(format!("{}oops\n", line(1))).answer().await.status, 400);
    let answer = post(format!("{}{}", line(1), line(2))).answer().await;
    assert_eq!(answer.json()["committed"], 2);
    assert_eq!(answer.header("idempotency-replayed"), "");
    assert_eq!(server.held("a"), ["1", "2"]);
}

#[tokio::test]
async fn a_body_of_nothing_publishes_nothing() {
    let server = start().await;
    for ask in [
        ndjson(&server, "\n\n"),
        event_stream(&server, ":\n\n"),
        server.post("/events", "[]").content_type("application/json"),
    ] {
        let answer = ask.answer().await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json(), json!({ "committed": 0, "ids": [] }));
    }
}

#[tokio::test]
async fn a_silent_publisher_is_given_up() {
    let server = start_with(|config, _| {
        config.body_timeout = std::time::Duration::from_millis(50);
    })
    .await;
    let line = "{\"topic\":\"a\",\"data\":\"1\"}\n";
    let mut publisher = server.stalled("/events", "application/x-ndjson", line).await;
    let mut answer = String::new();
    publisher.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\"committed\":1"), "{answer}");
    let mut publisher = server.stalled("/topics/a", "text/plain", "never").await;
    answer.clear();
    publisher.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(server.held("a"), ["1"]);
}

/// A byte now and then held a connection for ever.
#[tokio::test]
async fn a_body_that_drips_is_given_up() {
    let server = start_with(|config, _| {
        config.body_timeout = std::time::Duration::from_millis(50);
    })
    .await;
    for (path, content_type) in
        [("/events", "application/x-ndjson"), ("/events?topic=a", "text/event-stream")]
    {
        let publisher = server.stalled(path, content_type, " ").await;
        let (mut answers, mut body) = publisher.into_split();
        let drip = async {
            let mut pace = tokio::time::interval(std::time::Duration::from_millis(2));
            loop {
                // The server may have closed the connection.
                let _ = body.write_all(b"1\r\n \r\n").await;
                pace.tick().await;
            }
        };
        let mut answer = [0; 12];
        tokio::select! {
            read = answers.read_exact(&mut answer) => drop(read.unwrap()),
            () = drip => {}
        }
        assert_eq!(&answer, b"HTTP/1.1 408");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_publishes_what_was_whole() {
    let server = start().await;
    let mut stream = server.stream("/topics/a").await;
    let lines = "{\"topic\":\"a\",\"data\":\"1\"}\n{\"topic\":\"a\",\"da";
    let publisher = server.stalled("/events", "application/x-ndjson", lines).await;
    assert_eq!(stream.data().await, "1");
    let half = server.stalled("/topics/a", "text/plain", "half").await;
    drop((publisher, half));
    server.publish("a", "2").await;
    assert_eq!(stream.data().await, "2");
    assert_eq!(server.held("a"), ["1", "2"]);
}

/// An upstream's reset of its readers' place used to be refused, and the import stopped there.
#[tokio::test]
async fn an_empty_id_in_an_event_stream_is_no_id() {
    let server = start().await;
    let answer =
        event_stream(&server, "id: 1\ndata: a\n\nid:\ndata: b\n\ndata: c\n\n").answer().await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(server.held("a"), ["a", "b", "c"]);
}

#[tokio::test]
async fn each_line_of_a_text_is_an_event_as_soon_as_it_has_come() {
    let server = start().await;
    let mut stream = server.stream("/topics/a").await;
    let target = "/events?topic=a&topic=b&type=progress";
    let publisher = server.stalled(target, "text/plain", "one\r\n\ntwo\nthr").await;
    let first = stream.event().await;
    assert_eq!((first.event_type(), first.data()), ("progress", "one"));
    assert_eq!(stream.data().await, "two");
    drop(publisher);
    // Without a content type that says so, as ffmpeg and shell loops send it.
    for kind in ["", "application/x-www-form-urlencoded", "application/json"] {
        let post = server.post("/events?topic=a&lines", "{\nlast").content_type(kind);
        let answer = post.answer().await;
        assert_eq!((answer.status.as_u16(), &answer.json()["committed"]), (201, &json!(2)));
    }
    assert_eq!(server.held("b"), ["one", "two"]);
    assert_eq!(server.held("a")[2..], ["{", "last", "{", "last", "{", "last"]);
}

#[tokio::test]
async fn a_line_that_is_too_long_ends_the_request_with_its_number() {
    let server = start_with(|_, hub| hub.event_bytes_max = 10).await;
    let text = "one\n0123456789x\nthree\n";
    let answer = server.post("/events?topic=a", text).content_type("text/plain").answer().await;
    answer.problem(413, "event-too-large");
    assert_eq!((&answer.json()["line"], &answer.json()["committed"]), (&json!(2), &json!(1)));
    assert_eq!(server.held("a"), ["one"]);
    let nowhere = server.post("/events?lines", "one\n").answer().await;
    nowhere.problem(400, "missing-parameter");
}

//! Beginnings, ends and bodies of streams that are sent again with their key.

use http::StatusCode;

use crate::harness::start;
use crate::streams::{post, state_of};

#[tokio::test]
async fn a_beginning_and_an_end_that_are_sent_again_with_their_key_are_answered_as_before() {
    let server = start().await;
    let send = |path: &'static str, data: &'static str, key: &'static str| {
        server.post(path, data).header("idempotency-key", key).answer()
    };
    for (path, data, key) in [
        ("/topics/c/1?begin", "a", "first"),
        ("/topics/c/1?end", "", "last"),
        ("/topics/c/2?begin&end", "x", "whole"),
    ] {
        let once = send(path, data, key).await;
        let again = send(path, data, key).await;
        assert_eq!((once.status, again.status), (StatusCode::CREATED, StatusCode::CREATED));
        assert_eq!(again.text(), once.text());
        assert_eq!(again.header("idempotency-replayed"), "true");
    }
    assert_eq!(server.held("c/1"), ["a"]);
    assert_eq!(server.held("c/2"), ["x"]);
    send("/topics/c/1?end", "", "another").await.problem(409, "ended");
}

/// The answer of a body that ended its stream was lost: sent again, it was refused.
#[tokio::test]
async fn a_body_that_is_sent_again_after_the_end_is_answered_as_before() {
    let server = start().await;
    let lines = "{\"topic\":\"c/2\",\"begin\":true}\n{\"topic\":\"c/2\",\"data\":1}\n\
                 {\"topic\":\"other\",\"data\":2}\n{\"topic\":\"c/2\",\"data\":3,\"end\":true}\n";
    let piped = "data: a\n\ndata: b\n\n";
    for (path, content_type, body) in [
        ("/events?topic=c/1&begin&end", "text/event-stream", piped),
        ("/events", "application/x-ndjson", lines),
    ] {
        let send = |body: String, key: &str| {
            let ask = server.post(path, body).content_type(content_type);
            ask.header("idempotency-key", key).answer()
        };
        let once = send(body.to_owned(), content_type).await;
        let again = send(body.to_owned(), content_type).await;
        assert_eq!((once.status, again.status), (StatusCode::CREATED, StatusCode::CREATED));
        assert_eq!(
            (again.text(), again.header("stream-id")),
            (once.text(), once.header("stream-id"))
        );
        assert_eq!(again.header("idempotency-replayed"), "true");
    }
    assert_eq!(server.held("c/1"), ["a", "b"]);
    assert_eq!(
        (server.held("c/2"), server.held("other")),
        (vec!["1".into(), "3".into()], vec!["2".into()])
    );
    // What was not in the first body does not belong to the ended stream.
    let path = "/events?topic=c/1&begin&end";
    let more = server.post(path, format!("{piped}data: c\n\n")).content_type("text/event-stream");
    more.header("idempotency-key", "text/event-stream").answer().await.problem(409, "ended");
    let other = format!("{lines}{{\"topic\":\"c/2\",\"data\":4}}\n");
    let more = server.post("/events", other).content_type("application/x-ndjson");
    let more = more.header("idempotency-key", "application/x-ndjson").answer().await;
    assert_eq!(more.json()["committed"], 3);
    more.problem(409, "ended");
    assert_eq!(server.held("c/1"), ["a", "b"]);
}

#[tokio::test]
async fn events_of_a_body_that_is_sent_again_count_once() {
    let server = start().await;
    let send = |body: &'static str| {
        let path = "/events?topic=c/1&begin";
        let ask = server.post(path, body).content_type("text/event-stream");
        ask.header("idempotency-key", "k").answer()
    };
    send("data: a\n\ndata: b\n\n").await;
    assert_eq!(send("data: a\n\ndata: b\n\ndata: c\n\n").await.json()["committed"], 3);
    post(&server, "/topics/c/1?end", "").await;
    assert_eq!(state_of(&server, "c/1").await["events"], 3);
}

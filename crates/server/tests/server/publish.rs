//! Events are read as they were published.

use serde_json::json;

use crate::harness::start;

#[tokio::test]
async fn an_event_is_answered_with_its_id_and_reaches_its_readers() {
    let server = start().await;
    let mut stream = server.stream("/topics/hello").await;
    let answer = server.post("/topics/hello?type=greeting&retry=700", "hi\nyou").answer().await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    let event = stream.event().await;
    assert_eq!((event.event_type(), event.data()), ("greeting", "hi\nyou"));
    assert_eq!(event.id(), Some(&*answer.text()));
    assert!(stream.text().contains("retry: 700\n"));
}

#[tokio::test]
async fn type_and_id_can_come_as_headers() {
    let server = start().await;
    let mut stream = server.stream("/topics/a").await;
    let post = server.post("/topics/a", "x").header("event-type", "täg").header("event-id", "…");
    assert_eq!(post.answer().await.text(), "…");
    let event = stream.event().await;
    assert_eq!((event.event_type(), event.id()), ("täg", Some("…")));
}

#[tokio::test]
async fn whatever_the_content_type_says_the_body_is_the_data() {
    let server = start().await;
    let mut stream = server.stream("/topics/a").await;
    for (content_type, data) in [
        ("application/x-www-form-urlencoded", "a=b&c"),
        ("application/json", "{\"b\": [1]}"),
        ("image/png", ""),
        ("text/plain", " leading, and an end\n"),
    ] {
        let answer = server.post("/topics/a", data).content_type(content_type).answer().await;
        assert_eq!(answer.status, 201, "{content_type}");
        assert_eq!(stream.data().await, data, "{content_type}");
    }
}

#[tokio::test]
async fn a_topic_of_any_spelling_is_published_to_by_json() {
    let server = start().await;
    let names = ["a//b", "/", "*", "..", "https://example.com/?x=1&y=ü#z", "100%"];
    let query: Vec<_> = names.iter().map(|name| format!("topic={}", encoded(name))).collect();
    let mut stream = server.stream(&format!("/events?{}", query.join("&"))).await;
    for name in names {
        let body = json!({ "topic": name, "data": name }).to_string();
        let answer = server.post("/events", body).content_type("application/json").answer().await;
        assert_eq!(answer.status, 201);
        assert_eq!(answer.json()["committed"], 1);
        let event = stream.event().await;
        assert_eq!(event.data(), name);
        assert_eq!(event.id(), answer.json()["ids"][0].as_str());
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn an_event_of_several_topics_reaches_the_readers_of_each_once() {
    let server = start().await;
    let mut a = server.stream("/topics/a").await;
    let mut both = server.stream("/events?topic=a&match=*").await;
    let body = r#"[{"topics":["a","b"],"data":{"n": 1}},{"topic":"b","data":"2"}]"#;
    let answer = server.post("/events", body).content_type("application/json").answer().await;
    assert_eq!(answer.json()["committed"], 2);
    assert_eq!(a.data().await, r#"{"n": 1}"#);
    assert_eq!(both.data().await, r#"{"n": 1}"#);
    assert_eq!(both.data().await, "2");
}

#[tokio::test]
async fn a_repeated_key_is_answered_alike_and_publishes_nothing() {
    let server = start().await;
    let post = |data: &'static str| server.post("/topics/a", data).header("idempotency-key", "k");
    let first = post("1").answer().await;
    let again = post("1").answer().await;
    assert_eq!((again.status, again.text()), (first.status, first.text()));
    assert_eq!(first.header("idempotency-replayed"), "");
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(server.held("a"), ["1"]);

    let body = r#"[{"topic":"b","data":1},{"topic":"b","data":2}]"#;
    let many = || {
        let post = server.post("/events", body).content_type("application/json");
        post.header("idempotency-key", "many")
    };
    let first = many().answer().await;
    let again = many().answer().await;
    assert_eq!(again.json(), first.json());
    assert_eq!(server.held("b"), ["1", "2"]);
}

#[tokio::test]
async fn a_topic_whose_streams_were_ended_answers_204_to_those_who_come_back() {
    let server = start().await;
    let id = server.publish("a", "1").await;
    let stream = server.stream("/topics/a").await;
    let other = server.stream("/topics/b").await;
    let delete = server.request(http::Method::DELETE, "/subscribers?topic=a");
    assert_eq!(delete.answer().await.status, 204);
    stream.rest().await;
    let back = || server.get("/topics/a").header("last-event-id", &id);
    let event_source = back().header("accept", "text/event-stream").answer().await;
    assert_eq!(event_source.status, 204);
    for accept in ["*/*", "text/html, text/event-stream"] {
        back().header("accept", accept).answer().await.problem(410, "stream-ended");
    }
    let mut anew = server.stream("/topics/a").await;
    server.publish("a", "2").await;
    assert_eq!(anew.data().await, "2");
    drop(other);
}

//! The events that a reader is sent: live, replayed, as JSON, by a gap, and by a place.

use serde_json::{Value, json};
use tidings_server::{ServerConfig, TopicAccess};

use super::{API_KEY, guard, rules, start};
use crate::harness::Stream;

/// The events of a hub on which readers have different rights, and those that one reader may read.
const EVENTS: [(&[&str], &str); 7] = [
    (&["users/7/mail"], "mine"),
    (&["users/7/mail"], "private of mine"),
    (&["users/8/mail"], "of another"),
    (&["open/1"], "open"),
    (&["open/1"], "private of open"),
    (&["users/8/mail", "open/1"], "of another and open"),
    (&["users/8/mail", "users/7/mail"], "private of both"),
];

async fn read(mut stream: Stream, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    while found.len() < count {
        found.push(stream.data().await);
    }
    assert!(!stream.has_event());
    found
}

fn data(page: &Value) -> Vec<&str> {
    page["events"].as_array().unwrap().iter().map(|event| event["data"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_pattern_wider_than_the_grant_is_sent_what_the_grant_covers_everywhere() {
    let of_alice =
        ["mine", "private of mine", "open", "of another and open", "private of both", "open: end"];
    let of_all = ["open", "of another and open", "open: end"];
    for (subscribe, expected) in [(json!(["users/7/*"]), &of_alice[..]), (Value::Null, &of_all)] {
        let guarded = start().await;
        let token = match &subscribe {
            Value::Null => String::new(),
            filters => guarded.token("alice", json!({"subscribe": filters})),
        };
        let get = |path: &str| guarded.get(path, &token);
        let live = get("/events?match=**").stream().await;
        let live_http2 = Stream::new(get("/events?match=**").send_http2().await);
        for (topics, data) in EVENTS {
            guarded.publish(topics, data).await;
        }
        guarded.publish(&["open/1"], "open: end").await;
        assert_eq!(read(live, expected.len()).await, expected);
        assert_eq!(read(live_http2, expected.len()).await, expected);
        let replay = "/events?match=**&last_event_id=earliest";
        let page = get(replay).header("accept", "application/json").answer().await;
        assert_eq!(data(&page.json()), expected);
        assert_eq!(read(get(replay).stream().await, expected.len()).await, expected);
        let http2 = Stream::new(get(replay).send_http2().await);
        assert_eq!(read(http2, expected.len()).await, expected);
    }
}

#[tokio::test]
async fn nobody_is_told_of_a_place_or_a_gap_made_of_what_they_may_not_read() {
    let guarded = start().await;
    guarded.publish(&["open/1"], "open").await;
    guarded.publish(&["users/8/mail"], "hidden").await;
    guarded.publish(&["open/1"], "private of open").await;
    for path in ["/events?match=**", "/topics/open/1"] {
        // The last event before the start is the last that this reader may read.
        let stream = guarded.server.stream(path).await;
        assert_eq!(stream.header("last-event-id"), "open", "{path}");
        // The ID of a hidden event is no place, and the oldest of a gap is none either.
        for hidden in ["hidden", "private of open"] {
            let ask = guarded.server.get(path).header("last-event-id", hidden);
            let gap = ask.stream().await.event().await;
            assert_eq!(gap.event_type(), "gap", "{path}");
            assert!(gap.data().contains(r#""oldest":"open""#), "{path}: {}", gap.data());
        }
    }
    let ask = guarded.server.get("/events?match=users/**&after=nowhere");
    let page = ask.header("accept", "application/json").answer().await.json();
    assert_eq!((data(&page), &page["gap"]["oldest"]), (vec![], &Value::Null));
}

#[tokio::test]
async fn a_private_event_reaches_only_grants_that_name_its_topic_also_in_a_sweep() {
    let guarded = start().await;
    let token = guarded.token("alice", json!({"subscribe": ["open/1"]}));
    let mut named = guarded.get("/topics/open/1", &token).stream().await;
    let mut public = guarded.server.stream("/topics/open/1").await;
    named.text_with("retry: ").await;
    public.text_with("retry: ").await;
    for (topics, data) in [(&["open/1"], "one"), (&["open/1"], "private"), (&["open/1"], "two")] {
        guarded.publish(topics, data).await;
    }
    for expected in ["one", "private", "two"] {
        assert_eq!(named.data().await, expected);
    }
    for expected in ["one", "two"] {
        assert_eq!(public.data().await, expected);
    }
}

#[tokio::test]
async fn an_event_is_private_by_its_address_alone_or_within_a_stream() {
    let guarded = start().await;
    let token = guarded.token("alice", json!({"subscribe": ["open/1"]}));
    let post = async |path: &str, content_type: &str, body: &str| {
        let ask = guarded.post(path, body, API_KEY).content_type(content_type);
        ask.answer().await.status.as_u16()
    };
    let (text, stream) = ("text/plain", "text/event-stream");
    assert_eq!(post("/topics/open/1?private", text, "one").await, 201);
    assert_eq!(post("/topics/open/1?private=false", text, "two").await, 201);
    assert_eq!(post("/events?topic=open/1&private", stream, "data: three\n\n").await, 201);
    assert_eq!(post("/events?topic=open/1&lines&private=true", text, "four").await, 201);
    assert_eq!(post("/topics/open/1?private=yes", text, "none").await, 400);
    assert_eq!(post("/topics/open/1?privat", text, "none").await, 400);
    let page = async |token: &str| {
        let ask = guarded.get("/topics/open/1?last_event_id=earliest", token);
        ask.header("accept", "application/json").answer().await.json()
    };
    assert_eq!(data(&page(&token).await), ["one", "two", "three", "four"]);
    assert_eq!(data(&page("").await), ["two"]);
}

#[tokio::test]
async fn a_stream_ends_within_a_second_after_its_tokens_expiry() {
    let guarded = start().await;
    let token = guarded.token("alice", json!({"subscribe": ["users/7/*"]}));
    let mut stream = guarded.get("/topics/users/7/a", &token).stream().await;
    let mut http2 = Stream::new(guarded.get("/events?match=users/**", &token).send_http2().await);
    stream.text_with("retry: ").await;
    http2.text_with("retry: ").await;
    guarded.tick(59.9);
    guarded.publish(&["users/7/a"], "before the end").await;
    assert_eq!(stream.data().await, "before the end");
    assert_eq!(http2.data().await, "before the end");
    guarded.tick(60.4);
    assert!(!stream.rest().await.contains("after the end"));
    assert!(!http2.rest().await.contains("after the end"));
    // Its EventSource comes back by itself and is judged anew.
    let answer = guarded.get("/topics/users/7/a", &token).answer().await;
    assert!(answer.problem(401, "token-refused").contains("expired"));
}

#[tokio::test]
async fn a_reload_that_closes_a_topic_ends_its_streams_and_filters_those_of_patterns() {
    let guarded = start().await;
    let exact = guarded.server.stream("/topics/open/1").await;
    let exact_http2 = Stream::new(guarded.server.get("/topics/open/1").send_http2().await);
    let mut other = guarded.server.stream("/topics/open/2").await;
    let mut pattern = guarded.server.stream("/events?match=open/*").await;
    let mut config = ServerConfig::default();
    guard(&mut config);
    config.topics = rules(&[("open/2", TopicAccess::Public)]);
    guarded.control.reload(&config);
    guarded.tick(1.0);
    assert!(exact.rest().await.starts_with(
        ":
"
    ));
    assert!(exact_http2.rest().await.starts_with(
        ":
"
    ));
    guarded.publish(&["open/1"], "closed").await;
    guarded.publish(&["open/2"], "open").await;
    assert_eq!(pattern.data().await, "open");
    assert_eq!(other.data().await, "open");
    guarded.server.get("/topics/open/1").answer().await.problem(401, "token-missing");
}

#[tokio::test]
async fn a_reload_of_the_keys_ends_no_stream_and_refuses_tokens_of_the_old_ones() {
    let guarded = start().await;
    let token = guarded.token("alice", json!({"subscribe": ["a"]}));
    let mut stream = guarded.get("/topics/a", &token).stream().await;
    let mut config = ServerConfig::default();
    guard(&mut config);
    config.auth.as_mut().unwrap().keys.clear();
    guarded.control.reload(&config);
    guarded.get("/topics/a", &token).answer().await.problem(401, "token-refused");
    guarded.publish(&["a"], "still here").await;
    assert_eq!(stream.data().await, "still here");
}

/// All tokens were refused until the program was started again.
#[tokio::test]
async fn a_reload_without_authentication_keeps_the_keys() {
    let guarded = start().await;
    let token = guarded.token("alice", json!({"subscribe": ["a"]}));
    guarded.control.reload(&ServerConfig::default());
    let get = async |token: &str| {
        let ask = guarded.get("/topics/a", token).header("accept", "application/json");
        ask.answer().await.status.as_u16()
    };
    assert_eq!((get(&token).await, get("").await), (200, 401));
    assert_eq!(guarded.post("/topics/a", "x", API_KEY).answer().await.status, 201);
}

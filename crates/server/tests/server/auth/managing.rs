//! Managing: lists, ends of streams, and revocations.

use serde_json::{Value, json};

use super::{API_KEY, Guarded, start};
use crate::harness::Stream;

/// The topics and patterns of the streams that a manager is shown.
async fn listed(guarded: &Guarded, token: &str) -> Vec<String> {
    let answer = guarded.get("/subscribers", token).answer().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let list = answer.json();
    let names = |stream: &Value| format!("{} {}", stream["topics"], stream["match"]);
    let mut found: Vec<_> = list["subscribers"].as_array().unwrap().iter().map(names).collect();
    assert_eq!(list["total"], found.len());
    found.sort();
    found
}

#[tokio::test]
async fn managing_needs_its_right_and_keeps_to_its_patterns() {
    let guarded = start().await;
    let reader = guarded.token("reader", json!({"subscribe": ["**"], "publish": ["**"]}));
    for path in ["/topics", "/subscribers", "/metrics"] {
        guarded.server.get(path).answer().await.problem(401, "token-missing");
        guarded.get(path, &reader).answer().await.problem(403, "not-granted");
        guarded.get(path, API_KEY).answer().await.problem(403, "not-granted");
    }
    let some = guarded.token("some", json!({"manage": ["users/*"]}));
    let all = guarded.token("all", json!({"manage": ["**"]}));
    for topic in ["orders/1", "users/7", "users/8"] {
        guarded.publish(&[topic], "x").await;
    }
    let mut open = Vec::new();
    for path in [
        "/topics/users/7",
        "/events?topic=users/7&topic=orders/1",
        "/events?match=users/*",
        "/events?match=**",
    ] {
        open.push(guarded.get(path, &reader).stream().await);
        open.push(Stream::new(guarded.get(path, &reader).send_http2().await));
    }
    let of_some = ["[\"users/7\"] []", "[\"users/7\"] []", "[] [\"users/*\"]", "[] [\"users/*\"]"];
    assert_eq!(listed(&guarded, &some).await, of_some);
    assert_eq!(listed(&guarded, &all).await.len(), open.len());
    let names = async |token: &str, query: &str| {
        let topics = guarded.get(&format!("/topics{query}"), token).answer().await.json();
        let topics = topics["topics"].as_array().unwrap().clone();
        topics.iter().map(|it| it["topic"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&some, "").await, ["users/7", "users/8"]);
    assert_eq!(names(&some, "?limit=1&after=orders/1").await, ["users/7"]);
    assert_eq!(names(&all, "").await, ["orders/1", "users/7", "users/8"]);
    guarded.get("/metrics", &some).answer().await.problem(403, "not-granted");
    assert_eq!(guarded.get("/metrics", &all).answer().await.status, 200);

    let delete = |query: &str, token: &str| guarded.delete(&format!("/subscribers?{query}"), token);
    delete("topic=users/7", "").answer().await.problem(401, "token-missing");
    delete("topic=users/7", &reader).answer().await.problem(403, "not-granted");
    let answer = delete("topic=users/7&topic=orders/1", &some).answer().await;
    assert!(answer.problem(403, "not-granted").contains("'orders/1'"));
    assert_eq!(listed(&guarded, &all).await.len(), open.len());
    assert_eq!(delete("topic=users/7", &some).answer().await.status, 204);
    for ended in open.drain(..2) {
        ended.rest().await;
    }
    assert_eq!(listed(&guarded, &all).await.len(), open.len());
}

#[tokio::test]
async fn a_revocation_ends_the_subjects_streams_and_refuses_its_tokens_from_then_on() {
    let guarded = start().await;
    let rights = json!({"subscribe": ["**"]});
    let token = guarded.token("alice", rights.clone());
    let undated = guarded.token_with(json!({"sub": "alice", "tidings": rights, "iat": null}));
    let of_bob = guarded.token("bob", rights.clone());
    guarded.publish(&["a"], "one").await;
    let stream = guarded.get("/topics/a", &token).stream().await;
    let http2 = Stream::new(guarded.get("/topics/a", &undated).send_http2().await);
    let mut other = guarded.get("/topics/a", &of_bob).stream().await;
    let all = guarded.token("all", json!({"manage": ["**"]}));
    guarded.tick(1.0);
    let answer = guarded.delete("/subscribers?subject=alice", &all).answer().await;
    assert_eq!(answer.status, 204);
    stream.rest().await;
    http2.rest().await;
    for token in [&token, &undated] {
        // Not 204, as the end of a topic's streams is told.
        let ask = guarded.get("/topics/a", token).header("last-event-id", "one");
        assert!(ask.answer().await.problem(401, "token-refused").contains("revoked"));
    }
    guarded.publish(&["a"], "two").await;
    assert_eq!(other.data().await, "two");
    // A new token resumes with an old place.
    let new = guarded.token("alice", rights);
    let ask = guarded.get("/topics/a", &new).header("last-event-id", "one");
    let mut resumed = ask.stream().await;
    assert_eq!(resumed.data().await, "two");
}

#[tokio::test]
async fn a_narrower_right_ends_the_subjects_streams_within_it_and_revokes_nothing() {
    let guarded = start().await;
    let token = guarded.token("alice", json!({"subscribe": ["**"]}));
    let within = guarded.get("/topics/users/7", &token).stream().await;
    let within_http2 = Stream::new(guarded.get("/topics/users/7", &token).send_http2().await);
    let mut wider = guarded.get("/events?match=**", &token).stream().await;
    let some = guarded.token("some", json!({"manage": ["users/*"]}));
    guarded.tick(1.0);
    let answer = guarded.delete("/subscribers?subject=alice", &some).answer().await;
    assert_eq!(answer.status, 204);
    within.rest().await;
    within_http2.rest().await;
    guarded.publish(&["users/7"], "x").await;
    assert_eq!(wider.data().await, "x");
    let mut again = guarded.get("/topics/users/7?last_event_id=earliest", &token).stream().await;
    assert_eq!(again.data().await, "x");
}

#[tokio::test]
async fn stopping_a_stream_needs_a_right_of_its_own() {
    let guarded = start().await;
    let producer = guarded.token("producer", json!({"publish": ["c/**"]}));
    let reader = guarded.token("reader", json!({"subscribe": ["c/**"], "stop": ["c/1"]}));
    let others = guarded.token("other", json!({"subscribe": ["**"], "manage": ["**"]}));
    for path in ["/topics/c/1?begin", "/topics/c/2?begin"] {
        assert_eq!(guarded.post(path, "a", &producer).answer().await.status, 201);
    }
    let stop = |topic: &str, token: &str| {
        guarded.post(&format!("/streams/stop?topic={topic}"), "", token).answer()
    };
    for (topic, token) in [("c/1", &producer), ("c/1", &others), ("c/2", &reader)] {
        stop(topic, token).await.problem(403, "not-granted");
    }
    guarded.server.post("/streams/stop?topic=c/1", "").answer().await.problem(401, "token-missing");
    let ask = |token: &str| guarded.get("/streams/stop?topic=c/1", token).answer();
    ask(&others).await.problem(403, "not-granted");
    assert_eq!(ask(&producer).await.status, 204);
    assert_eq!(stop("c/1", &reader).await.status, 202);
    assert_eq!(ask(&producer).await.status, 200);
    assert_eq!(ask(&reader).await.status, 200);
    // Its state is for those who may read it.
    guarded.get("/streams?topic=c/1", &producer).answer().await.problem(403, "not-granted");
    assert_eq!(guarded.get("/streams?topic=c/1", &reader).answer().await.status, 200);
}

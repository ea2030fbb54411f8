//! The hops of relayed events: shown to readers, and refused where the event was before.

use serde_json::json;
use tidings_hub::Via;

use crate::harness::{Ask, Running, start};

fn relayed(server: &Running, topic: &str, via: &str) -> Ask {
    server.post(&format!("/topics/{topic}"), "x").header("relay-via", via)
}

#[tokio::test]
async fn hops_are_shown_to_readers_before_the_fields_of_their_event() {
    let server = start().await;
    server.publish("a", "own").await;
    let answer = relayed(&server, "a", "1/x,2/y%2Fz").header("event-id", "7").answer().await;
    assert_eq!(answer.status, 201);
    let ndjson = "{\"topic\":\"a\",\"data\":\"last\"}\n";
    let post = server.post("/events", ndjson).content_type("application/x-ndjson");
    assert_eq!(post.header("relay-via", "3/w").answer().await.status, 201);

    let mut stream = server.stream("/topics/a?last_event_id=earliest").await;
    assert_eq!(stream.header("tidings-epoch"), server.hub.epoch().to_string());
    let text = stream.text_with("data: last").await;
    assert!(text.contains("\n\n:via 1/x, 2/y%2Fz\nid: 7\ndata: x\n\n:via 3/w\nid: "), "{text}");
    assert_eq!(text.matches("via").count(), 2, "{text}");
    // The ID is found behind the hops.
    let mut resumed = server.get("/topics/a").header("last-event-id", "7").stream().await;
    assert_eq!(resumed.header("last-event-id"), "7");
    assert_eq!(resumed.data().await, "last");

    let answer =
        server.get("/topics/a?limit=3").header("accept", "application/json").answer().await;
    assert_eq!(answer.header("tidings-epoch"), server.hub.epoch().to_string());
    let vias: Vec<_> =
        answer.json()["events"].as_array().unwrap().iter().map(|e| e["via"].clone()).collect();
    assert_eq!(vias, [json!(null), json!("1/x, 2/y%2Fz"), json!("3/w")]);
}

#[tokio::test]
async fn an_event_that_was_here_before_is_refused_as_a_loop() {
    let server = start().await;
    let epoch = server.hub.epoch();
    let came = format!("0/x, {epoch}/a%2Fb");
    let detail = relayed(&server, "a/b", &came).answer().await.problem(409, "relay-loop");
    assert!(detail.contains("loop"), "{detail}");
    let object = r#"{"topics":["c","a/b"],"data":1}"#;
    for kind in ["application/json", "application/x-ndjson"] {
        let post = server.post("/events", object).content_type(kind);
        post.header("relay-via", &came).answer().await.problem(409, "relay-loop");
    }
    for kind in ["text/event-stream", "text/plain"] {
        let post = server.post("/events?topic=a/b", "data: 1\n\n").content_type(kind);
        post.header("relay-via", &came).answer().await.problem(409, "relay-loop");
    }
    assert_eq!(server.hub.stats().published, 0);
    // In another topic, and from another hub, it is new.
    assert_eq!(relayed(&server, "a", &came).answer().await.status, 201);
    assert_eq!(relayed(&server, "a/b", "0/a%2Fb").answer().await.status, 201);
}

#[tokio::test]
async fn a_way_that_is_too_long_is_a_loop_and_one_that_is_none_is_a_mistake() {
    let server = start().await;
    let hops = |count: usize| (0..count).map(|n| format!("{n}/a")).collect::<Vec<_>>().join(",");
    assert_eq!(relayed(&server, "a", &hops(Via::HOPS_MAX)).answer().await.status, 201);
    let too_many = relayed(&server, "a", &hops(Via::HOPS_MAX + 1));
    too_many.answer().await.problem(409, "relay-loop");
    for via in ["", "a", "1/a b"] {
        relayed(&server, "a", via).answer().await.problem(400, "invalid-parameter");
    }
}

//! Reading as JSON: the content of a stream, for networks that buffer streams.

use std::num::NonZeroUsize;

use serde_json::json;
use tidings_hub::Topic;

use crate::harness::{Ask, Running, start, start_with};

fn get(server: &Running, path: &str) -> Ask {
    server.get(path).header("accept", "application/json")
}

#[tokio::test]
async fn the_latest_events_come_with_the_place_after_them() {
    let server = start().await;
    for data in ["1", "2", "3"] {
        server.publish("a", data).await;
    }
    let answer = get(&server, "/topics/a?limit=2").answer().await;
    assert_eq!(answer.header("content-type"), "application/json");
    let vary: Vec<_> = answer.headers.get_all("vary").iter().collect();
    assert_eq!(vary, ["Accept", "Origin"]);
    let page = answer.json();
    let data: Vec<_> = page["events"].as_array().unwrap().iter().map(|e| &e["data"]).collect();
    assert_eq!(data, ["2", "3"]);
    let event = &page["events"][1];
    assert_eq!((&event["type"], &event["topic"]), (&json!("message"), &json!("a")));
    assert_eq!(event["id"], page["last_event_id"]);
    assert!(event["time"].as_u64().unwrap() > 1_600_000_000_000);
    assert!(page.get("gap").is_none());
}

#[tokio::test]
async fn polling_after_the_last_place_gives_each_event_once() {
    let server = start().await;
    server.publish("a", "0").await;
    let mut after = "earliest".to_owned();
    for round in 0..3 {
        let page = get(&server, &format!("/events?match=*&after={after}")).answer().await.json();
        assert_eq!(page["events"].as_array().unwrap().len(), 1);
        assert_eq!(page["events"][0]["data"], round.to_string());
        after = page["last_event_id"].as_str().unwrap().to_owned();
        server.publish("b", &(round + 1).to_string()).await;
    }
    // The names that streams know mean the same.
    for query in ["last_event_id", "lastEventId"] {
        let page = get(&server, &format!("/events?match=*&{query}={after}")).answer().await.json();
        assert_eq!(page["events"][0]["data"], "3");
    }
}

#[tokio::test]
async fn a_poll_that_waits_is_answered_by_the_next_event() {
    let server = start().await;
    let poll = get(&server, "/topics/a?wait=50s").answer();
    let publish = async {
        while server.hub.stats().subscribers == 0 {
            tokio::task::yield_now().await;
        }
        server.publish("other", "no").await;
        server.publish("a", "news").await;
    };
    let (answer, ()) = tokio::join!(poll, publish);
    assert_eq!(answer.json()["events"][0]["data"], "news");
    assert_eq!(server.hub.stats().subscribers, 0);
}

/// A poll from before an end used to be answered at once with nothing, forever.
#[tokio::test]
async fn a_poll_reads_on_over_the_end_of_a_topics_streams() {
    let server = start().await;
    let before = server.publish("a", "1").await;
    let end = || Topic::new("a").expect("a topic");
    server.hub.close(end()).await.expect("memory cannot fail");
    server.publish("a", "2").await;
    let path = format!("/topics/a?after={before}&wait=30s");
    let page = get(&server, &path).answer().await.json();
    assert_eq!(page["events"][0]["data"], "2");

    let place = page["last_event_id"].as_str().expect("a place").to_owned();
    let path = format!("/topics/a?after={place}&wait=50s");
    let poll = get(&server, &path).answer();
    let publish = async {
        while server.hub.stats().subscribers == 0 {
            tokio::task::yield_now().await;
        }
        server.hub.close(end()).await.expect("memory cannot fail");
        server.publish("a", "3").await;
    };
    let (answer, ()) = tokio::join!(poll, publish);
    assert_eq!(answer.json()["events"][0]["data"], "3");
}

#[tokio::test]
async fn a_wait_comes_to_its_end() {
    let server = start().await;
    let page = get(&server, "/topics/a?wait=1ms").answer().await.json();
    assert_eq!(page["events"], json!([]));
}

#[tokio::test]
async fn a_gap_is_told_in_json_too() {
    let server = start_with(|_, hub| {
        hub.retention.topic_events_max = NonZeroUsize::new(1);
    })
    .await;
    let first = server.publish("a", "1").await;
    server.publish("a", "2").await;
    let last = server.publish("a", "3").await;
    let page = get(&server, &format!("/topics/a?after={first}&wait=30s")).answer().await.json();
    assert_eq!(page["gap"], json!({ "asked": first, "oldest": last }));
    assert_eq!(page["events"][0]["data"], "3");
}

#[tokio::test]
async fn parameters_out_of_bounds_are_refused() {
    let server = start().await;
    for query in ["limit=0", "limit=1001", "limit=x", "wait=56s", "wait=-1s", "wait="] {
        let answer = get(&server, &format!("/topics/a?{query}")).answer().await;
        answer.problem(400, "invalid-parameter");
    }
}

/// Publishers that number the events of each topic from 1: a poll was placed by another topic's event.
#[tokio::test]
async fn an_id_that_another_topics_event_has_is_no_place_of_a_poll() {
    let server = start().await;
    for (topic, id) in [("b", "1"), ("a", "1"), ("b", "2"), ("a", "2"), ("b", "3")] {
        let post = server.post(&format!("/topics/{topic}"), format!("{topic}{id}"));
        post.header("event-id", id).answer().await;
    }
    let after =
        async |id: &str| get(&server, &format!("/topics/a?after={id}")).answer().await.json();
    let page = after("1").await;
    assert_eq!(page["events"].as_array().unwrap().len(), 1);
    assert_eq!((&page["events"][0]["data"], page.get("gap")), (&json!("a2"), None));
    let page = after("3").await;
    assert_eq!(page["gap"]["asked"], "3");
    assert_eq!(page["events"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_byte_order_mark_before_json_is_read_over() {
    let server = start().await;
    for (kind, body) in [
        ("application/json", "\u{feff}{\"topic\":\"a\",\"data\":1}"),
        ("application/json", "\u{feff}[{\"topic\":\"a\",\"data\":2}]"),
        ("application/x-ndjson", "\u{feff}{\"topic\":\"a\",\"data\":3}\n"),
    ] {
        let answer = server.post("/events", body).content_type(kind).answer().await;
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    assert_eq!(server.held("a"), ["1", "2", "3"]);
}

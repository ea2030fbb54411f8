//! A reader is told of the events that it lost, and of no others.

use std::num::NonZeroUsize;

use serde_json::Value;
use tidings_hub::{Cursor, Epoch, Sequence};
use tidings_server::ServerConfig;

use crate::harness::{Running, Stream, start, start_with};

/// A server whose topics hold two events each.
async fn small() -> Running {
    start_with(|_: &mut ServerConfig, hub| {
        hub.retention.topic_events_max = NonZeroUsize::new(2);
    })
    .await
}

async fn resume(server: &Running, path: &str, id: &str) -> Stream {
    server.get(path).header("last-event-id", id).stream().await
}

/// Expects a gap that was asked for with `asked`, and gives the oldest event held.
async fn gap(stream: &mut Stream, asked: &str) -> Value {
    let event = stream.event().await;
    assert_eq!(event.event_type(), "gap");
    assert!(event.id().is_some(), "a gap has a place of its own");
    let data: Value = serde_json::from_str(event.data()).unwrap();
    assert_eq!(data["asked"], asked);
    data["oldest"].clone()
}

fn cursor(epoch: Epoch, sequence: u64) -> String {
    Cursor { epoch, sequence: Sequence::new(sequence).unwrap() }.to_string()
}

#[tokio::test]
async fn t42_an_id_of_another_epoch_is_a_gap_and_then_everything_held() {
    let server = start().await;
    let first = server.publish("a", "1").await;
    let other = Epoch::new(server.hub.epoch().get() ^ 1).unwrap();
    let asked = cursor(other, 1);
    let mut stream = resume(&server, "/topics/a", &asked).await;
    assert_eq!(stream.header("last-event-id"), "earliest");
    assert_eq!(gap(&mut stream, &asked).await, first);
    assert_eq!(stream.data().await, "1");
}

#[tokio::test]
async fn t42_an_unknown_id_and_one_of_the_future_are_gaps() {
    let server = start().await;
    server.publish("a", "1").await;
    for asked in ["never-seen", "17", &cursor(server.hub.epoch(), 1000)] {
        let mut stream = resume(&server, "/topics/a", asked).await;
        gap(&mut stream, asked).await;
        assert_eq!(stream.data().await, "1", "{asked}");
    }
}

#[tokio::test]
async fn t42_an_evicted_place_is_a_gap_and_a_quiet_topic_has_none() {
    let server = small().await;
    let quiet = server.publish("quiet", "q1").await;
    let first = server.publish("busy", "1").await;
    for data in ["2", "3", "4"] {
        server.publish("busy", data).await;
    }
    let mut stream = resume(&server, "/topics/busy", &first).await;
    gap(&mut stream, &first).await;
    assert_eq!((stream.data().await, stream.data().await), ("3".into(), "4".into()));

    let mut stream = resume(&server, "/topics/quiet", &quiet).await;
    server.publish("quiet", "q2").await;
    assert_eq!(stream.data().await, "q2");
}

#[tokio::test]
async fn t42_an_id_that_is_evicted_itself_is_no_gap_if_what_followed_is_held() {
    let server = small().await;
    let first = server.publish("a", "1").await;
    server.publish("a", "2").await;
    server.publish("a", "3").await;
    assert_eq!(server.held("a"), ["2", "3"]);
    let mut stream = resume(&server, "/topics/a", &first).await;
    assert_eq!((stream.data().await, stream.data().await), ("2".into(), "3".into()));
}

#[tokio::test]
async fn t42_whoever_comes_back_right_after_a_gap_is_not_told_of_it_again() {
    let server = start().await;
    server.publish("a", "1").await;
    let mut stream = resume(&server, "/topics/a", "unknown").await;
    let place = stream.event().await.id().unwrap().to_owned();
    drop(stream);
    let mut stream = resume(&server, "/topics/a", &place).await;
    assert_eq!(stream.data().await, "1");
}

#[tokio::test]
async fn t42_of_equal_ids_the_earliest_counts() {
    let server = start().await;
    for data in ["1", "2", "3"] {
        let id = if data == "3" { "other" } else { "same" };
        server.post("/topics/a", data).header("event-id", id).answer().await;
    }
    let mut stream = resume(&server, "/topics/a", "same").await;
    assert_eq!((stream.data().await, stream.data().await), ("2".into(), "3".into()));
}

#[tokio::test]
async fn t42_an_id_that_the_hub_made_for_another_topic_is_a_place_like_any_other() {
    let server = start().await;
    server.publish("a", "1").await;
    let other = server.publish("b", "other").await;
    server.publish("a", "2").await;
    assert_eq!(resume(&server, "/topics/a", &other).await.data().await, "2");
}

/// Publishers number their events by topic, so the ID of another topic's event led elsewhere.
#[tokio::test]
async fn t42_an_id_that_a_publisher_gave_in_another_topic_is_unknown() {
    let server = start().await;
    server.publish("a", "1").await;
    server.post("/topics/b", "named").header("event-id", "named").answer().await;
    let mut stream = resume(&server, "/topics/a", "named").await;
    assert_eq!(stream.event().await.event_type(), "gap");
    assert_eq!(stream.data().await, "1");
}

#[tokio::test]
async fn t42_what_is_published_during_a_replay_comes_once_and_in_order() {
    const BEFORE: usize = 2000;
    const DURING: usize = 200;
    let server = start().await;
    let lines = |numbers: std::ops::Range<usize>| -> String {
        numbers.map(|n| format!("{{\"topic\":\"a\",\"data\":\"{n}\"}}\n")).collect()
    };
    let post = |body: String| server.post("/events", body).content_type("application/x-ndjson");
    post(lines(0..BEFORE)).answer().await;
    let mut stream = server.stream("/topics/a?last_event_id=earliest").await;
    let read = async {
        for expected in 0..BEFORE + DURING {
            assert_eq!(stream.data().await, expected.to_string());
        }
    };
    let publish = async {
        for n in BEFORE..BEFORE + DURING {
            server.publish("a", &n.to_string()).await;
        }
    };
    tokio::join!(read, publish);
}

#[tokio::test]
async fn a_live_reader_that_is_overtaken_is_told_in_mid_stream() {
    let server = small().await;
    // A stream that one topic concerns is sent the whole block; one that two concern reads what is held.
    let mut stream = server.stream("/events?topic=a&topic=b").await;
    server.publish("a", "1").await;
    assert_eq!(stream.data().await, "1");
    // In one block, of which two events of each topic are kept: the reader cannot come in between.
    let body = r#"[{"topic":"a","data":2},{"topic":"b","data":"b"},{"topic":"a","data":3},{"topic":"a","data":4}]"#;
    server.post("/events", body).content_type("application/json").answer().await;
    assert_eq!(stream.event().await.event_type(), "gap");
    let read = (stream.data().await, stream.data().await, stream.data().await);
    assert_eq!(read, ("b".into(), "3".into(), "4".into()));
}

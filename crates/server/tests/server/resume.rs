//! A reader comes back to its place, however it says it.

use crate::harness::{Running, start};

/// A server with three events on a topic that carry IDs of their publisher's.
async fn with_ids(ids: &[&str]) -> Running {
    let server = start().await;
    for id in ids {
        let answer =
            server.post("/topics/a", (*id).to_owned()).header("event-id", id).answer().await;
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    server
}

#[tokio::test]
async fn t47_an_id_that_is_not_ascii_resumes_by_header() {
    for id in ["…", "ü", "日本", "a b", "<x>", "100%"] {
        let server = with_ids(&["first", id, "last"]).await;
        let mut stream = server.get("/topics/a").header("last-event-id", id).stream().await;
        assert_eq!(stream.data().await, "last", "{id}");
    }
}

#[tokio::test]
async fn t47_bytes_that_are_no_utf_8_lead_nowhere_and_are_told_as_a_gap() {
    let server = with_ids(&["…", "last"]).await;
    let header = &"…".as_bytes()[..2];
    let mut stream = server.get("/topics/a").header("last-event-id", header).stream().await;
    assert_eq!(stream.event().await.event_type(), "gap");
    assert_eq!(stream.data().await, "…");
}

#[tokio::test]
async fn every_spelling_in_the_query_resumes() {
    let server = with_ids(&["first", "…", "last"]).await;
    for name in ["last_event_id", "lastEventId", "lastEventID"] {
        for path in ["/topics/a?", "/events?topic=a&", "/events?match=*&"] {
            let mut stream = server.stream(&format!("{path}{name}=%E2%80%A6")).await;
            assert_eq!(stream.data().await, "last", "{path}{name}");
        }
    }
}

#[tokio::test]
async fn the_header_wins_over_a_stale_query() {
    let server = with_ids(&["1", "2", "3"]).await;
    let get = server.get("/topics/a?lastEventId=1").header("last-event-id", "2");
    assert_eq!(get.stream().await.data().await, "3");
    // An empty header is none.
    let get = server.get("/topics/a?lastEventId=1").header("last-event-id", "");
    assert_eq!(get.stream().await.data().await, "2");
}

#[tokio::test]
async fn the_hubs_own_ids_resume_on_any_view() {
    let server = start().await;
    let first = server.publish("a", "1").await;
    server.publish("b", "2").await;
    server.publish("a", "3").await;
    let resume = |path: &str| server.get(path).header("last-event-id", &first);
    assert_eq!(resume("/topics/a").stream().await.data().await, "3");
    assert_eq!(resume("/topics/b").stream().await.data().await, "2");
    let mut both = resume("/events?match=**").stream().await;
    assert_eq!((both.data().await, both.data().await), ("2".into(), "3".into()));
}

#[tokio::test]
async fn earliest_is_everything_held_and_nothing_asked_is_the_tail() {
    let server = with_ids(&["1", "2"]).await;
    let mut all = server.stream("/topics/a?last_event_id=earliest").await;
    assert_eq!((all.data().await, all.data().await), ("1".into(), "2".into()));
    for path in ["/topics/a", "/topics/a?last_event_id="] {
        let mut tail = server.stream(path).await;
        server.publish("a", "news").await;
        assert_eq!(tail.data().await, "news");
    }
}

#[tokio::test]
async fn the_head_names_the_place_before_the_first_event() {
    let server = with_ids(&["1", "2"]).await;
    assert_eq!(server.stream("/topics/a").await.header("last-event-id"), "2");
    let after = server.stream("/topics/a?last_event_id=1").await;
    assert_eq!(after.header("last-event-id"), "1");
    let all = server.stream("/topics/a?last_event_id=earliest").await;
    assert_eq!(all.header("last-event-id"), "earliest");
    assert_eq!(server.stream("/topics/new").await.header("last-event-id"), "earliest");
}

#[tokio::test]
async fn an_event_source_is_given_its_place_before_the_first_event() {
    let server = start().await;
    server.publish("a", "1").await;
    // As every EventSource of the standard asks.
    let mut stream = server.get("/topics/a").header("cache-control", "no-cache").stream().await;
    let preamble = stream.text_with("\n\n").await.to_owned();
    let id = preamble.lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
    assert!(!preamble.contains("data"), "{preamble}");
    drop(stream);
    server.publish("a", "2").await;
    let mut back = server.get("/topics/a").header("last-event-id", id).stream().await;
    assert_eq!(back.data().await, "2");
}

#[tokio::test]
async fn t50_everybody_else_is_sent_no_blank_line_that_ends_no_event() {
    let server = start().await;
    let mut stream = server.stream("/topics/a").await;
    assert_eq!(stream.text_with("retry").await, ":\nretry: 2000\n");
    server.tick(std::time::Duration::from_secs(15));
    assert_eq!(stream.text_with("2000\n:").await, ":\nretry: 2000\n:\n");
    server.publish("a", "1").await;
    stream.event().await;
    assert_eq!(stream.text().matches("\n\n").count(), 1);
}

//! A reader says how it is told of a gap, and whether it sees that the stream is alive.

use std::num::NonZeroUsize;
use std::time::Duration;

use tidings_hub::{GapShape, TopicFilter};
use tidings_server::{ServerConfig, TopicRule};

use crate::harness::{Ask, Running, Stream, Whole, start, start_with};

/// A server whose topics hold two events each, with rules about gaps.
async fn small(rules: &[(&str, GapShape)]) -> Running {
    start_with(|server: &mut ServerConfig, hub| {
        hub.retention.topic_events_max = NonZeroUsize::new(2);
        server.topics.extend(rules.iter().map(|&(filter, gap)| {
            let mut rule = TopicRule::new(TopicFilter::pattern(filter).unwrap());
            rule.gap = Some(gap);
            rule
        }));
    })
    .await
}

/// Opens the stream by a shard and by hyper.
async fn both(ask: impl Fn() -> Ask) -> [Stream; 2] {
    [ask().stream().await, Stream::new(ask().send_http2().await)]
}

#[tokio::test]
async fn a_loss_before_the_first_byte_is_a_status_for_whoever_asks() {
    let server = start().await;
    server.publish("a", "1").await;
    for path in ["/topics/a?gap=close", "/events?match=**&gap=close"] {
        let ask = || server.get(path).header("last-event-id", "unknown");
        for answer in [ask().answer().await, Whole::read(ask().send_http2().await).await] {
            answer.problem(410, "events-lost");
            assert_eq!(answer.header("stream-gap"), "close");
        }
        // An EventSource, too.
        let answer = ask().header("cache-control", "no-cache").answer().await;
        answer.problem(410, "events-lost");
    }
    let head = server.request(http::Method::HEAD, "/topics/a?gap=close");
    assert_eq!(head.header("last-event-id", "unknown").send().await.status(), 410);
}

#[tokio::test]
async fn a_reader_that_lost_nothing_has_its_stream() {
    let server = start().await;
    let first = server.publish("a", "1").await;
    server.publish("a", "2").await;
    for place in [&*first, "earliest"] {
        let ask = || server.get("/topics/a?gap=close").header("last-event-id", place);
        for mut stream in both(ask).await {
            assert_eq!(stream.header("stream-gap"), "close");
            if place == "earliest" {
                assert_eq!(stream.data().await, "1");
            }
            assert_eq!(stream.data().await, "2");
        }
    }
}

#[tokio::test]
async fn a_loss_in_mid_stream_closes_it_and_the_next_request_is_told() {
    let server = small(&[]).await;
    for mut stream in both(|| server.get("/events?topic=a&topic=b&gap=close")).await {
        let first = server.publish("a", "1").await;
        assert_eq!(stream.data().await, "1");
        // In one block, of which two events of each topic are kept: the reader cannot come in between.
        let body = r#"[{"topic":"a","data":2},{"topic":"b","data":"b"},{"topic":"a","data":3},{"topic":"a","data":4}]"#;
        server.post("/events", body).content_type("application/json").answer().await;
        let text = stream.rest().await;
        assert!(text.contains("data: 1\n\n") && !text.contains("gap"), "{text}");
        let again = server.get("/topics/a?gap=close").header("last-event-id", &first);
        again.answer().await.problem(410, "events-lost");
    }
}

#[tokio::test]
async fn a_gap_is_an_event_unless_something_else_is_asked_for() {
    let server = start().await;
    server.publish("a", "1").await;
    for (path, header) in [("/topics/a", None), ("/topics/a?gap=event", Some("event"))] {
        let ask = || server.get(path).header("last-event-id", "unknown");
        for mut stream in both(ask).await {
            let found = header.map(|_| stream.header("stream-gap").to_owned());
            assert_eq!(found.as_deref(), header);
            assert_eq!(stream.event().await.event_type(), "gap");
            assert_eq!(stream.data().await, "1");
        }
    }
}

#[tokio::test]
async fn a_rule_says_it_for_topics_and_a_request_for_itself() {
    let rules = [("chat/open", GapShape::Event), ("chat/*", GapShape::Close)];
    let server = small(&rules).await;
    server.publish("chat/1", "1").await;
    let ask = |path: &str| server.get(path).header("last-event-id", "unknown");
    for path in ["/topics/chat/1", "/events?match=chat/*", "/events?topic=chat/1&topic=chat/2"] {
        ask(path).answer().await.problem(410, "events-lost");
    }
    for path in [
        "/topics/chat/open",
        "/topics/other",
        "/events?topic=chat/1&topic=other",
        "/events?match=**",
        "/topics/chat/1?gap=event",
    ] {
        assert_eq!(ask(path).stream().await.event().await.event_type(), "gap", "{path}");
    }
}

#[tokio::test]
async fn what_cannot_be_a_shape_is_refused() {
    let server = start().await;
    for query in
        ["gap=maybe", "gap", "gap=close&gap=close", "ping=0", "ping=2h", "ping=3601", "ping"]
    {
        let answer = server.get(&format!("/topics/a?{query}")).answer().await;
        answer.problem(400, "invalid-parameter");
    }
    for query in ["pings=10s", "gap=close", "ping=10s"] {
        let ask = server.get(&format!("/topics/a?{query}"));
        let format =
            if query.starts_with("pings") { "text/event-stream" } else { "application/json" };
        ask.header("accept", format).answer().await.problem(400, "unknown-parameter");
    }
}

#[tokio::test]
async fn a_ping_is_seen_before_the_first_event_too() {
    let server = start().await;
    for (query, within) in [("ping=10s", 10), ("ping=2", 2)] {
        let mut now = server.hub.uptime();
        for mut stream in both(|| server.get(&format!("/topics/a?{query}"))).await {
            stream.text_with("retry: 2000\n").await;
            for _ in 1..=3 {
                let until = now + Duration::from_secs(within) + Duration::from_millis(750);
                while now < until {
                    now += Duration::from_millis(250);
                    server.tick(now);
                }
                let ping = stream.event().await;
                assert_eq!((ping.event_type(), ping.data(), ping.id()), ("ping", "", None));
            }
            let comments = stream.text().lines().filter(|line| *line == ":").count();
            assert_eq!(comments, 1, "that of the preamble alone: {}", stream.text());
        }
    }
}

#[tokio::test]
async fn a_rare_ping_leaves_the_heartbeats_between() {
    let server = start().await;
    for mut stream in both(|| server.get("/topics/a?ping=60s")).await {
        stream.text_with("retry: 2000\n").await;
        let (mut now, begun) = (server.hub.uptime(), server.hub.uptime());
        while now < begun + Duration::from_secs(61) {
            now += Duration::from_millis(250);
            server.tick(now);
            tokio::task::yield_now().await;
        }
        assert_eq!(stream.event().await.event_type(), "ping");
        let comments = stream.text().lines().filter(|line| *line == ":").count();
        assert!(comments > 2, "{}", stream.text());
    }
}

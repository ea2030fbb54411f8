//! The keyed endpoints: connect, send, disconnect, and the stream that greets.

use std::sync::Arc;
use std::time::Duration;

use tidings_hub::{HubConfig, Time};
use tidings_server::Server;

use self::harness::{Running, start_server};
use super::Keyed;

#[path = "../../../../server/tests/server/harness.rs"]
#[allow(dead_code, reason = "the tests of the server need more of it")]
mod harness;

async fn start() -> (Running, Keyed) {
    let mut keyed = None;
    let server = start_server(
        |_, _| {},
        |server: Server| {
            let endpoints = Keyed::new(server.hub()).with_page("demo.html");
            keyed = Some(endpoints.clone());
            server.with_routes(Arc::new(endpoints))
        },
    )
    .await;
    (server, keyed.expect("made while the server started"))
}

/// The place that a stream's preamble gives an EventSource.
async fn place(server: &Running, path: &str) -> String {
    let mut stream = server.get(path).header("cache-control", "no-cache").stream().await;
    stream.text_with("data: ").await;
    let place = stream.text().lines().find_map(|line| line.strip_prefix("id: "));
    place.expect("an EventSource is given its place").to_owned()
}

#[tokio::test]
async fn what_is_sent_to_a_key_reaches_its_streams_alone() {
    let (server, _) = start().await;
    let mut alpha = server.stream("/connect/alpha").await;
    let mut again = server.stream("/connect/alpha").await;
    let mut beta = server.stream("/connect/beta").await;
    for (stream, key) in [(&mut alpha, "alpha"), (&mut again, "alpha"), (&mut beta, "beta")] {
        let greeting = stream.event().await;
        assert_eq!(greeting.event_type(), "connect");
        assert_eq!(greeting.data(), format!("{key} is connected"));
        assert_eq!(greeting.id(), None);
    }
    assert_eq!(server.post("/send/alpha", "by body").answer().await.status, 204);
    assert_eq!(server.get("/send/alpha?data=by+query").answer().await.status, 204);
    assert_eq!(server.get("/send/alpha").answer().await.status, 204);
    assert_eq!(server.get("/send/nobody").answer().await.status, 204);
    assert_eq!(server.post("/send/beta", "for beta").answer().await.status, 204);
    for stream in [&mut alpha, &mut again] {
        for data in ["by body", "by query", "hello"] {
            assert_eq!(stream.data().await, data);
        }
    }
    assert_eq!(beta.data().await, "for beta");
}

#[tokio::test]
async fn a_disconnected_reader_is_kept_away_and_a_new_one_is_welcome() {
    let (server, _) = start().await;
    let place_before = place(&server, "/connect/alpha").await;
    let stream = server.stream("/connect/alpha").await;
    assert_eq!(server.get("/disconnect/alpha").answer().await.status, 204);
    assert_eq!(server.post("/disconnect/nobody", "").answer().await.status, 204);
    stream.rest().await;

    let back = server.get("/connect/alpha").header("last-event-id", &place_before);
    assert_eq!(back.header("accept", "text/event-stream").answer().await.status, 204);
    let back = server.get(&format!("/connect/alpha?lastEventId={place_before}"));
    assert_eq!(back.header("accept", "text/event-stream").answer().await.status, 204);
    let back = server.get("/connect/alpha").header("last-event-id", &place_before);
    back.answer().await.problem(410, "stream-ended");
    let place_after = place(&server, "/connect/alpha").await;
    let back = server.get("/connect/alpha").header("last-event-id", &place_after);
    assert_eq!(back.stream().await.event().await.event_type(), "connect");
}

#[tokio::test]
async fn a_reader_that_was_away_is_sent_what_it_missed() {
    let (server, _) = start().await;
    let place = place(&server, "/connect/alpha").await;
    server.post("/send/alpha", "meanwhile").answer().await;
    for ask in [
        server.get("/connect/alpha").header("last-event-id", &place),
        server.get(&format!("/connect/alpha?last_event_id={place}")),
    ] {
        let mut back = ask.stream().await;
        assert_eq!(back.event().await.event_type(), "connect");
        assert_eq!(back.data().await, "meanwhile");
    }
}

#[tokio::test]
async fn a_greeted_user_gets_the_time_with_the_time_as_its_id() {
    let (server, keyed) = start().await;
    assert!(keyed.send_time(Time::from_unix_millis(1)).is_none());
    let mut nobody = server.stream("/stream-sse").await;
    assert_eq!(nobody.data().await, "hello, empty");
    let time = Time::from_unix_millis(1_700_000_000_123);
    keyed.send_time(time).expect("a user").await.expect("memory cannot fail");
    let event = nobody.event().await;
    assert_eq!(event.data(), "{\"time\": \"1700000000123\"}");
    assert_eq!(event.id(), Some("1700000000123"));

    let mut user = server.stream("/stream-sse?user=Theta%20User").await;
    assert_eq!(user.data().await, "hello, Theta User");
    let text = user.text().to_owned();
    let age = Duration::from_secs(61);
    server.tick(age);
    assert!(user.rest().await.len() >= text.len(), "it ended after a minute");
}

#[tokio::test]
async fn send_and_disconnect_reach_the_streams_that_greet_too() {
    let (server, _) = start().await;
    let place = place(&server, "/stream-sse?user=alpha").await;
    let mut connected = server.stream("/connect/alpha").await;
    let mut greeted = server.stream("/stream-sse?user=alpha").await;
    let mut other = server.stream("/stream-sse?user=beta").await;
    for stream in [&mut connected, &mut greeted, &mut other] {
        stream.event().await;
    }
    server.post("/send/alpha", "for alpha").answer().await;
    server.post("/send/beta", "for beta").answer().await;
    let first = connected.event().await;
    let second = greeted.event().await;
    assert_eq!((first.data(), second.data()), ("for alpha", "for alpha"));
    assert_eq!(first.id(), second.id(), "it is one event");
    assert_eq!(other.data().await, "for beta");

    assert_eq!(server.post("/disconnect/alpha", "").answer().await.status, 204);
    connected.rest().await;
    greeted.rest().await;
    let back = server.get("/stream-sse?user=alpha").header("last-event-id", &place);
    assert_eq!(back.header("accept", "text/event-stream").answer().await.status, 204);
}

#[tokio::test]
async fn calls_that_act_are_refused_to_other_sites_even_by_get() {
    let (server, _) = start().await;
    for path in ["/send/alpha", "/disconnect/alpha"] {
        let ask = server.get(path).header("sec-fetch-site", "cross-site");
        ask.answer().await.problem(403, "foreign-site");
    }
    assert_eq!(server.hub.stats().published, 0);
}

#[tokio::test]
async fn nonsense_is_told() {
    let (server, _) = start().await;
    server.get("/connect/a%0Ab").answer().await.problem(400, "unclean-path");
    server.get("/connect/").answer().await.problem(400, "unclean-path");
    server.get("/connect/a?lastid=b").answer().await.problem(400, "unknown-parameter");
    server.get("/stream-sse?uesr=b").answer().await.problem(400, "unknown-parameter");
    server.post("/connect/a", "").answer().await.problem(405, "method-not-allowed");
    server.post("/send/a", &b"\xff"[..]).answer().await.problem(400, "not-utf-8");
    let large = "x".repeat(HubConfig::default().event_bytes_max + 1);
    server.post("/send/a", large).answer().await.problem(413, "event-too-large");
    assert_eq!(server.hub.stats().published, 0);
}

#[tokio::test]
async fn what_ends_no_event_source_of_the_hub_ends_none_here() {
    let (server, _) = start().await;
    for path in ["/connect/a?_=17", "/stream-sse?user=a&padding=x"] {
        drop(server.stream(path).await);
    }
    for (path, clean) in [("/connect/a/?_=1", "../a?_=1"), ("/stream-sse/", "../stream-sse")] {
        let answer = server.get(path).answer().await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (308, clean));
    }
}

/// It was answered 204, and no reader got the event.
#[tokio::test]
async fn what_is_sent_while_the_hub_drains_is_refused_as_other_events_are() {
    let (server, _) = start().await;
    server.hub.drain(Duration::ZERO);
    let answer = server.post("/send/alpha", "too late").answer().await;
    answer.problem(503, "draining");
    assert!(answer.header("retry-after").parse::<u32>().is_ok());
    assert!(server.held("connect/alpha").is_empty());
}

//! Limits for each address and each subject, and the answers that name them.

use std::num::NonZeroU32;
use std::time::Duration;

use http::Method;
use tidings_server::{Limits, Network, ServerConfig};

use crate::auth::{API_KEY, Guarded, guard, start_with};
use crate::harness::{Ask, Stream};

/// Starts a server with authentication that trusts proxies on this machine and has these limits.
async fn start(change: impl FnOnce(&mut Limits)) -> Guarded {
    start_with(|config| {
        config.trusted_proxies = vec![Network::parse("127.0.0.0/8").unwrap()];
        change(&mut config.limits);
    })
    .await
}

/// A request that a proxy has passed on for a client.
fn from(address: &str, ask: Ask) -> Ask {
    ask.header("x-forwarded-for", address)
}

fn at_most(max: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(max)
}

/// The requests that may come at once are those of so many seconds.
const SAVED_SECONDS: u32 = 10;

#[tokio::test]
async fn one_stream_too_many_of_an_address_is_refused_and_says_so() {
    let guarded = start(|limits| limits.address_streams = at_most(2)).await;
    let server = &guarded.server;
    let get = |address: &str| from(address, server.get("/topics/open/a"));
    let first = get("192.0.2.1").stream().await;
    let _second = Stream::new(get("192.0.2.1").send_http2().await);
    let refused = get("192.0.2.1").answer().await;
    let detail = refused.problem(429, "too-many-streams-of-address");
    assert!(detail.contains("2 at most"), "{detail}");
    assert_eq!(refused.json()["limit"], 2);
    let after: u32 = refused.header("retry-after").parse().unwrap();
    assert!((30..=60).contains(&after), "{after}");
    // A browser's EventSource would give up for good.
    let to_browser = get("192.0.2.1").header("sec-fetch-mode", "cors").stream().await;
    let text = to_browser.rest().await;
    assert!(text.starts_with("retry: ") && text.contains("from this address: 2 at most"), "{text}");
    // Others have their own, and so does the proxy itself.
    let _other = get("192.0.2.2").stream().await;
    let _own = (server.stream("/topics/open/a").await, server.stream("/topics/open/a").await);
    let _proxys = server.stream("/topics/open/a").await;
    drop(first);
    while get("192.0.2.1").send().await.status() != 200 {}
}

#[tokio::test]
async fn the_addresses_of_a_network_of_ipv6_count_as_one() {
    let guarded = start(|limits| limits.address_streams = at_most(1)).await;
    let get = |address: &str| from(address, guarded.server.get("/topics/open/a"));
    let _first = get("2001:db8:1:2::1").stream().await;
    get("2001:db8:1:2:ffff::2").answer().await.problem(429, "too-many-streams-of-address");
    let _other = get("2001:db8:1:3::1").stream().await;
}

#[tokio::test]
async fn one_stream_too_many_of_a_subject_is_refused_wherever_it_comes_from() {
    let guarded = start(|limits| limits.subject_streams = at_most(1)).await;
    let token = guarded.token("alpha", serde_json::json!({ "subscribe": ["a"] }));
    let get = |address: &str| from(address, guarded.get("/topics/a", &token));
    let _first = get("192.0.2.1").stream().await;
    get("192.0.2.2").answer().await.problem(429, "too-many-streams-of-subject");
}

#[tokio::test]
async fn one_request_too_many_of_an_address_is_refused_until_there_is_time() {
    let guarded = start(|limits| limits.address_requests = at_most(1)).await;
    let server = &guarded.server;
    let get =
        || from("192.0.2.1", server.get("/topics/open/a").header("accept", "application/json"));
    for _ in 0..SAVED_SECONDS {
        assert_eq!(get().answer().await.status, 200);
    }
    let refused = get().answer().await;
    let why = refused.problem(429, "too-many-requests-of-address");
    assert!(why.contains("several events with one request (POST /events)"), "{why}");
    assert_eq!(refused.header("retry-after"), "1");
    // A browser's EventSource is told by a stream.
    let stream = server.get("/topics/open/a").header("accept", "text/event-stream");
    let told = from("192.0.2.1", stream).header("sec-fetch-mode", "cors").stream().await;
    assert!(told.rest().await.contains("requests from this address"));
    let metrics = server.get("/metrics").header("authorization", "Bearer x").answer().await;
    assert_eq!(metrics.status, 401, "the proxy's own requests are not counted");
    server.tick(Duration::from_secs(1));
    assert_eq!(get().answer().await.status, 200);
}

/// Each try costs a verification.
#[tokio::test]
async fn a_sender_that_tries_tokens_is_counted() {
    let guarded = start(|limits| limits.address_requests = at_most(1)).await;
    let wrong = || from("192.0.2.1", guarded.get("/topics/a", "wrong"));
    for _ in 0..SAVED_SECONDS {
        wrong().answer().await.problem(401, "token-refused");
    }
    wrong().answer().await.problem(429, "too-many-requests-of-address");
}

#[tokio::test]
async fn a_subject_publishes_at_most_so_fast_and_a_backend_as_fast_as_it_likes() {
    let guarded = start(|limits| {
        limits.subject_events = at_most(1);
        limits.address_requests = at_most(1);
    })
    .await;
    let token = guarded.token("alpha", serde_json::json!({ "publish": ["a"] }));
    let address = |n: u32| format!("192.0.2.{n}");
    let publish = |n| from(&address(n), guarded.post("/topics/a", "x", &token));
    for n in 1..=SAVED_SECONDS {
        assert_eq!(publish(n).answer().await.status, 201);
    }
    publish(100).answer().await.problem(429, "too-many-events-of-subject");
    let json = r#"[{"topic":"a","data":"1"},{"topic":"a","data":"2"}]"#;
    let many = || from("192.0.2.101", guarded.post("/events", json, &token));
    many()
        .content_type("application/json")
        .answer()
        .await
        .problem(429, "too-many-events-of-subject");
    guarded.server.tick(Duration::from_secs(2));
    assert_eq!(many().content_type("application/json").answer().await.status, 201);
    for n in 0..3 * SAVED_SECONDS {
        let backend = from("192.0.2.1", guarded.post("/topics/a", &n.to_string(), API_KEY));
        assert_eq!(backend.answer().await.status, 201);
    }
}

/// A body that is streamed waits, as for a journal that is slow, and loses nothing.
#[tokio::test]
async fn a_streamed_body_that_is_too_fast_waits() {
    let guarded = start_with(|config| {
        config.trusted_proxies = vec![Network::parse("127.0.0.0/8").unwrap()];
        config.limits.subject_events = at_most(100);
        config.time = tidings_server::TimeSource::Machine;
    })
    .await;
    let token = guarded.token("alpha", serde_json::json!({ "publish": ["a"] }));
    let lines = "{\"topic\":\"a\",\"data\":\"1\"}\n".repeat(1010);
    let ask = from("192.0.2.1", guarded.post("/events", &lines, &token));
    let began = std::time::Instant::now();
    let answer = ask.content_type("application/x-ndjson").answer().await;
    assert_eq!(answer.json()["committed"], 1010);
    // Those of ten seconds go out at once, and the last ten need a tenth of a second.
    assert!(began.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn limits_and_proxies_change_while_the_server_runs() {
    let guarded = start(|limits| limits.address_streams = at_most(1)).await;
    let get = || from("192.0.2.1", guarded.server.get("/topics/open/a"));
    let _first = get().stream().await;
    assert_eq!(get().answer().await.status, 429);
    let mut config = ServerConfig::default();
    guard(&mut config);
    config.trusted_proxies = vec![Network::parse("127.0.0.0/8").unwrap()];
    config.limits.address_streams = at_most(2);
    guarded.control.reload(&config);
    let _second = get().stream().await;
    assert_eq!(get().answer().await.status, 429);
    // Without a trusted proxy, it is a client on this machine.
    config.trusted_proxies.clear();
    guarded.control.reload(&config);
    let _third = get().stream().await;
}

#[tokio::test]
async fn a_client_on_this_machine_is_not_limited() {
    let guarded = start_with(|config| {
        config.limits.address_streams = at_most(1);
        config.limits.address_requests = at_most(1);
    })
    .await;
    for _ in 0..3 * SAVED_SECONDS {
        let get = guarded.server.request(Method::HEAD, "/topics/open/a");
        assert_eq!(get.send().await.status(), 200);
    }
}

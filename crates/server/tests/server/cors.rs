//! Pages of other origins: those that are listed can, the others cannot.

use http::Method;
use tidings_server::{Origin, Others};

use crate::harness::{Running, Whole, start, start_with};

const APP: &str = "https://app.example";

/// A server that one origin may use.
async fn listed() -> Running {
    start_with(|config, _| config.origins.listed = vec![Origin::parse(APP).unwrap()]).await
}

async fn preflight(server: &Running, path: &str, method: &str, headers: &str) -> Whole {
    let mut ask = server
        .request(Method::OPTIONS, path)
        .header("origin", APP)
        .header("sec-fetch-site", "cross-site")
        .header("access-control-request-method", method);
    if !headers.is_empty() {
        ask = ask.header("access-control-request-headers", headers);
    }
    ask.answer().await
}

fn allows(answer: &Whole, name: &str) -> bool {
    let names = answer.header("access-control-allow-headers");
    names.split(',').any(|allowed| allowed.trim().eq_ignore_ascii_case(name))
}

#[tokio::test]
async fn t48_a_preflight_for_the_last_event_id_alone_names_the_exact_origin() {
    let server = listed().await;
    for path in ["/topics/a", "/events?match=**"] {
        let answer = preflight(&server, path, "GET", "last-event-id").await;
        assert_eq!(answer.status, 204);
        assert_eq!(answer.header("access-control-allow-origin"), APP);
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
        assert!(allows(&answer, "last-event-id"));
        assert!(answer.header("vary").contains("Origin"));
    }
}

#[tokio::test]
async fn t48_the_request_after_the_preflight_resumes() {
    let server = listed().await;
    // Over 128 bytes, which is what makes Chromium ask first.
    let id = "x".repeat(128);
    server.post("/topics/a", "1").header("event-id", &id).answer().await;
    server.publish("a", "2").await;
    let get = server.get("/topics/a").header("origin", APP).header("last-event-id", &id);
    let mut stream = get.stream().await;
    assert_eq!(stream.header("access-control-allow-origin"), APP);
    assert_eq!(stream.data().await, "2");
}

#[tokio::test]
async fn a_preflight_for_publishing_allows_every_header_the_api_reads() {
    let server = listed().await;
    let answer = preflight(&server, "/events", "POST", "content-type,idempotency-key").await;
    assert_eq!(answer.status, 204);
    let methods = answer.header("access-control-allow-methods");
    assert!(methods.split(", ").any(|method| method == "POST"), "{methods}");
    for name in [
        "last-event-id",
        "cache-control",
        "content-type",
        "authorization",
        "idempotency-key",
        "event-type",
        "event-id",
    ] {
        assert!(allows(&answer, name), "{name}");
    }
    assert!(answer.header("access-control-max-age").parse::<u32>().unwrap() > 0);
}

#[tokio::test]
async fn a_listed_origin_may_send_the_headers_that_monitoring_adds() {
    let server = listed().await;
    let asked = "sentry-trace,traceparent,x-requested-with";
    let answer = preflight(&server, "/topics/a", "POST", asked).await;
    let names: Vec<_> = answer.headers.get_all("access-control-allow-headers").iter().collect();
    assert!(names.iter().any(|names| *names == asked), "{names:?}");
    assert!(allows(&answer, "last-event-id"));
    // Any origin may read without credentials, and with the headers of reading alone.
    let server = start_with(|config, _| config.origins.others = Others::Read).await;
    let answer = preflight(&server, "/topics/a", "GET", asked).await;
    assert_eq!(answer.headers.get_all("access-control-allow-headers").iter().count(), 1);
    assert!(!allows(&answer, "traceparent"));
}

#[tokio::test]
async fn c6_credentials_are_answered_with_the_one_origin_and_never_with_a_star() {
    let server = listed().await;
    let first = server.publish("a", "1").await;
    // The first connection and a reconnection alike.
    for id in ["", &first] {
        let get = server.get("/topics/a").header("origin", APP).header("cookie", "a=b");
        let stream = get.header("last-event-id", id).stream().await;
        assert_eq!(stream.header("access-control-allow-origin"), APP);
        assert_eq!(stream.header("access-control-allow-credentials"), "true");
        assert!(stream.header("access-control-expose-headers").contains("Last-Event-ID"));
        let vary: Vec<_> = stream.headers.get_all("vary").iter().collect();
        assert!(vary.iter().any(|value| *value == "Origin"), "{vary:?}");
    }
    // Errors can be read by the page as well.
    let answer = server.get("/events").header("origin", APP).answer().await;
    answer.problem(400, "missing-parameter");
    assert_eq!(answer.header("access-control-allow-origin"), APP);
}

#[tokio::test]
async fn a_listed_origin_publishes() {
    let server = listed().await;
    let post = server.post("/topics/a", "1").header("origin", APP);
    let answer = post.header("sec-fetch-site", "cross-site").answer().await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("access-control-allow-origin"), APP);
}

#[tokio::test]
async fn a_foreign_origin_neither_publishes_nor_reads_nor_learns_why() {
    for server in [start().await, listed().await] {
        for origin in ["https://evil.example", "null", "http://localhost:1"] {
            let post = server.post("/topics/a", "1").header("origin", origin);
            let get = server.get("/topics/a").header("origin", origin);
            let asked = server.request(Method::OPTIONS, "/topics/a").header("origin", origin);
            let asked = asked.header("access-control-request-method", "GET");
            for ask in [post, get, asked] {
                let answer = ask.answer().await;
                answer.problem(403, "foreign-origin");
                assert_eq!(answer.header("access-control-allow-origin"), "");
            }
        }
        assert!(server.held("a").is_empty());
    }
}

#[tokio::test]
async fn any_origin_reads_without_credentials_where_that_is_configured() {
    let server = start_with(|config, _| config.origins.others = Others::Read).await;
    server.publish("a", "1").await;
    for origin in ["https://anybody.example", "null"] {
        let get = server.get("/topics/a?last_event_id=earliest").header("origin", origin);
        let mut stream = get.stream().await;
        assert_eq!(stream.header("access-control-allow-origin"), "*");
        assert_eq!(stream.header("access-control-allow-credentials"), "");
        assert_eq!(stream.data().await, "1");
        let post = server.post("/topics/a", "2").header("origin", origin);
        post.answer().await.problem(403, "foreign-origin");
    }
    let answer = preflight(&server, "/topics/a", "GET", "last-event-id").await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert!(allows(&answer, "last-event-id"));
    preflight(&server, "/topics/a", "POST", "").await.problem(403, "foreign-origin");
}

#[tokio::test]
async fn the_servers_own_pages_need_nothing() {
    let server = start().await;
    let origin = format!("http://{}", server.address);
    let post = server.post("/topics/a", "1").header("origin", &origin);
    let answer = post.header("sec-fetch-site", "same-origin").answer().await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("access-control-allow-origin"), "");
    assert_eq!(answer.header("vary"), "Origin");
}

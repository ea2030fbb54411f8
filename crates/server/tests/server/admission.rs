//! Every route stands behind admission.

use http::Method;
use tidings_server::{HostName, Hosts};

use crate::harness::{start, start_with};

const PATHS: [&str; 9] = [
    "/",
    "/topics/a",
    "/events?topic=a",
    "/topics",
    "/healthz",
    "/readyz",
    "/metrics",
    "/assets/index.css",
    "/nothing",
];

#[tokio::test]
async fn no_route_answers_to_a_foreign_host_or_origin() {
    let server = start().await;
    for path in PATHS {
        for method in [Method::GET, Method::POST, Method::OPTIONS, Method::PUT] {
            // Load balancers probe an address.
            if !["/healthz", "/readyz"].contains(&path) {
                let ask = server.request(method.clone(), path).host("evil.example");
                let detail = ask.answer().await.problem(421, "foreign-host");
                assert!(detail.contains("evil.example") && detail.contains("--allow-host"));
            }
            let ask = server.request(method, path).header("origin", "http://evil.example");
            let detail = ask.answer().await.problem(403, "foreign-origin");
            assert!(detail.contains("http://evil.example") && detail.contains("--allow-origin"));
        }
    }
}

#[tokio::test]
async fn a_page_of_another_site_makes_no_browser_publish() {
    let server = start().await;
    // As a form without an Origin of its own would be sent.
    let post = server.post("/topics/a", "1").header("sec-fetch-site", "cross-site");
    post.answer().await.problem(403, "foreign-site");
    assert!(server.held("a").is_empty());
}

#[tokio::test]
async fn an_image_of_another_site_holds_no_stream() {
    let server = start().await;
    server.publish("a", "1").await;
    let ask = |path: &str, mode: &str| {
        let ask = server.get(path).header("sec-fetch-site", "cross-site");
        ask.header("sec-fetch-mode", mode)
    };
    for path in ["/topics/a", "/events?topic=a", "/events?match=**"] {
        ask(path, "no-cors").answer().await.problem(403, "foreign-site");
    }
    let waiting = ask("/topics/a?wait=30s", "no-cors").header("accept", "application/json");
    waiting.answer().await.problem(403, "foreign-site");
    // A link to it can be followed.
    let mut stream = ask("/topics/a?last_event_id=earliest", "navigate").stream().await;
    assert_eq!(stream.data().await, "1");
    assert_eq!(ask("/", "navigate").answer().await.status, 200);
}

#[tokio::test]
async fn a_request_without_a_host_is_refused_and_one_by_http_1_0_is_not() {
    let server = start().await;
    let answer = server.raw("GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("missing-host"), "{answer}");
    let answer = server.raw("GET /healthz HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 200 "), "{answer}");
}

#[tokio::test]
async fn a_listed_host_is_served() {
    let name = HostName::parse("news.example").unwrap();
    let server = start_with(|config, _| config.hosts = Hosts::Listed(vec![name])).await;
    assert_eq!(server.get("/topics").host("news.example:80").answer().await.status, 200);
    server.get("/topics").host("other.example").answer().await.problem(421, "foreign-host");
    let server = start_with(|config, _| config.hosts = Hosts::Any).await;
    assert_eq!(server.get("/topics").host("other.example").answer().await.status, 200);
}

#[tokio::test]
async fn no_answer_is_taken_for_a_script() {
    let server = start().await;
    for path in PATHS {
        for response in [server.get(path).send().await, server.get(path).send_http2().await] {
            assert_eq!(response.headers()["x-content-type-options"], "nosniff", "{path}");
            let vary = response.headers().get_all("vary");
            assert!(vary.iter().any(|value| value == "Origin"), "{path}");
        }
    }
}

//! The groups about requests: HTTP, reconnection, and the capabilities.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::harness::Harness;

#[tokio::test]
async fn the_service_claims_every_capability_but_event_type_listeners() {
    let harness = Harness::new().await;
    let response = harness.rest(Method::GET, "/", &Value::Null).await;
    assert_eq!(response.status(), StatusCode::OK);
    let claims: Value = serde_json::from_slice(response.body()).expect("JSON");
    let mut capabilities: Vec<_> = claims["capabilities"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|claim| claim.as_str().expect("a name"))
        .collect();
    capabilities.sort_unstable();
    assert_eq!(
        capabilities,
        [
            "bom",
            "comments",
            "headers",
            "last-event-id",
            "post",
            "read-timeout",
            "report",
            "restart",
            "server-directed-shutdown-request",
        ]
    );
    harness.stop().await;
}

#[tokio::test]
async fn what_is_no_request_of_the_contract_is_refused() {
    let harness = Harness::new().await;
    let status = |response: http::Response<_>| response.status().as_u16();
    assert_eq!(status(harness.rest(Method::POST, "/", &json!({"tag": "x"})).await), 400);
    let stream = harness.create(json!({})).await;
    let unknown = json!({"command": "dance"});
    assert_eq!(status(harness.rest(Method::POST, &stream, &unknown).await), 400);
    assert_eq!(status(harness.rest(Method::POST, "/streams/99", &unknown).await), 404);
    assert_eq!(harness.delete("/streams/99").await, StatusCode::NOT_FOUND);
    assert_eq!(harness.delete(&stream).await, StatusCode::NO_CONTENT);
    assert_eq!(harness.delete(&stream).await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn http_the_default_request() {
    let harness = Harness::new().await;
    harness.create(json!({})).await;
    let request = harness.streams.request().await;
    assert_eq!(request.line, "GET /stream HTTP/1.1");
    assert_eq!(request.header("accept").as_deref(), Some("text/event-stream"));
    assert_eq!(request.header("cache-control").as_deref(), Some("no-cache"));
    assert_eq!(request.header("last-event-id"), None);
}

#[tokio::test]
async fn http_redirects_are_followed() {
    for status in ["301 Moved Permanently", "307 Temporary Redirect"] {
        let mut harness = Harness::new().await;
        harness.create(json!({})).await;
        let location = format!("location: {}\r\n", harness.streams.url("/moved"));
        harness.streams.request().await.refuse(status, &location).await;
        let request = harness.streams.request().await;
        assert_eq!(request.line, "GET /moved HTTP/1.1");
        request.open().await.send("data: Hello\n\n").await;
        harness.expect_event("message", "Hello", "").await;
    }
}

#[tokio::test]
async fn http_a_redirect_to_nowhere_is_an_error() {
    for status in ["301 Moved Permanently", "307 Temporary Redirect"] {
        for location in ["", "location:\r\n"] {
            let mut harness = Harness::new().await;
            harness.create(json!({"initialDelayMs": 0})).await;
            harness.streams.request().await.refuse(status, location).await;
            harness.expect_error().await;
        }
    }
}

#[tokio::test]
async fn headers_post_and_report() {
    let harness = Harness::new().await;
    harness.create(json!({"headers": {"header-name-1": "v1", "header-name-2": "v2"}})).await;
    let request = harness.streams.request().await;
    assert_eq!(request.header("header-name-1").as_deref(), Some("v1"));
    assert_eq!(request.header("header-name-2").as_deref(), Some("v2"));

    for method in ["POST", "REPORT"] {
        let mut harness = Harness::new().await;
        let json = "application/json; charset=utf-8";
        harness
            .create(json!({
                "initialDelayMs": 0, "method": method, "body": "{\"a\":1}",
                "headers": {"content-type": json},
            }))
            .await;
        // And the same again after a dropped connection.
        for data in ["one", "two"] {
            let request = harness.streams.request().await;
            assert_eq!(request.line, format!("{method} /stream HTTP/1.1"));
            assert_eq!(request.header("content-type").as_deref(), Some(json));
            assert_eq!(request.body, b"{\"a\":1}");
            let mut stream = request.open().await;
            stream.send(format!("data: {data}\n\n")).await;
            harness.expect_event_after_break(data, "").await;
            stream.end().await;
        }
    }
}

#[tokio::test]
async fn last_event_id_of_the_first_request() {
    let harness = Harness::new().await;
    harness.create(json!({"lastEventId": "abc"})).await;
    let request = harness.streams.request().await;
    assert_eq!(request.header("last-event-id").as_deref(), Some("abc"));
}

/// Checks the events of one connection's text, and the last event ID of the next request.
async fn reconnection(first: &str, events: &[(&str, &str)], asked: Option<&str>) {
    let mut harness = Harness::new().await;
    harness.create(json!({"initialDelayMs": 0})).await;
    let mut stream = harness.streams.open().await;
    stream.send(first).await;
    for (data, id) in events {
        harness.expect_event("message", data, id).await;
    }
    stream.end().await;
    let request = harness.streams.request().await;
    assert_eq!(request.header("last-event-id").as_deref(), asked, "after {first:?}");
    let mut stream = request.open().await;
    stream.send("data: again\n\n").await;
    harness.expect_event_after_break("again", asked.unwrap_or_default()).await;
}

#[tokio::test]
async fn reconnection_keeps_drops_and_discards_as_it_should() {
    reconnection("data: a\n\n", &[("a", "")], None).await;
    reconnection("id: 1\ndata: a\n\n", &[("a", "1")], Some("1")).await;
    reconnection("id: 1\ndata: a\n\ndata: b\n\n", &[("a", "1"), ("b", "1")], Some("1")).await;
    reconnection("id: 1\ndata: a\n\nid\ndata: b\n\n", &[("a", "1"), ("b", "")], None).await;
    reconnection("id: 1\ndata: a\n\nid: 2\ndata: b\n", &[("a", "1")], Some("1")).await;
}

#[tokio::test]
async fn read_timeout_is_an_error_and_a_new_request() {
    let mut harness = Harness::new().await;
    harness.create(json!({"initialDelayMs": 0, "readTimeoutMs": 500})).await;
    let mut silent = harness.streams.open().await;
    silent.send("data: a\n\n").await;
    harness.expect_event("message", "a", "").await;
    harness.expect_error().await;
    let mut stream = harness.streams.open().await;
    stream.send("data: b\n\n").await;
    harness.expect_event("message", "b", "").await;
}

#[tokio::test]
async fn restart_makes_a_new_request_and_no_error() {
    let mut harness = Harness::new().await;
    let path = harness.create(json!({"initialDelayMs": 0})).await;
    let mut first = harness.streams.open().await;
    first.send("id: 1\ndata: a\n\n").await;
    harness.expect_event("message", "a", "1").await;
    let response = harness.rest(Method::POST, &path, &json!({"command": "restart"})).await;
    assert!(response.status().is_success());
    let request = harness.streams.request().await;
    assert_eq!(request.header("last-event-id").as_deref(), Some("1"));
    let mut stream = request.open().await;
    stream.send("data: b\n\n").await;
    harness.expect_event("message", "b", "1").await;
}

#[tokio::test]
async fn a_204_ends_the_requests_until_the_harness_restarts() {
    let mut harness = Harness::new().await;
    let path = harness.create(json!({"initialDelayMs": 0})).await;
    harness.streams.request().await.refuse("204 No Content", "").await;
    harness.expect_error().await;
    // The next request is the restart's, so no other one was made: a source that had gone on by
    // itself would have reported another error first.
    let response = harness.rest(Method::POST, &path, &json!({"command": "restart"})).await;
    assert!(response.status().is_success());
    let mut stream = harness.streams.open().await;
    stream.send("data: a\n\n").await;
    harness.expect_event("message", "a", "").await;
    assert_eq!(harness.delete(&path).await, StatusCode::NO_CONTENT);
    stream.hung_up().await;
}

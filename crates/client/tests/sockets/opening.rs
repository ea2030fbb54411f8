//! Requests, redirects, and responses that open a stream, on sockets.

use tidings_client::{
    Closed, Credentials, EventSource, Occasion, RedirectError, Refusal, Resumption,
};

use crate::server::Server;
use crate::watch::watch;

#[tokio::test]
async fn c1_the_request_on_the_wire_is_the_standards() {
    let server = Server::new().await;
    let _watch = watch(EventSource::get(&server.url("/events?topic=a%20b#part")));
    let request = server.request().await;
    assert_eq!(request.line, "GET /events?topic=a%20b HTTP/1.1");
    assert_eq!(request.header("accept").as_deref(), Some("text/event-stream"));
    assert_eq!(request.header("cache-control").as_deref(), Some("no-cache"));
    assert_eq!(request.header("host"), Some(server.address().to_string()));
    assert_eq!(request.header("last-event-id"), None);
    assert_eq!(request.header("content-length"), None);
}

#[tokio::test]
async fn c1_any_header_method_and_body_go_out() {
    let server = Server::new().await;
    let report = http::Method::from_bytes(b"REPORT").expect("a method");
    let builder = EventSource::request(report, &server.url("/"))
        .header("x-color", "blue")
        .header("accept", "text/event-stream, */*")
        .json(&serde_json::json!({"stream": true}));
    let mut watch = watch(builder);
    let request = server.request().await;
    assert_eq!(request.line, "REPORT / HTTP/1.1");
    assert_eq!(request.header("x-color").as_deref(), Some("blue"));
    assert_eq!(request.header("accept").as_deref(), Some("text/event-stream, */*"));
    assert_eq!(request.header("content-type").as_deref(), Some("application/json"));
    assert_eq!(request.body, br#"{"stream":true}"#);
    request.open().await;
    watch.open().await;
}

#[tokio::test]
async fn c2_only_200_with_the_mime_type_opens() {
    let server = Server::new().await;
    let mut watch = watch(EventSource::get(&server.url("/")));
    let head = "content-type: Text/Event-Stream;charset=utf-8\r\n";
    let mut stream = server.request().await.respond("200 OK", head).await;
    let open = watch.open().await;
    assert_eq!((open.status.as_u16(), open.resumption), (200, Resumption::Fresh));
    // Without a length and without chunks: the end of the connection is the end.
    stream.raw(b"data: a\n\n").await;
    assert_eq!(watch.event().await, "a");
}

#[tokio::test]
async fn t24_a_page_is_refused_with_its_type_and_its_beginning() {
    let server = Server::new().await;
    let mut watch = watch(EventSource::get(&server.url("/")));
    let head = "content-type: text/html\r\ncontent-length: 13\r\n";
    server.request().await.respond("200 OK", head).await.raw(b"data: log in\n").await;
    match watch.closed().await {
        Closed::Refused(refused) => {
            assert_eq!(refused.reason, Refusal::ContentType(Some("text/html".into())));
            assert_eq!(&refused.body[..], b"data: log in\n");
        }
        other => panic!("{other:?}"),
    }
    watch.finished().await;
}

#[tokio::test]
async fn t49_no_other_status_is_read_as_a_stream() {
    for status in ["205 Reset Content", "299 Odd", "404 Not Found"] {
        let server = Server::new().await;
        let mut watch = watch(EventSource::get(&server.url("/")));
        let head = "content-type: text/event-stream\r\ncontent-length: 16\r\n";
        let mut response = server.request().await.respond(status, head).await;
        response.raw(b"id: 1\ndata: no\n\n").await;
        match watch.closed().await {
            Closed::Refused(refused) => assert_eq!(refused.reason, Refusal::Status, "{status}"),
            other => panic!("{status}: {other:?}"),
        }
        assert_eq!(watch.finished().await.last_event_id(), "", "{status}");
    }
}

#[tokio::test]
async fn t25_secrets_stay_behind_and_the_reconnection_goes_to_the_original_url() {
    let server = Server::new().await;
    let url = server.url("/start").replace("http://", "http://user:pass@");
    let builder = EventSource::get(&url)
        .header("cookie", "a=b")
        .secret_header("x-own-key", "k")
        .header("x-trace", "1")
        .last_event_id("7");
    let mut watch = watch(builder);

    let request = server.request().await;
    assert_eq!(request.line, "GET /start HTTP/1.1");
    assert_eq!(request.header("authorization").as_deref(), Some("Basic dXNlcjpwYXNz"));
    assert_eq!(request.header("x-own-key").as_deref(), Some("k"));
    let location = format!("location: {}\r\n", server.other_origin("/there"));
    request.refuse("302 Found", &location).await;

    let request = server.request().await;
    assert_eq!(request.line, "GET /there HTTP/1.1");
    for secret in ["authorization", "cookie", "x-own-key"] {
        assert_eq!(request.header(secret), None, "{secret} left its origin");
    }
    assert_eq!(request.header("x-trace").as_deref(), Some("1"));
    assert_eq!(request.header("last-event-id").as_deref(), Some("7"));
    let stream = request.open().await;
    assert_eq!(watch.open().await.url, server.other_origin("/there"));
    stream.end().await;

    watch.wait().await;
    let request = server.request().await;
    assert_eq!(request.line, "GET /start HTTP/1.1");
    assert!(request.header("authorization").is_some());
}

#[tokio::test]
async fn t25_relative_redirects_are_followed_and_a_loop_ends() {
    let server = Server::new().await;
    let mut watch = watch(EventSource::get(&server.url("/a/b")));
    let request = server.request().await;
    request.refuse("308 Permanent Redirect", "location: c?d\r\n").await;
    for _ in 0..20 {
        let request = server.request().await;
        assert_eq!(request.line, "GET /a/c?d HTTP/1.1");
        request.refuse("307 Temporary Redirect", "location: c?d\r\n").await;
    }
    let closed = watch.closed().await;
    assert!(matches!(closed, Closed::Redirect(RedirectError::TooMany)), "{closed:?}");
    watch.finished().await;
}

#[tokio::test]
async fn t32_a_401_has_the_credentials_made_anew_once() {
    let server = Server::new().await;
    let builder = EventSource::get(&server.url("/")).authorize(|occasion| async move {
        Credentials::bearer(match occasion {
            Occasion::Unauthorized => "fresh",
            _ => "cached",
        })
    });
    let mut watch = watch(builder);
    for _ in 0..2 {
        let request = server.request().await;
        assert_eq!(request.header("authorization").as_deref(), Some("Bearer cached"));
        request.refuse("401 Unauthorized", "").await;
        let request = server.request().await;
        assert_eq!(request.header("authorization").as_deref(), Some("Bearer fresh"));
        let stream = request.open().await;
        watch.open().await;
        stream.end().await;
        watch.wait().await;
    }
    server.request().await.refuse("401 Unauthorized", "").await;
    server.request().await.refuse("401 Unauthorized", "").await;
    let closed = watch.closed().await;
    assert!(matches!(&closed, Closed::Refused(refused) if refused.status == 401), "{closed:?}");
}

#[tokio::test]
async fn t32_a_function_without_credentials_is_a_failed_attempt() {
    let server = Server::new().await;
    let asked = std::sync::atomic::AtomicU32::new(0);
    let builder = EventSource::get(&server.url("/")).authorize(move |_| {
        let first = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
        async move {
            match first {
                true => Err("no token yet".to_owned()),
                false => Credentials::bearer("t").map_err(|error| error.to_string()),
            }
        }
    });
    let mut watch = watch(builder);
    let retrying = watch.wait().await;
    assert!(matches!(retrying.cause, tidings_client::Cause::Credentials(_)), "{retrying:?}");
    server.open().await;
    watch.open().await;
}

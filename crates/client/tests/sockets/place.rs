//! The last event ID, across connections.

use tidings_client::{EventSource, Resumption};

use crate::server::Server;
use crate::watch::{Order, watch};

#[tokio::test]
async fn t20_an_event_without_an_id_keeps_the_place() {
    let server = Server::new().await;
    let mut watch = watch(EventSource::get(&server.url("/")));
    let mut stream = server.open().await;
    watch.open().await;
    stream.send("id: 1\ndata: a\n\n").await;
    assert_eq!(watch.event().await, "a");
    stream.cut();
    for _ in 0..2 {
        watch.wait().await;
        let request = server.request().await;
        assert_eq!(request.header("last-event-id").as_deref(), Some("1"));
        let mut stream = request.open().await;
        assert_eq!(watch.open().await.resumption, Resumption::After("1".into()));
        stream.send("data: b\n\n").await;
        assert_eq!(watch.event().await, "b");
        stream.end().await;
    }
}

#[tokio::test]
async fn t21_the_header_carries_utf8_bytes_or_is_absent() {
    let server = Server::new().await;
    let mut watch = watch(EventSource::get(&server.url("/")).last_event_id("é…"));
    for (id, sent) in
        [("", Some("é…")), ("id: ü\n\n", Some("ü")), ("id: a\u{1}\n\n", None), ("id\n\n", None)]
    {
        let request = server.request().await;
        assert_eq!(request.headers.contains_key("last-event-id"), sent.is_some(), "{sent:?}");
        if let Some(sent) = sent {
            assert_eq!(request.headers["last-event-id"], sent.as_bytes());
        }
        let mut stream = request.open().await;
        watch.open().await;
        // The ID that the next request is to carry.
        let next = match id {
            "" => "id: ü\n\n",
            "id: ü\n\n" => "id: a\u{1}\n\n",
            _ => "id\n\n",
        };
        stream.send(next).await;
        stream.end().await;
        watch.wait().await;
    }
}

#[tokio::test]
async fn t21_an_id_that_cannot_be_sent_is_said_at_the_opening() {
    let server = Server::new().await;
    let mut watch = watch(EventSource::get(&server.url("/")).last_event_id("a\u{7f}"));
    let request = server.request().await;
    assert_eq!(request.header("last-event-id"), None);
    request.open().await;
    assert_eq!(watch.open().await.resumption, Resumption::Unsendable("a\u{7f}".into()));
}

#[tokio::test]
async fn t29_a_block_cut_off_is_discarded_and_glued_to_nothing() {
    let server = Server::new().await;
    let mut watch = watch(EventSource::get(&server.url("/")));
    let mut stream = server.open().await;
    watch.open().await;
    stream.send("id: 1\ndata: a\n\nid: 2\ndata: ha").await;
    assert_eq!(watch.event().await, "a");
    stream.reset();
    watch.wait().await;
    let request = server.request().await;
    assert_eq!(request.header("last-event-id").as_deref(), Some("1"));
    let mut stream = request.open().await;
    watch.open().await;
    stream.send("lf\n\ndata: b\n\n").await;
    assert_eq!(watch.event().await, "b");
}

#[tokio::test]
async fn t31_an_event_of_14_million_bytes_arrives_and_one_of_17_ends_it() {
    let server = Server::new().await;
    let mut watch = watch(EventSource::get(&server.url("/")));
    let mut stream = server.open().await;
    watch.open().await;
    let sender = tokio::spawn(async move {
        stream.send(format!("id: 1\ndata: {}\n\n", "x".repeat(14_000_000))).await;
        stream.send("id: 2\ndata: ").await;
        // The client hangs up during this, so writing may fail.
        let more = "x".repeat(1_000_000);
        for _ in 0..17 {
            stream.send(&more).await;
        }
    });
    assert_eq!(watch.event().await.len(), 14_000_000);
    let closed = watch.closed().await;
    assert!(matches!(closed, tidings_client::Closed::Limit(_)), "{closed:?}");
    let source = watch.finished().await;
    assert_eq!(source.last_event_id(), "1");
    drop(source);
    // The sender may fail because the connection is gone; it must only end.
    let _ = sender.await;
}

#[tokio::test]
async fn restart_reconnects_at_once_from_the_same_place() {
    let server = Server::new().await;
    let mut watch = watch(EventSource::get(&server.url("/")));
    let mut stream = server.open().await;
    watch.open().await;
    stream.send("id: 1\ndata: a\n\ndata: half").await;
    assert_eq!(watch.event().await, "a");
    watch.order(Order::Restart).await;
    let request = server.request().await;
    assert_eq!(request.header("last-event-id").as_deref(), Some("1"));
    stream.hung_up().await;
    request.open().await;
    watch.open().await;
}

//! Clients that misuse the connection of their stream harm only themselves, and readers beside it
//! lose nothing.

use http::Method;

use crate::harness::{Running, start};
use crate::wire::{Others, RawReader, request};

/// Bytes after a request that are thrown away at most.
const DISCARDED_BYTES_MAX: usize = 1024;

/// Expects that only the others are still there, and that they lack nothing.
async fn only_others_stay(server: &Running, others: &mut Others) {
    others.publish(server, 1).await;
    others.lose_nothing().await;
    assert_eq!(server.hub.stats().subscribers, Others::COUNT);
}

#[tokio::test]
async fn a_kibibyte_that_comes_with_a_request_is_ignored() {
    let server = start().await;
    let mut others = Others::join(&server).await;
    let bytes = request("/topics/news") + &"x".repeat(DISCARDED_BYTES_MAX);
    let mut reader = RawReader::send(&server, bytes).await;
    reader.text_with("retry: ").await;
    others.publish(&server, 1).await;
    let text = reader.text_with("data: 1\n\n").await;
    assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{text}");
    others.lose_nothing().await;
    // It is all that such a client may ever send.
    reader.write("x").await;
    server.one_ends_as("client-sent-data").await;
    only_others_stay(&server, &mut others).await;
}

#[tokio::test]
async fn more_than_a_kibibyte_with_a_request_ends_its_connection() {
    let server = start().await;
    let mut others = Others::join(&server).await;
    for (n, more) in [1, 20_000].into_iter().enumerate() {
        let bytes = request("/topics/news") + &"x".repeat(DISCARDED_BYTES_MAX + more);
        RawReader::send(&server, bytes).await.rest().await;
        while server.departures().await != [("client-sent-data".to_owned(), n + 1)] {}
    }
    only_others_stay(&server, &mut others).await;
}

#[tokio::test]
async fn a_reader_that_talks_on_is_closed_once_it_has_sent_a_kibibyte() {
    let server = start().await;
    let mut others = Others::join(&server).await;
    let mut reader = RawReader::open(&server, "/topics/news").await;
    for half in 1..=2 {
        reader.write("x".repeat(DISCARDED_BYTES_MAX / 2)).await;
        others.publish(&server, 1).await;
        reader.text_with(&format!("data: {half}\n\n")).await;
    }
    assert!(server.departures().await.is_empty());
    reader.write("x").await;
    reader.rest().await;
    server.one_ends_as("client-sent-data").await;
    only_others_stay(&server, &mut others).await;
}

#[tokio::test]
async fn a_second_request_is_neither_answered_nor_parsed() {
    let server = start().await;
    let mut others = Others::join(&server).await;
    let publish =
        "POST /topics/news HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\nsecond";
    let mut at_once = RawReader::send(&server, request("/topics/news") + publish).await;
    at_once.text_with("retry: ").await;
    let mut later = RawReader::open(&server, "/topics/news").await;
    later.write(publish).await;
    later.write(request("/healthz")).await;

    others.publish(&server, 1).await;
    others.lose_nothing().await;
    let end = server.request(Method::DELETE, "/subscribers?topic=news");
    assert_eq!(end.answer().await.status, 204);
    for reader in [at_once, later] {
        let text = reader.rest().await;
        assert!(text.contains("data: 1\n\n") && text.ends_with("\r\n0\r\n\r\n"), "{text}");
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{text}");
        assert!(!text.contains("second"), "{text}");
    }
    assert_eq!(server.held("news"), ["1"]);
}

#[tokio::test]
async fn a_reader_that_closes_its_side_has_left() {
    let server = start().await;
    let mut others = Others::join(&server).await;
    for (n, version) in ["HTTP/1.1", "HTTP/1.0"].into_iter().enumerate() {
        let bytes = request("/topics/news").replace("HTTP/1.1", version);
        let mut reader = RawReader::send(&server, bytes).await;
        reader.text_with("retry: ").await;
        others.publish(&server, 1).await;
        reader.text_with("data: ").await;
        reader.half_close().await;
        // Without a last chunk, which would say that the stream is whole.
        let text = reader.rest().await;
        assert!(text.starts_with(&format!("{version} 200 ")), "{text}");
        assert!(!text.ends_with("\r\n0\r\n\r\n"), "{text}");
        while server.departures().await != [("client-closed".to_owned(), n + 1)] {}
    }
    only_others_stay(&server, &mut others).await;
}

/// An event that no kernel takes whole for a reader that does not read.
const LARGE: usize = 1_000_000;

#[tokio::test]
async fn a_reset_in_the_middle_of_a_write_is_its_readers_end_alone() {
    let server = start().await;
    let mut others = Others::join(&server).await;
    let reader = RawReader::open(&server, "/topics/news").await;
    // Until the others are further than it: its socket has taken some of an event and refused the
    // rest. What is delivered counts the event that was begun.
    loop {
        others.publish(&server, LARGE).await;
        others.lose_nothing().await;
        let stats = server.hub.stats();
        if stats.delivered < (Others::COUNT as u64 + 1) * stats.published {
            break;
        }
    }
    reader.reset();
    server.one_ends_as("connection-failed").await;
    only_others_stay(&server, &mut others).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resets_while_events_flow_are_their_readers_ends_alone() {
    const RESETS: usize = 200;
    let server = start().await;
    let mut others = Others::join(&server).await;
    let mut open = Vec::new();
    for n in 0..RESETS {
        open.push(RawReader::open(&server, "/topics/news").await);
        others.publish(&server, 50_000).await;
        // Some after none of it, some after one event, some after a few.
        if n % 3 > 0 {
            open.swap_remove(n % open.len()).reset();
        }
    }
    open.into_iter().for_each(RawReader::reset);
    others.lose_nothing().await;
    while server.departures().await != [("connection-failed".to_owned(), RESETS)] {}
    only_others_stay(&server, &mut others).await;
}

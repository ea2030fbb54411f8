//! A stream shows that it is alive.

use std::time::Duration;

use crate::harness::{send_chunk, start, start_with};

#[tokio::test]
async fn t44_the_head_goes_out_before_the_first_event() {
    let server = start().await;
    for path in ["/topics/silent", "/events?topic=a&topic=b", "/events?match=**"] {
        // Both wait for what they name: neither comes later than the connection.
        let mut stream = server.stream(path).await;
        assert_eq!(stream.header("cache-control"), "no-cache, no-transform");
        assert_eq!(stream.header("x-accel-buffering"), "no");
        assert_eq!(stream.text_with("\nretry: ").await, ":\nretry: 2000\n");
    }
}

#[tokio::test]
async fn t44_heartbeats_flow_while_idle() {
    let server = start().await;
    let mut stream = server.stream("/topics/silent").await;
    stream.text_with("retry: 2000\n").await;
    for beats in 1..=3 {
        server.tick(Duration::from_secs(15) * beats);
        stream.text_with(&format!("2000\n{}", ":\n".repeat(beats as usize))).await;
    }
}

#[tokio::test]
async fn t44_heartbeats_flow_while_a_publish_is_stalled() {
    let server = start().await;
    let mut stream = server.stream("/topics/a").await;
    let line = "{\"topic\":\"a\",\"data\":\"1\"}\n";
    let mut publisher = server.stalled("/events", "application/x-ndjson", line).await;
    assert_eq!(stream.data().await, "1");
    let _one = server.stalled("/topics/a", "text/plain", "half of the da").await;
    server.tick(Duration::from_secs(15));
    stream.text_with("data: 1\n\n:\n").await;
    // And the publisher goes on where it was.
    send_chunk(&mut publisher, line).await;
    assert_eq!(stream.data().await, "1");
}

#[tokio::test]
async fn c7_a_comment_comes_within_15_seconds_of_silence() {
    let server = start().await;
    let mut stream = server.stream("/topics/a").await;
    stream.text_with("retry: 2000\n").await;
    // Time goes on in the steps of the server's own ticks.
    let mut now = Duration::ZERO;
    for published in 1..=2 {
        while now < Duration::from_secs(15 * published) {
            now += Duration::from_millis(250);
            server.tick(now);
        }
        stream.text_with(&format!("2000\n{}", ":\n".repeat(published as usize))).await;
    }
}

#[tokio::test]
async fn c7_the_reconnection_time_is_a_few_seconds_unless_configured() {
    let server = start().await;
    assert!(server.stream("/topics/a").await.text_with("retry").await.contains("retry: 2000\n"));
    let server = start_with(|_, hub| hub.reconnection_time = Duration::from_millis(750)).await;
    assert!(server.stream("/topics/a").await.text_with("retry").await.contains("retry: 750\n"));
}

#[tokio::test]
async fn a_stream_whose_reader_left_is_gone() {
    let server = start().await;
    let stream = server.stream("/topics/a").await;
    let stays = server.stream("/topics/a").await;
    assert_eq!(server.hub.stats().subscribers, 2);
    drop(stream);
    while server.hub.stats().subscribers > 1 {
        tokio::task::yield_now().await;
    }
    drop(stays);
}

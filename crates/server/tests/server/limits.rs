//! Requests beyond a limit are refused clearly, and others are served.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Whole, start, start_with};

#[tokio::test]
async fn one_stream_too_many_is_refused_until_another_ends() {
    let server = start_with(|config, _| config.streams_max = 2).await;
    let first = server.stream("/topics/a").await;
    let _second = server.stream("/topics/a").await;
    let answer = server.get("/topics/a").answer().await;
    answer.problem(503, "too-many-streams");
    assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 2);
    // A connection that is refused a stream is not kept: it takes a descriptor, too.
    assert_eq!(answer.header("connection"), "close");
    // To a browser it is a stream that says when to come back.
    let refused = server.get("/topics/a").header("sec-fetch-mode", "cors").stream().await;
    assert_eq!(refused.header("connection"), "close");
    let text = refused.rest().await;
    assert!(text.starts_with("retry: ") && text.contains("\n: "), "{text}");
    assert!(!text.contains("\n\n"), "{text}");
    // A poll that waits is as good as a stream; one that does not wait costs nothing.
    let poll = |path| server.get(path).header("accept", "application/json").answer();
    poll("/topics/a?wait=50s").await.problem(503, "too-many-streams");
    let refused = Whole::read(server.get("/topics/a").send_http2().await).await;
    refused.problem(503, "too-many-streams");
    assert_eq!(refused.header("connection"), "");
    assert_eq!(poll("/topics/a").await.status, 200);
    // Publishers and health do not count.
    server.publish("a", "1").await;
    assert_eq!(server.get("/healthz").answer().await.status, 200);

    drop(first);
    loop {
        let response = server.get("/topics/a").send().await;
        if response.status() == 200 {
            break;
        }
    }
}

#[tokio::test]
async fn a_stream_has_a_limited_number_of_filters() {
    let server = start_with(|config, _| config.filters_max = 3).await;
    server.stream("/events?topic=a&topic=b&match=*").await;
    let answer = server.get("/events?topic=a&topic=b&match=*&match=**").answer().await;
    assert!(answer.problem(400, "invalid-parameter").contains("at most 3"));
}

#[tokio::test]
async fn slow_heads_give_way_and_quick_ones_get_in() {
    let server = start_with(|config, _| config.heads_max = 2).await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: local").await.unwrap();
        slow.push(socket);
    }
    // They are accepted in their order, so that this one comes after them and displaces the first.
    assert_eq!(server.get("/healthz").answer().await.status, 200);
    let mut text = Vec::new();
    // Closed, and reset if bytes were unread.
    let _ = slow[0].read_to_end(&mut text).await;
    assert!(text.is_empty());
    slow[1].write_all(b"host\r\nConnection: close\r\n\r\n").await.unwrap();
    slow[1].read_to_end(&mut text).await.unwrap();
    assert!(text.starts_with(b"HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_connection_that_is_long_over_its_head_is_not_displaced() {
    let server = start_with(|config, _| config.heads_max = 1).await;
    let mut stream = server.stream("/topics/a").await;
    for _ in 0..5 {
        server.publish("a", "x").await;
        assert_eq!(stream.data().await, "x");
    }
}

#[tokio::test]
async fn hundreds_of_streams_at_once_are_served() {
    let server = start().await;
    let mut streams = Vec::new();
    for _ in 0..200 {
        streams.push(server.stream("/topics/a").await);
    }
    server.publish("a", "to all").await;
    for stream in &mut streams {
        assert_eq!(stream.data().await, "to all");
    }
}

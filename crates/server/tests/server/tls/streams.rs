//! Event streams over TLS and HTTP/1, each promise of a stream in clear text once.

use std::time::Duration;

use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

use super::{connect, start_tls};
use crate::harness::{Io, Running, Stream, secure};

/// The default of `stall_timeout`, and a little more.
const STALLED: Duration = Duration::from_secs(61);

/// Asks for a stream on a connection of its own, and gives that.
async fn asked(server: &Running, request: &str) -> Box<dyn Io> {
    let mut stream = connect(server).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Reads until the text contains `part`.
async fn text_with(stream: &mut Box<dyn Io>, part: &str) -> String {
    let mut text = Vec::new();
    loop {
        let found = String::from_utf8_lossy(&text).into_owned();
        if found.contains(part) {
            return found;
        }
        assert!(stream.read_buf(&mut text).await.unwrap() > 0, "{found}");
    }
}

/// Opens a stream with one more header, whose client reads nothing of its events.
async fn unread(server: &Running, path: &str, header: &str) -> Box<dyn Io> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let socket = socket.connect(server.address).await.unwrap();
    let mut stream = secure(socket, server.connector.as_ref(), &["http/1.1"]).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    text_with(&mut stream, "retry: ").await;
    stream
}

/// Closes the streams of a topic.
async fn close(server: &Running, topic: &str) {
    let path = format!("/subscribers?topic={topic}");
    assert_eq!(server.request(Method::DELETE, &path).answer().await.status, 204);
}

const GET: &str = "GET /topics/a HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test]
async fn a_stream_is_as_in_clear_text_and_listed_with_its_address() {
    let server = start_tls(|_, _| {}).await;
    let mut stream = server.stream("/topics/a").await;
    assert_eq!(stream.header("connection"), "close");
    assert_eq!(stream.header("transfer-encoding"), "chunked");
    assert_eq!(stream.text_with("retry: 2000\n").await, ":\nretry: 2000\n");
    for data in ["1", &"x".repeat(200_000), "2"] {
        server.publish("a", data).await;
        assert_eq!(stream.data().await, data);
    }
    let listed = server.get("/subscribers").answer().await.json();
    assert_eq!(listed["total"], 1);
    assert_eq!(listed["subscribers"][0]["protocol"], "HTTP/1.1");
    assert!(listed["subscribers"][0]["address"].as_str().unwrap().starts_with("127.0.0.1:"));
    drop(stream);
    server.one_ends_as("client-closed").await;
}

#[tokio::test]
async fn a_stream_of_http_1_0_ends_with_its_connection() {
    let server = start_tls(|_, _| {}).await;
    let mut stream = asked(&server, "GET /topics/a HTTP/1.0\r\n\r\n").await;
    let head = text_with(&mut stream, "retry: 2000\n").await;
    assert!(!head.contains("chunked"), "{head}");
    server.publish("a", "1").await;
    assert!(text_with(&mut stream, "data: 1\n\n").await.starts_with("id: "));
    close(&server, "a").await;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    server.one_ends_as("completed").await;
}

#[tokio::test]
async fn a_stream_over_http_2_is_as_in_clear_text() {
    let server = start_tls(|_, _| {}).await;
    let mut stream = Stream::new(server.get("/topics/a").send_http2().await);
    stream.text_with("retry: 2000\n").await;
    server.publish("a", "1").await;
    assert_eq!(stream.data().await, "1");
}

/// The server's clock stands still: nothing but the end itself can end the response.
#[tokio::test]
async fn a_response_ends_with_the_stream_of_its_topic() {
    for (end, is_told) in [("end", true), ("end=close", false)] {
        let server = start_tls(|_, _| {}).await;
        let live = server.stream("/topics/c/1").await;
        let http2 = Stream::new(server.get("/topics/c/1").send_http2().await);
        let whole = server.post(&format!("/topics/c/1?begin&{end}"), "last").answer().await;
        assert_eq!(whole.status, 201);
        for stream in [live, http2] {
            let rest = stream.rest().await;
            assert!(rest.contains("data: last\n\n"), "{rest}");
            assert_eq!(rest.contains("event: end\n"), is_told, "{rest}");
        }
    }
}

#[tokio::test]
async fn heartbeats_flow_and_an_end_is_a_clean_one() {
    let server = start_tls(|_, hub| hub.stream_age_max = Some(Duration::from_secs(100))).await;
    let mut stream = server.stream("/topics/a").await;
    stream.text_with("retry: 2000\n").await;
    for beats in 1..=3 {
        server.tick(Duration::from_secs(15) * beats);
        stream.text_with(&format!("2000\n{}", ":\n".repeat(beats as usize))).await;
    }
    server.tick(Duration::from_secs(200));
    // The client reports an end in the middle of a chunk, or without the end of TLS, as an error.
    stream.rest().await;
    server.one_ends_as("timed-out").await;
}

#[tokio::test]
async fn a_drain_ends_streams_with_a_reconnection_time() {
    let mut server = start_tls(|config, _| {
        config.time = tidings_server::TimeSource::Machine;
    })
    .await;
    let mut stream = server.stream("/topics/a").await;
    stream.text_with("retry: 2000\n").await;
    server.signal();
    assert_eq!(stream.rest().await.matches("retry: ").count(), 2);
    server.ended().await;
}

#[tokio::test]
async fn a_stream_that_is_not_read_is_closed_and_its_neighbor_loses_nothing() {
    let server = start_tls(|_, _| {}).await;
    let mut stalled = unread(&server, "/topics/fat", "").await;
    let mut beside = server.stream("/topics/fat").await;
    for _ in 0..16 {
        server.publish("fat", &"x".repeat(1_000_000)).await;
        assert_eq!(beside.data().await.len(), 1_000_000);
    }
    server.tick(STALLED);
    server.one_ends_as("client-stalled").await;
    let mut bytes = Vec::new();
    let _ = stalled.read_to_end(&mut bytes).await;
    assert!(bytes.len() < 16_000_000);
    server.publish("fat", "1").await;
    assert_eq!(beside.data().await, "1");
}

/// A request that is not plain is read by hyper, which writes its stream, too.
#[tokio::test]
async fn a_stream_of_hypers_that_is_not_read_is_closed() {
    let server = start_tls(|_, _| {}).await;
    let mut stalled = unread(&server, "/topics/fat", "Upgrade: h2c\r\n").await;
    for _ in 0..16 {
        server.publish("fat", &"x".repeat(1_000_000)).await;
    }
    server.tick(STALLED);
    server.one_ends_as("client-stalled").await;
    let mut bytes = Vec::new();
    let _ = stalled.read_to_end(&mut bytes).await;
    assert!(bytes.len() < 16_000_000);
}

#[tokio::test]
async fn a_stream_that_waits_for_events_is_kept() {
    let server = start_tls(|_, _| {}).await;
    let mut waits = server.stream("/topics/news").await;
    let stalled = unread(&server, "/topics/fat", "").await;
    for _ in 0..16 {
        server.publish("fat", &"x".repeat(1_000_000)).await;
    }
    waits.text_with("retry: ").await;
    server.tick(STALLED);
    server.one_ends_as("client-stalled").await;
    server.publish("news", "1").await;
    assert_eq!(waits.data().await, "1");
    drop(stalled);
}

/// Streams that stopped in events which history has evicted are closed once they keep too many.
#[tokio::test]
async fn streams_that_keep_evicted_events_are_closed_once_they_are_too_many() {
    const STREAMS: usize = 24;
    const EVENT_BYTES: usize = 8_000_000;
    let server = start_tls(|_, hub| {
        hub.event_bytes_max = 2 * EVENT_BYTES;
        hub.retention.bytes_max = 8 * EVENT_BYTES;
    })
    .await;
    let mut stopped = Vec::new();
    for number in 0..STREAMS {
        stopped.push(unread(&server, &format!("/topics/{number}"), "").await);
        server.publish(&number.to_string(), &"x".repeat(EVENT_BYTES)).await;
    }
    server.tick(Duration::from_secs(6));
    let series = "tidings_streams_ended_total{reason=\"client-stalled\"} ";
    loop {
        let metrics = server.get("/metrics").answer().await.text();
        let count = metrics.lines().find_map(|line| line.strip_prefix(series)).unwrap();
        if count.parse::<usize>().unwrap() >= STREAMS - 11 {
            break;
        }
    }
    drop(stopped);
}

#[tokio::test]
async fn a_socket_that_waits_for_its_client_to_close_keeps_its_place() {
    let server = start_tls(|config, _| config.streams_max = 1).await;
    let mut stream = asked(&server, GET).await;
    text_with(&mut stream, "retry: ").await;
    assert_eq!(server.get("/topics/a").answer().await.status, 503);
    close(&server, "a").await;
    // The end has come, and the client does not close.
    text_with(&mut stream, "0\r\n\r\n").await;
    server.one_ends_as("completed").await;
    assert_eq!(server.get("/topics/a").answer().await.status, 503);
    drop(stream);
    while server.get("/topics/b").send().await.status() != 200 {}
}

#[tokio::test]
async fn more_than_a_kibibyte_after_the_request_ends_the_stream_and_nothing_of_it_is_parsed() {
    let server = start_tls(|_, _| {}).await;
    let smuggled = "POST /topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx";
    let mut stream = asked(&server, &format!("{GET}{smuggled}")).await;
    text_with(&mut stream, "retry: ").await;
    stream.write_all("x".repeat(1024 - smuggled.len()).as_bytes()).await.unwrap();
    server.publish("a", "1").await;
    let text = text_with(&mut stream, "data: 1\n\n").await;
    assert!(!text.contains("HTTP/1.1 "), "{text}");
    stream.write_all(b"x").await.unwrap();
    server.one_ends_as("client-sent-data").await;
    assert_eq!(server.held("a"), ["1"]);
}

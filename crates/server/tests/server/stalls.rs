//! Clients that take nothing are closed on every path, and readers beside them lose nothing.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::harness::{Running, Stream, start, start_with};

/// The default of `stall_timeout`, and a little more.
const STALLED: Duration = Duration::from_secs(61);

/// Opens an HTTP/2 connection whose streams have windows of so many bytes, and which answers PINGs.
pub(crate) async fn http2(server: &Running, window: u32) -> SendRequest<Empty<Bytes>> {
    let socket = TcpStream::connect(server.address).await.unwrap();
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(window)
        .handshake(TokioIo::new(socket))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

pub(crate) async fn get(
    server: &Running,
    sender: &mut SendRequest<Empty<Bytes>>,
    path: &str,
    accept: &str,
) -> Response<Incoming> {
    let uri = format!("http://{}{path}", server.address);
    let request = Request::get(uri).header("accept", accept).body(Empty::new()).unwrap();
    sender.send_request(request).await.unwrap()
}

/// Connects with a receive buffer so small that the server notices soon that nothing is read.
pub(crate) async fn connect(server: &Running) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(server.address).await.unwrap()
}

/// Reads until the connection ends, however it does; the number of bytes.
async fn rest(mut socket: TcpStream) -> usize {
    let mut bytes = Vec::new();
    let _ = socket.read_to_end(&mut bytes).await;
    bytes.len()
}

/// Such readers answered PINGs, and held their places for streams for good.
#[tokio::test]
async fn an_http_2_stream_whose_window_is_used_up_is_reset_and_its_neighbor_goes_on() {
    let server = start().await;
    let mut sender = http2(&server, 70_000).await;
    let stalled = get(&server, &mut sender, "/topics/fat", "text/event-stream").await;
    let mut beside =
        Stream::new(get(&server, &mut sender, "/topics/news", "text/event-stream").await);
    server.publish("fat", &"x".repeat(500_000)).await;
    server.publish("news", "1").await;
    assert_eq!(beside.data().await, "1");
    server.tick(STALLED);
    server.one_ends_as("client-stalled").await;
    drop(stalled);
    server.publish("news", "2").await;
    assert_eq!(beside.data().await, "2");
}

#[tokio::test]
async fn the_place_of_an_http_2_stream_that_was_reset_is_free_again() {
    let server = start_with(|config, _| config.streams_max = 1).await;
    let mut sender = http2(&server, 70_000).await;
    let stalled = get(&server, &mut sender, "/topics/fat", "text/event-stream").await;
    server.publish("fat", &"x".repeat(500_000)).await;
    let refused = get(&server, &mut sender, "/topics/fat", "text/event-stream").await;
    assert_eq!(refused.status(), 503);
    server.tick(STALLED);
    server.one_ends_as("client-stalled").await;
    let served = get(&server, &mut sender, "/topics/fat", "text/event-stream").await;
    assert_eq!(served.status(), 200);
    drop(stalled);
}

/// Each stream was given an event that history evicted meanwhile, and kept it for the stall timeout.
#[tokio::test]
async fn http_2_streams_that_keep_evicted_events_are_reset_once_they_are_too_many() {
    const STREAMS: usize = 60;
    const EVENT_BYTES: usize = 200_000;
    let budget = 20 * EVENT_BYTES;
    let server = start_with(|_, hub| hub.retention.bytes_max = budget).await;
    let mut sender = http2(&server, 70_000).await;
    let mut stopped = Vec::new();
    for number in 0..STREAMS {
        let path = format!("/topics/{number}");
        stopped.push(get(&server, &mut sender, &path, "text/event-stream").await);
        server.publish(&number.to_string(), &"x".repeat(EVENT_BYTES)).await;
    }
    // HTTP/2 keeps the first piece, so that only a second one is seen not to be taken.
    for number in 0..STREAMS {
        server.publish(&number.to_string(), "y").await;
    }
    server.tick(Duration::from_secs(6));
    // History has about 19 of the events, and others may take an eighth of its budget.
    let ended = |reason: &str| format!("tidings_streams_ended_total{{reason=\"{reason}\"}} ");
    loop {
        let metrics = server.get("/metrics").answer().await.text();
        let series = ended("client-stalled");
        let count = metrics.lines().find_map(|line| line.strip_prefix(&*series)).unwrap();
        if count.parse::<usize>().unwrap() >= STREAMS - 25 {
            break;
        }
    }
    assert!(server.hub.stats().subscribers >= 15, "those of events that are held stay");
    drop(stopped);
}

/// A reader that has taken everything is not late, however long nothing comes.
#[tokio::test]
async fn an_http_2_stream_that_waits_for_events_is_kept() {
    let server = start().await;
    let mut sender = http2(&server, 70_000).await;
    let mut waits = Stream::new(get(&server, &mut sender, "/topics/news", "").await);
    let stalled = get(&server, &mut sender, "/topics/fat", "").await;
    server.publish("fat", &"x".repeat(500_000)).await;
    waits.text_with("retry: ").await;
    server.tick(STALLED);
    server.one_ends_as("client-stalled").await;
    server.publish("news", "1").await;
    assert_eq!(waits.data().await, "1");
    drop(stalled);
}

#[tokio::test]
async fn an_http_2_answer_that_is_not_taken_is_reset() {
    let server = start().await;
    for _ in 0..8 {
        server.publish("fat", &"x".repeat(100_000)).await;
    }
    let mut sender = http2(&server, 70_000).await;
    let answer = get(&server, &mut sender, "/topics/fat", "application/json").await;
    server.tick(STALLED);
    answers_stalled(&server, 1).await;
    let error = answer.into_body().collect().await.unwrap_err();
    assert!(error.to_string().contains("body"), "{error}");
    // The connection goes on.
    assert_eq!(get(&server, &mut sender, "/healthz", "").await.status(), 200);
}

/// Waits until so many answers have been given up.
async fn answers_stalled(server: &Running, count: usize) {
    let series = format!("tidings_answers_stalled_total {count}");
    while !server.get("/metrics").answer().await.text().lines().any(|line| line == series) {}
}

/// Opens a stream over HTTP/1.1 with one more header, reads nothing of its events, and waits for its end.
async fn check_unread(header: &str) {
    let server = start().await;
    let mut stalled = connect(&server).await;
    let request = format!("GET /topics/fat HTTP/1.1\r\nHost: localhost\r\n{header}\r\n");
    stalled.write_all(request.as_bytes()).await.unwrap();
    stalled.read_exact(&mut [0; 15]).await.unwrap();
    for _ in 0..16 {
        server.publish("fat", &"x".repeat(1_000_000)).await;
    }
    // What the kernels take of it is progress, which may come after a tick, and then there is none.
    let mut now = Duration::ZERO;
    while server.departures().await.is_empty() {
        now += STALLED;
        server.tick(now);
    }
    server.one_ends_as("client-stalled").await;
    assert!(rest(stalled).await < 16_000_000);
}

#[tokio::test]
async fn a_stream_of_hypers_over_http_1_that_is_not_read_is_closed() {
    check_unread("Upgrade: h2c\r\n").await;
}

#[tokio::test]
async fn a_stream_of_a_shard_that_is_not_read_is_closed() {
    check_unread("").await;
}

/// A page of JSON, also after a wait, is an answer like any other.
#[tokio::test]
async fn an_answer_that_is_not_read_is_closed() {
    let server = start_with(|config, _| config.stall_timeout = Duration::from_millis(100)).await;
    for _ in 0..16 {
        server.publish("fat", &"x".repeat(1_000_000)).await;
    }
    for (stalled_before, query) in ["", "?wait=50s&after=earliest"].into_iter().enumerate() {
        let mut stalled = connect(&server).await;
        let request = format!(
            "GET /topics/fat{query} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n"
        );
        stalled.write_all(request.as_bytes()).await.unwrap();
        answers_stalled(&server, stalled_before + 1).await;
        assert!(rest(stalled).await < 16_000_000);
    }
}

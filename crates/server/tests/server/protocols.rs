//! Every version of HTTP that clients and proxies speak.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request, Version};
use http_body_util::Full;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tidings_hub::{Draft, Event, Hub, Topic};
use tidings_server::{Server, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Stream, Whole, start, start_with};

#[tokio::test]
async fn http_2_in_clear_text_streams_and_publishes() {
    let server = start().await;
    let response = server.get("/topics/a").send_http2().await;
    assert_eq!(response.version(), Version::HTTP_2);
    let mut stream = Stream::new(response);
    let answer = Whole::read(server.post("/topics/a", "1").send_http2().await).await;
    assert_eq!(answer.status, 201);
    assert_eq!(stream.data().await, "1");
    let refused = server.get("/topics/a").host("evil.example").send_http2().await;
    Whole::read(refused).await.problem(421, "foreign-host");
}

#[tokio::test]
async fn a_large_body_is_refused_by_http_2_as_well() {
    let server = start().await;
    let response = server.post("/topics/a", vec![b'x'; 2 << 20]).send_http2().await;
    Whole::read(response).await.problem(413, "event-too-large");
}

#[tokio::test]
async fn an_http_1_0_client_gets_a_stream_that_ends_with_the_connection() {
    let server = start().await;
    server.publish("a", "1").await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let request = "GET /topics/a?last_event_id=earliest HTTP/1.0\r\nHost: localhost\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    while !text.contains("data: 1\n\n") {
        let mut space = [0; 1024];
        let read = socket.read(&mut space).await.unwrap();
        assert!(read > 0, "{text}");
        text.push_str(std::str::from_utf8(&space[..read]).unwrap());
    }
    assert!(text.starts_with("HTTP/1.0 200 "), "{text}");
    assert!(!text.to_ascii_lowercase().contains("transfer-encoding"), "{text}");
    // What follows comes as it is, without chunks.
    server.publish("a", "2").await;
    let mut rest = String::new();
    while !rest.contains("data: 2\n\n") {
        let mut space = [0; 1024];
        let read = socket.read(&mut space).await.unwrap();
        rest.push_str(std::str::from_utf8(&space[..read]).unwrap());
    }
    assert!(rest.starts_with("id: "), "{rest}");
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let server = start().await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    for _ in 0..3 {
        let request = "POST /topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx";
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        while !text.contains("urn:uuid:") || text.len() < text.find("urn:uuid:").unwrap() + 45 {
            let mut space = [0; 1024];
            let read = socket.read(&mut space).await.unwrap();
            assert!(read > 0, "{text}");
            text.push_str(std::str::from_utf8(&space[..read]).unwrap());
        }
        assert!(text.starts_with("HTTP/1.1 201 "), "{text}");
    }
    assert_eq!(server.held("a").len(), 3);
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let server = start().await;
    let id = server.publish("a", "1").await;
    let head = |path: &str| server.request(Method::HEAD, path);
    let stream = head("/topics/a").answer().await;
    assert_eq!(stream.status, 200);
    assert_eq!(stream.header("content-type"), "text/event-stream");
    assert_eq!(stream.header("last-event-id"), id);
    assert!(stream.body.is_empty());
    assert_eq!(stream.header("content-length"), "");
    for path in ["/", "/healthz", "/metrics", "/topics", "/assets/style.css"] {
        let answer = head(path).answer().await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.body.is_empty(), "{path}");
        assert_ne!(answer.header("content-type"), "", "{path}");
    }
    assert_eq!(head("/nothing").answer().await.status, 404);
    while server.hub.stats().subscribers > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn options_names_the_methods() {
    let server = start().await;
    for (path, methods) in [
        ("/topics/a", "GET, HEAD, OPTIONS, POST"),
        ("/events", "GET, HEAD, OPTIONS, POST"),
        ("/healthz", "GET, HEAD, OPTIONS"),
        ("/subscribers", "DELETE, GET, HEAD, OPTIONS"),
    ] {
        let answer = server.request(Method::OPTIONS, path).answer().await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (204, methods));
    }
    let answer =
        server.raw("OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
}

#[tokio::test]
async fn a_preface_in_pieces_is_a_preface() {
    let server = start().await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    for piece in [&b"PRI * HT"[..], b"TP/2.0\r\n\r\nSM\r\n\r", b"\n\0\0\0\x04\0\0\0\0\0"] {
        socket.write_all(piece).await.unwrap();
        socket.flush().await.unwrap();
    }
    // A settings frame answers: nine bytes of head, of type 4.
    let mut frame = [0; 9];
    socket.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame[3], 4);
}

#[tokio::test]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let server = start_with(|config, _| {
        config.head_timeout = std::time::Duration::from_millis(50);
    })
    .await;
    for start in [
        "",
        "PRI * HTTP/2.0\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET / HTT",
        "GET / HTTP/1.1\r\nHost: localhost\r\n",
    ] {
        // Ends, and with it the test.
        let answer = server.raw(start).await;
        assert!(!answer.contains("200"), "{start:?}: {answer}");
    }
}

#[tokio::test]
async fn a_head_over_the_limit_is_refused() {
    let server = start_with(|config, _| config.head_bytes_max = 8192).await;
    let head = |bytes: usize| {
        let padding = "x".repeat(bytes);
        format!(
            "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: {padding}\r\n\r\n"
        )
    };
    let answer = server.raw(head(7000)).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let answer = server.raw(head(8192)).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_before_it_sends() {
    let server = start().await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let request = "POST /topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\
                   Expect: 100-continue\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");

    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let request = request.replace("2000000", "2");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    socket.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    socket.write_all(b"hi").await.unwrap();
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 201");
}

#[tokio::test]
async fn several_addresses_serve_the_same_hub_and_a_taken_one_is_named() {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut config = ServerConfig::default();
    config.listen = vec![any, any];
    let hub = Hub::default();
    let server = Server::bind(config, hub).await.unwrap();
    let addresses = server.addresses().to_vec();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn(server.serve(async { stopped.await.unwrap() }));
    for &address in &addresses {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        socket.write_all(request).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    let mut config = ServerConfig::default();
    config.listen = vec![any, addresses[1]];
    let error = Server::bind(config, Hub::default()).await.unwrap_err();
    assert_eq!(error.address, addresses[1]);
    assert_eq!(error.to_string(), format!("cannot listen on {}", addresses[1]));
    stop.send(()).unwrap();
    served.await.unwrap().unwrap();
}

/// A connection of HTTP/2 with the windows that the protocol starts with: the bytes in flight are
/// small, so that order can be told by counting.
async fn http2(address: SocketAddr) -> SendRequest<Full<Bytes>> {
    /// RFC 9113, section 6.9.2.
    const WINDOW: u32 = 65_535;
    let socket = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .handshake(TokioIo::new(socket))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

async fn open(sender: &mut SendRequest<Full<Bytes>>, address: SocketAddr, path: &str) -> Stream {
    let request = Request::get(format!("http://{address}{path}")).body(Full::default()).unwrap();
    Stream::new(sender.send_request(request).await.unwrap())
}

#[tokio::test]
async fn a_stream_with_a_long_backlog_does_not_hold_up_the_others_of_its_connection() {
    const QUIET: usize = 99;
    /// 30 MB, of which the connection takes 64 KiB at a time.
    const BACKLOG: usize = 3000;
    /// Pieces of the backlog that may come between an event and its readers, of some 1,900 there are:
    /// the window's worth was under way, one poll's worth was waiting, and as much again while the
    /// quiet streams had their turns.
    const BETWEEN_MAX: usize = 32;

    let server = start().await;
    let publish = |topic: &str, data: String| {
        let draft = Draft::new(Topic::new(topic).unwrap(), Event::new(data));
        drop(server.hub.publish(draft));
    };
    (0..BACKLOG).for_each(|_| publish("busy", "x".repeat(10_000)));
    let mut sender = http2(server.address).await;
    let mut quiet = Vec::new();
    for number in 0..QUIET {
        let mut stream =
            open(&mut sender, server.address, &format!("/topics/quiet/{number}")).await;
        stream.text_with("retry:").await;
        quiet.push(stream);
    }
    let mut busy = open(&mut sender, server.address, "/topics/busy?last_event_id=earliest").await;
    let pieces = Arc::new(AtomicUsize::new(0));
    let reading = tokio::spawn({
        let pieces = Arc::clone(&pieces);
        async move {
            for _ in 0..BACKLOG {
                while !busy.has_event() {
                    assert!(busy.read().await);
                    pieces.fetch_add(1, Ordering::Relaxed);
                }
                busy.event().await;
            }
        }
    });
    for turn in 0..5 {
        // Well under way.
        while pieces.load(Ordering::Relaxed) < 64 * (turn + 1) {
            tokio::task::yield_now().await;
        }
        let before = pieces.load(Ordering::Relaxed);
        (0..QUIET).for_each(|number| publish(&format!("quiet/{number}"), format!("{turn}")));
        for stream in &mut quiet {
            assert_eq!(stream.data().await, format!("{turn}"));
        }
        let between = pieces.load(Ordering::Relaxed) - before;
        assert!(between <= BETWEEN_MAX, "{between} pieces of the backlog came first");
        assert!(!reading.is_finished(), "the backlog was sent before it could be in anybody's way");
    }
    reading.await.unwrap();
}

/// A connection whose client writes and never reads.
struct Unread(TokioIo<TcpStream>);

impl hyper::rt::Read for Unread {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl hyper::rt::Write for Unread {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Each stream used to be given 128 KiB that waited for the connection.
#[tokio::test]
async fn streams_of_an_http_2_connection_that_takes_nothing_are_given_little() {
    const STREAMS: usize = 100;
    const EVENT_BYTES: usize = 1000;
    /// A piece that is on its way to the socket, and as much that waits for it.
    const STREAM_BYTES_MAX: usize = 2 * 16 * 1024;
    /// Bytes that the two kernels may take of the connection.
    const KERNELS_BYTES_MAX: usize = 4 << 20;

    let server = start().await;
    for _ in 0..2000 {
        let draft = Draft::new(Topic::new("a").unwrap(), Event::new("x".repeat(EVENT_BYTES)));
        drop(server.hub.publish(draft));
    }
    let socket = TcpStream::connect(server.address).await.unwrap();
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(1 << 30)
        .initial_connection_window_size(1 << 30)
        .handshake(Unread(TokioIo::new(socket)))
        .await
        .unwrap();
    let asked: Vec<_> = (0..STREAMS)
        .map(|_| {
            let path = format!("http://{}/topics/a?last_event_id=earliest", server.address);
            sender.send_request(Request::get(path).body(Full::<Bytes>::default()).unwrap())
        })
        .collect();
    tokio::spawn(connection);
    while server.hub.stats().subscribers < STREAMS {
        tokio::task::yield_now().await;
    }
    let mut delivered = server.hub.stats().delivered;
    let mut quiet = 0;
    while quiet < 1000 {
        tokio::task::yield_now().await;
        let now = server.hub.stats().delivered;
        quiet = if now == delivered { quiet + 1 } else { 0 };
        delivered = now;
    }
    let bytes = usize::try_from(delivered).unwrap() * EVENT_BYTES;
    assert!(bytes > STREAMS * 8 * 1024, "{bytes} bytes were given to {STREAMS} streams");
    let max = STREAMS * STREAM_BYTES_MAX + KERNELS_BYTES_MAX;
    assert!(bytes <= max, "{bytes} bytes were given to {STREAMS} streams");
    drop(asked);
}

#[tokio::test]
async fn everything_on_an_http_2_connection_ends_with_it() {
    let server = start().await;
    let socket = TcpStream::connect(server.address).await.unwrap().into_std().unwrap();
    let cable = socket.try_clone().unwrap();
    let io = TokioIo::new(TcpStream::from_std(socket).unwrap());
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let mut streams = Vec::new();
    for number in 0..10 {
        let stream = open(&mut sender, server.address, &format!("/topics/{number}")).await;
        streams.push(stream);
    }
    assert_eq!(server.hub.stats().subscribers, 10);
    // A reader that waits for something to be published, and has no answer yet.
    let path = format!("http://{}/topics/a?wait=55s", server.address);
    let waiting = Request::get(path).header("accept", "application/json");
    let waiting = sender.send_request(waiting.body(Full::default()).unwrap());
    let waiting = tokio::spawn(waiting);
    while server.hub.stats().subscribers < 11 {
        tokio::task::yield_now().await;
    }
    cable.shutdown(Shutdown::Both).unwrap();
    while server.hub.stats().subscribers > 0 {
        tokio::task::yield_now().await;
    }
    assert!(waiting.await.unwrap().is_err());
}

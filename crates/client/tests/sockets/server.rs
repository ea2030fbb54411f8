//! An HTTP/1.1 server that sends the bytes that a test tells it to.

use std::collections::HashMap;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Accepts one request at a time, each on a connection of its own.
pub(crate) struct Server {
    listener: TcpListener,
}

/// An address that refuses connections for as long as this value lives: it is bound, so that no
/// other program can take it, but nothing listens.
pub(crate) struct Nobody(TcpSocket);

impl Nobody {
    pub(crate) fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("loopback");
        Self(socket)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.0.local_addr().expect("bound"))
    }
}

/// A request that waits for its response.
pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) headers: HashMap<String, Vec<u8>>,
    pub(crate) body: Vec<u8>,
    socket: TcpStream,
}

/// A response whose head has been sent.
pub(crate) struct Response {
    socket: TcpStream,
}

impl Server {
    pub(crate) async fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.expect("loopback") }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("bound")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// A URL for the same server that is another origin: a different name for its address.
    pub(crate) fn other_origin(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.address().port())
    }

    /// Waits for the next request, and reads all of it.
    pub(crate) async fn request(&self) -> Request {
        let (mut socket, _) = self.listener.accept().await.expect("a connection");
        let mut text = Vec::new();
        let head_end = loop {
            if let Some(end) = find(&text, b"\r\n\r\n") {
                break end + 4;
            }
            assert!(socket.read_buf(&mut text).await.expect("readable") > 0, "a whole head");
        };
        let mut body = text.split_off(head_end);
        let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
        let line = String::from_utf8_lossy(lines.next().expect("a request line")).into_owned();
        let mut headers = HashMap::new();
        for header in lines.filter(|line| !line.is_empty()) {
            let colon = find(header, b":").expect("a header");
            let name = String::from_utf8_lossy(&header[..colon]).to_ascii_lowercase();
            let value = header[colon + 1..].trim_ascii().to_vec();
            assert!(headers.insert(name.clone(), value).is_none(), "{name} came twice");
        }
        let length = headers
            .get("content-length")
            .map_or(0, |length| String::from_utf8_lossy(length).parse().expect("a length"));
        while body.len() < length {
            assert!(socket.read_buf(&mut body).await.expect("readable") > 0, "a whole body");
        }
        Request { line, headers, body, socket }
    }

    /// Waits for the next request, and opens a stream.
    pub(crate) async fn open(&self) -> Response {
        self.request().await.open().await
    }
}

impl Request {
    /// A header's value as text.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// Opens an event stream with a chunked body.
    pub(crate) async fn open(self) -> Response {
        self.respond("200 OK", "content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n")
            .await
    }

    /// Sends the head of a response. `headers` are lines, each ended by CRLF.
    pub(crate) async fn respond(mut self, status: &str, headers: &str) -> Response {
        let head = format!("HTTP/1.1 {status}\r\n{headers}\r\n");
        self.socket.write_all(head.as_bytes()).await.expect("writable");
        Response { socket: self.socket }
    }

    /// Answers without a body.
    pub(crate) async fn refuse(self, status: &str, headers: &str) {
        self.respond(status, &format!("{headers}content-length: 0\r\n")).await;
    }

    /// Hangs up without an answer.
    pub(crate) fn hang_up(self) {
        drop(self.socket);
    }
}

impl Response {
    /// Sends `bytes` as one chunk.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.raw(&chunk).await;
    }

    /// Sends bytes without chunked encoding.
    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.expect("writable");
    }

    /// Ends the body properly.
    pub(crate) async fn end(mut self) {
        self.raw(b"0\r\n\r\n").await;
    }

    /// Hangs up in the middle of the body.
    pub(crate) fn cut(self) {
        drop(self.socket);
    }

    /// Resets the connection.
    pub(crate) fn reset(self) {
        self.socket.set_zero_linger().expect("settable");
        drop(self.socket);
    }

    /// Waits until the client has hung up.
    pub(crate) async fn hung_up(mut self) {
        let mut rest = Vec::new();
        // A reset is as good as an end.
        let _ = self.socket.read_to_end(&mut rest).await;
        assert_eq!(rest, b"", "the client said more than its request");
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

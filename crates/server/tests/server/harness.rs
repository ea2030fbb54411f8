//! A server on a free port, and a client that shows the bytes on the wire.

use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tidings_hub::journal::Journal;
use tidings_hub::{Hub, HubConfig, Now};
use tidings_proto::{Decoder, EventBuf, Item};
use tidings_server::{Server, ServerConfig, TimeSource};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

// Its path, because a test of the program includes this file.
#[path = "declared.rs"]
pub(crate) mod declared;

/// A running server whose time stands still until the test moves it.
pub(crate) struct Running {
    pub(crate) hub: Hub,
    pub(crate) address: SocketAddr,
    /// The connector of its clients if it speaks TLS.
    pub(crate) connector: Option<TlsConnector>,
    started: Now,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<std::io::Result<()>>,
}

/// Starts a server with everything as it comes.
pub(crate) async fn start() -> Running {
    start_with(|_, _| {}).await
}

/// Starts a server with some of the configuration changed.
pub(crate) async fn start_with(change: impl FnOnce(&mut ServerConfig, &mut HubConfig)) -> Running {
    start_server(change, |server| server).await
}

/// Starts a server with some of the configuration, and then of the server, changed.
pub(crate) async fn start_server(
    change: impl FnOnce(&mut ServerConfig, &mut HubConfig),
    finish: impl FnOnce(Server) -> Server,
) -> Running {
    let mut config = config();
    let mut hub = HubConfig::default();
    change(&mut config, &mut hub);
    let started = Now::read();
    let hub = Hub::builder().config(hub).at(started).build();
    run(config, hub, started, finish).await
}

/// Starts a server on a journal, with some of the configuration changed.
pub(crate) async fn start_on(
    change: impl FnOnce(&mut ServerConfig),
    journal: Box<dyn Journal>,
) -> Running {
    start_server_on(change, journal, |server| server).await
}

/// Starts a server on a journal, with some of the configuration, and then of the server, changed.
pub(crate) async fn start_server_on(
    change: impl FnOnce(&mut ServerConfig),
    journal: Box<dyn Journal>,
    finish: impl FnOnce(Server) -> Server,
) -> Running {
    let mut config = config();
    change(&mut config);
    let started = Now::read();
    let hub = Hub::builder().at(started).open(journal).await.unwrap();
    // Nothing else follows the journal where time stands still.
    let driven = hub.clone();
    tokio::spawn(async move { driven.run().await });
    run(config, hub, started, finish).await
}

/// A configuration whose tests hang if a connection ends only by a timeout.
fn config() -> ServerConfig {
    let mut config = ServerConfig::default();
    config.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    config.time = TimeSource::Stepped;
    config.head_timeout = Duration::from_secs(3600);
    config.shutdown_max = Duration::from_secs(3600);
    config
}

async fn run(
    config: ServerConfig,
    hub: Hub,
    started: Now,
    finish: impl FnOnce(Server) -> Server,
) -> Running {
    let server = finish(Server::bind(config, hub.clone()).await.unwrap());
    let address = server.addresses()[0];
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async {
        let _ = stopped.await;
    };
    let served = tokio::spawn(server.serve(shutdown));
    Running { hub, address, connector: None, started, stop: Some(stop), served }
}

/// A connection, with TLS or without.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Puts TLS onto a connection, if there is a connector.
pub(crate) async fn secure(
    socket: TcpStream,
    connector: Option<&TlsConnector>,
    protocols: &[&str],
) -> std::io::Result<Box<dyn Io>> {
    let Some(connector) = connector else { return Ok(Box::new(socket)) };
    let mut config = (**connector.config()).clone();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(std::sync::Arc::new(config)).connect(name, socket).await?;
    Ok(Box::new(stream))
}

impl Running {
    /// Moves the hub's time on to so long after the start.
    pub(crate) fn tick(&self, after: Duration) {
        self.hub.tick(self.started + after);
    }

    /// Gives the signal to end.
    pub(crate) fn signal(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Waits for the end.
    pub(crate) async fn ended(self) {
        self.served.await.unwrap().unwrap();
    }

    /// A request of this server's own host.
    pub(crate) fn request(&self, method: Method, path: &str) -> Ask {
        let request =
            Request::builder().method(method).uri(path).header(HOST, self.address.to_string());
        let connector = self.connector.clone();
        Ask { address: self.address, connector, request, body: Bytes::new() }
    }

    pub(crate) fn get(&self, path: &str) -> Ask {
        self.request(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str, body: impl Into<Bytes>) -> Ask {
        Ask { body: body.into(), ..self.request(Method::POST, path) }
    }

    /// Publishes and gives the event's ID.
    pub(crate) async fn publish(&self, topic: &str, data: &str) -> String {
        let answer = self.post(&format!("/topics/{topic}"), data.to_owned()).answer().await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        answer.text()
    }

    /// Sends bytes as they are, closes nothing, and reads until the server does.
    pub(crate) async fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket.write_all(bytes.as_ref()).await.unwrap();
        let mut text = Vec::new();
        socket.read_to_end(&mut text).await.unwrap();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Starts a request whose body never ends, and gives the socket.
    pub(crate) async fn stalled(&self, path: &str, content_type: &str, start: &str) -> TcpStream {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        // At once: the time of a body begins with its head.
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: {content_type}\r\n\
             Transfer-Encoding: chunked\r\n\r\n{}",
            self.address,
            chunk(start)
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        socket
    }

    /// Opens a stream.
    pub(crate) async fn stream(&self, path: &str) -> Stream {
        self.get(path).stream().await
    }

    /// The data of everything that a topic holds.
    pub(crate) fn held(&self, topic: &str) -> Vec<String> {
        let topic = tidings_hub::Topic::new(topic).unwrap();
        let page = self.hub.page(topic, tidings_hub::Start::Oldest, usize::MAX);
        let Poll::Ready(page) = pin!(page).poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("memory is read at once")
        };
        page.events.iter().map(|delivery| delivery.event.data().to_owned()).collect()
    }
}

/// Writes one chunk of a body.
pub(crate) async fn send_chunk(socket: &mut TcpStream, text: &str) {
    socket.write_all(chunk(text).as_bytes()).await.unwrap();
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// A request that is being put together.
pub(crate) struct Ask {
    address: SocketAddr,
    connector: Option<TlsConnector>,
    request: http::request::Builder,
    body: Bytes,
}

impl Ask {
    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let value = http::HeaderValue::from_bytes(value.as_ref()).unwrap();
        self.request = self.request.header(name, value);
        self
    }

    /// Sends bytes with a content type.
    pub(crate) fn content_type(self, content_type: &str) -> Self {
        self.header("content-type", content_type)
    }

    /// Says another host than the server's own.
    pub(crate) fn host(mut self, host: &str) -> Self {
        let headers = self.request.headers_mut().unwrap();
        headers.insert(HOST, host.parse().unwrap());
        self
    }

    /// Sends it and waits for the head of the answer.
    pub(crate) async fn send(self) -> Response<Incoming> {
        let socket = TcpStream::connect(self.address).await.unwrap();
        let socket = secure(socket, self.connector.as_ref(), &["http/1.1"]).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
        tokio::spawn(connection);
        let request = self.request.body(Full::new(self.body)).unwrap();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = sender.send_request(request).await.unwrap();
        declared::check(&method, &path, response.status(), response.headers());
        response
    }

    /// Sends it by HTTP/2 and waits for the head of the answer.
    pub(crate) async fn send_http2(self) -> Response<Incoming> {
        let body = Full::new(self.body.clone());
        self.send_http2_with(body).await
    }

    /// The same with another body.
    pub(crate) async fn send_http2_with<B>(self, body: B) -> Response<Incoming>
    where
        B: hyper::body::Body<Data = Bytes, Error = std::convert::Infallible>
            + Send
            + Unpin
            + 'static,
    {
        let socket = TcpStream::connect(self.address).await.unwrap();
        let socket = secure(socket, self.connector.as_ref(), &["h2"]).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket))
                .await
                .unwrap();
        tokio::spawn(connection);
        let mut request = self.request.body(body).unwrap();
        let host = request.headers_mut().remove(HOST).unwrap();
        let scheme = if self.connector.is_some() { "https" } else { "http" };
        let target = format!("{scheme}://{}{}", host.to_str().unwrap(), request.uri());
        *request.uri_mut() = target.parse().unwrap();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = sender.send_request(request).await.unwrap();
        declared::check(&method, &path, response.status(), response.headers());
        response
    }

    /// Sends it and reads the whole answer.
    pub(crate) async fn answer(self) -> Whole {
        Whole::read(self.send().await).await
    }

    /// Sends it and expects an event stream.
    pub(crate) async fn stream(self) -> Stream {
        Stream::new(self.send().await)
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Whole {
    pub(crate) async fn read(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self { status: head.status, headers: head.headers, body }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Expects a problem of this name, and gives its sentence.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, name: &str) -> String {
        let body = self.text();
        assert_eq!(self.status.as_u16(), status, "{body}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["type"], format!("/problems/{name}"), "{body}");
        assert_eq!(problem["status"], status);
        assert!(problem["title"].is_string());
        problem["detail"].as_str().unwrap().to_owned()
    }
}

/// An open event stream.
pub(crate) struct Stream {
    pub(crate) headers: HeaderMap,
    body: Incoming,
    text: String,
    decoder: Decoder,
    events: std::collections::VecDeque<EventBuf>,
}

impl Stream {
    #[track_caller]
    pub(crate) fn new(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        assert_eq!(head.status, StatusCode::OK);
        assert_eq!(head.headers["content-type"], "text/event-stream");
        let decoder = Decoder::new();
        Self { headers: head.headers, body, text: String::new(), decoder, events: <_>::default() }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Returns whether the next event is there.
    pub(crate) fn has_event(&self) -> bool {
        !self.events.is_empty()
    }

    /// Waits for more text; `false` at the end.
    pub(crate) async fn read(&mut self) -> bool {
        let Some(frame) = self.body.frame().await else { return false };
        let chunk = frame.unwrap().into_data().unwrap();
        self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        let mut input = &chunk[..];
        while let Some(item) = self.decoder.decode(&mut input).unwrap() {
            if let Item::Event(event) = item {
                self.events.push_back(event.to_buf());
            }
        }
        true
    }

    /// Waits for the next event.
    pub(crate) async fn event(&mut self) -> EventBuf {
        while self.events.is_empty() {
            assert!(self.read().await, "the stream ended: {:?}", self.text);
        }
        self.events.pop_front().unwrap()
    }

    /// Waits for the data of the next event.
    pub(crate) async fn data(&mut self) -> String {
        self.event().await.data().to_owned()
    }

    /// The text that has come.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Waits until the text contains `part`; returns the text.
    pub(crate) async fn text_with(&mut self, part: &str) -> &str {
        while !self.text.contains(part) {
            assert!(self.read().await, "the stream ended: {:?}", self.text);
        }
        &self.text
    }

    /// Waits for the end, and gives the whole text.
    pub(crate) async fn rest(mut self) -> String {
        while self.read().await {}
        self.text
    }
}

//! Connections to the server, in clear text or over TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use h2::RecvStream;
use h2::client::{self, SendRequest};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::args::LoadArgs;

/// A connection's bytes.
pub(super) trait Bytes: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Bytes for T {}

pub(super) type Socket = Box<dyn Bytes>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// The server, and how it is spoken to.
pub(super) struct Target {
    address: SocketAddr,
    tls: Option<TlsConnector>,
    token: Option<String>,
}

/// A connection of HTTP/1.1.
pub(super) struct Connection {
    socket: BufReader<Socket>,
    /// Goes into the head of each request.
    credentials: String,
}

/// A connection of HTTP/2 with its streams.
pub(super) struct Streams {
    _requests: SendRequest<bytes::Bytes>,
    _streams: Vec<RecvStream>,
}

/// The room for what was read; small, because many readers have it.
const READ_BYTES: usize = 2048;

/// Returns the data of an event, 100 bytes.
pub(super) fn data(number: u32) -> String {
    format!("{number:0>100}")
}

impl Target {
    pub(super) fn new(args: &LoadArgs, protocol: Protocol) -> io::Result<Self> {
        let tls = match &args.certificate {
            None => None,
            Some(path) => {
                let mut roots = RootCertStore::empty();
                let certificate = CertificateDer::from_pem_file(path).map_err(io::Error::other)?;
                roots.add(certificate).map_err(io::Error::other)?;
                let builder = ClientConfig::builder().with_root_certificates(roots);
                let mut config = builder.with_no_client_auth();
                // Every handshake is a full one.
                config.resumption = Resumption::disabled();
                config.alpn_protocols = match protocol {
                    Protocol::Http1 => vec![b"http/1.1".to_vec()],
                    Protocol::Http2 => vec![b"h2".to_vec()],
                };
                Some(TlsConnector::from(Arc::new(config)))
            }
        };
        Ok(Self { address: args.address, tls, token: args.token.clone() })
    }

    pub(super) async fn connect(&self) -> io::Result<Socket> {
        let socket = TcpStream::connect(self.address).await?;
        socket.set_nodelay(true)?;
        match &self.tls {
            None => Ok(Box::new(socket)),
            Some(tls) => {
                let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
                Ok(Box::new(tls.connect(name, socket).await?))
            }
        }
    }

    /// Opens a connection for publishing.
    pub(super) async fn open(&self) -> io::Result<Connection> {
        let socket = BufReader::with_capacity(READ_BYTES, self.connect().await?);
        let credentials = match &self.token {
            Some(token) => format!("Authorization: Bearer {token}\r\n"),
            None => String::new(),
        };
        Ok(Connection { socket, credentials })
    }

    /// Opens a stream of a topic.
    pub(super) async fn read(&self, topic: &str) -> io::Result<Connection> {
        let mut connection = self.open().await?;
        let request = format!(
            "GET /topics/{topic} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{}\r\n",
            connection.credentials
        );
        connection.socket.write_all(request.as_bytes()).await?;
        connection.socket.flush().await?;
        match connection.head().await? {
            (200, _) => Ok(connection),
            (status, _) => Err(io::Error::other(format!("a reader was answered {status}"))),
        }
    }

    /// Opens streams of topics, one after the other, on one connection.
    pub(super) async fn read_many(&self, topics: &str, count: u32) -> io::Result<Streams> {
        let shaken = client::handshake(self.connect().await?).await;
        let (mut requests, connection) = shaken.map_err(io::Error::other)?;
        tokio::task::spawn_local(connection);
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let mut streams = Vec::new();
        for number in 0..count {
            let mut request =
                http::Request::get(format!("{scheme}://localhost/topics/{topics}-{number}"))
                    .header("accept", "text/event-stream");
            if let Some(token) = &self.token {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            let request = request.body(()).map_err(io::Error::other)?;
            requests = requests.ready().await.map_err(io::Error::other)?;
            let sent = requests.send_request(request, true).map_err(io::Error::other)?;
            let response = sent.0.await.map_err(io::Error::other)?;
            if response.status() != 200 {
                return Err(io::Error::other(format!("answered {}", response.status())));
            }
            streams.push(response.into_body());
        }
        Ok(Streams { _requests: requests, _streams: streams })
    }
}

impl Connection {
    /// Publishes, and waits for the answer.
    pub(super) async fn publish(&mut self, topic: &str, data: &str) -> io::Result<()> {
        let request = format!(
            "POST /topics/{topic} HTTP/1.1\r\nHost: localhost\r\n{}Content-Length: {}\r\n\r\n{data}",
            self.credentials,
            data.len()
        );
        self.socket.write_all(request.as_bytes()).await?;
        self.socket.flush().await?;
        let (status, length) = self.head().await?;
        let mut body = vec![0; length];
        self.socket.read_exact(&mut body).await?;
        match status {
            200..300 => Ok(()),
            _ => Err(io::Error::other(format!("a publish was answered {status}"))),
        }
    }

    /// Waits for an event, and returns its data. Comments and chunks' heads are passed over: servers
    /// begin a chunk with each event, so that no line is cut by one.
    pub(super) async fn event(&mut self) -> io::Result<String> {
        loop {
            let line = self.line().await?;
            if let Some(data) = line.strip_prefix("data:") {
                return Ok(data.trim_start().to_owned());
            }
        }
    }

    /// Reads the head of an answer: its status, and the length of its body.
    async fn head(&mut self) -> io::Result<(u16, usize)> {
        let first = self.line().await?;
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status in '{first}'")))?;
        let mut length = 0;
        loop {
            let line = self.line().await?.to_ascii_lowercase();
            match line.split_once(':') {
                Some(("content-length", value)) => {
                    length = value.trim().parse().map_err(io::Error::other)?;
                }
                Some(_) => {}
                None => return Ok((status, length)),
            }
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.socket.read_line(&mut line).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }
}

//! Proxies in front, and the addresses of clients that they tell.

use tidings_server::{Network, TlsConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Running, Stream, secure, start, start_with};
use crate::tls::Authority;

const TOLD: &str = "x-forwarded-for";

/// Starts a server that trusts proxies on this machine.
async fn start_behind() -> Running {
    start_with(|config, _| config.trusted_proxies = vec![Network::parse("127.0.0.0/8").unwrap()])
        .await
}

/// The addresses of all open streams, as they are listed.
async fn listed(server: &Running) -> Vec<String> {
    let list = server.get("/subscribers").answer().await.json();
    let all = list["subscribers"].as_array().unwrap().iter();
    all.map(|stream| stream["address"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_trusted_proxy_tells_the_address_of_a_streams_client() {
    let server = start_behind().await;
    let get = || server.get("/topics/a");
    let _plain = get().header(TOLD, "198.51.100.9, 192.0.2.1").stream().await;
    let _standard = get().header("forwarded", "for=\"[2001:db8::1]:4711\"").stream().await;
    let _http2 = Stream::new(get().header(TOLD, "192.0.2.2").send_http2().await);
    assert_eq!(listed(&server).await, ["192.0.2.1", "[2001:db8::1]:4711", "192.0.2.2"]);
}

#[tokio::test]
async fn anyone_else_is_not_believed() {
    let server = start().await;
    let _stream = server.get("/topics/a").header(TOLD, "192.0.2.1").stream().await;
    let listed = listed(&server).await;
    assert!(listed[0].starts_with("127.0.0.1:"), "{listed:?}");
}

/// The head of the PROXY protocol for a client of IPv4.
const PROXIED: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\x7f\x00\x00\x01\x12\x67\x00\x50";
/// The same for a connection of the proxy's own.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";

const GET: &[u8] = b"GET /topics/a HTTP/1.1\r\nHost: localhost\r\n\r\n";

async fn proxied(server: &Running, head: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(&[head, GET].concat()).await.unwrap();
    let mut start = [0; 15];
    socket.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK");
    socket
}

#[tokio::test]
async fn the_proxy_protocol_tells_the_address_before_the_first_request() {
    let server = start_behind().await;
    let first = proxied(&server, PROXIED).await;
    assert_eq!(listed(&server).await, ["192.0.2.1:4711"]);
    drop(first);
    while server.hub.stats().subscribers > 0 {
        tokio::task::yield_now().await;
    }
    let _own = proxied(&server, LOCAL).await;
    assert!(listed(&server).await[0].starts_with("127.0.0.1:"));
}

#[tokio::test]
async fn the_proxy_protocol_comes_before_tls() {
    let authority = Authority::new();
    let identity = authority.issue("localhost").identity();
    let mut server = start_with(|config, _| {
        config.trusted_proxies = vec![Network::parse("127.0.0.1").unwrap()];
        config.tls = Some(TlsConfig::new(identity));
    })
    .await;
    server.connector = Some(authority.connector(None));
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(PROXIED).await.unwrap();
    let mut stream = secure(socket, server.connector.as_ref(), &["http/1.1"]).await.unwrap();
    stream.write_all(GET).await.unwrap();
    stream.read_exact(&mut [0; 15]).await.unwrap();
    assert_eq!(listed(&server).await, ["192.0.2.1:4711"]);
}

#[tokio::test]
async fn a_head_of_the_proxy_protocol_from_a_stranger_is_a_malformed_request() {
    let server = start().await;
    let answer = server.raw([PROXIED, GET].concat()).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test]
async fn a_broken_head_of_the_proxy_protocol_ends_its_connection() {
    let server = start_behind().await;
    let mut version_1 = PROXIED.to_vec();
    version_1[12] = 0x11;
    let mut endless = PROXIED.to_vec();
    endless[14] = 0xff;
    for head in [version_1, endless, b"\r\n\r\nGET / HTTP/1.1\r\n\r\n".to_vec()] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(&head).await.unwrap();
        let mut answer = Vec::new();
        // The connection is reset, because not all of it was read.
        let _ = socket.read_to_end(&mut answer).await;
        assert!(answer.is_empty(), "{answer:?}");
    }
}

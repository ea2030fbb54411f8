//! Handshakes: what is spoken, and clients that do not finish one.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use tidings_server::TlsConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::rustls::SupportedProtocolVersion;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::{TlsConnector, client};

use super::{Authority, start_tls};
use crate::harness::{Running, Whole, start_with};

/// The start of a handshake: the head of a record, and nothing in it.
const BEGUN: &[u8] = b"\x16\x03\x01\x01\x00";

/// A connection of a client that speaks one version of TLS and these protocols.
async fn connected(
    (server, authority): (&Running, &Authority),
    version: &'static SupportedProtocolVersion,
    protocols: &[&str],
) -> client::TlsStream<TcpStream> {
    let mut config = authority.client(&[version], None);
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let socket = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap()
}

#[tokio::test]
async fn both_versions_are_spoken_and_the_better_protocol_is_chosen() {
    let authority = Authority::new();
    let identity = authority.issue("localhost").identity();
    let mut server = start_with(|config, _| config.tls = Some(TlsConfig::new(identity))).await;
    for version in [&TLS12, &TLS13] {
        for (asked, chosen) in
            [(&["h2", "http/1.1"][..], Some("h2")), (&["http/1.1"], Some("http/1.1")), (&[], None)]
        {
            let stream = connected((&server, &authority), version, asked).await;
            let (_, session) = stream.get_ref();
            assert_eq!(session.alpn_protocol(), chosen.map(str::as_bytes));
            assert_eq!(session.protocol_version(), Some(version.version));
        }
    }
    server.connector = Some(authority.connector(None));
    assert_eq!(server.get("/healthz").answer().await.status, StatusCode::OK);
    let over_http2 = server.request(Method::GET, "/healthz").send_http2().await;
    assert_eq!(Whole::read(over_http2).await.status, StatusCode::OK);
}

#[tokio::test]
async fn many_requests_pass_over_one_connection() {
    let server = start_tls(|_, _| {}).await;
    let mut stream = super::connect(&server).await;
    for data in ["1", "2", "3"] {
        let request = format!(
            "POST /topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n{data}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 201");
        let mut rest = Vec::new();
        while !rest.windows(8).any(|part| part == b"urn:uuid") {
            assert!(stream.read_buf(&mut rest).await.unwrap() > 0);
        }
        // The ID has 45 characters.
        let at = rest.windows(8).position(|part| part == b"urn:uuid").unwrap();
        while rest.len() < at + 45 {
            assert!(stream.read_buf(&mut rest).await.unwrap() > 0);
        }
    }
    assert_eq!(server.held("a"), ["1", "2", "3"]);
    // What hyper reads comes over TLS as well: a body in chunks.
    let request = "POST /topics/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                   Transfer-Encoding: chunked\r\n\r\n1\r\n4\r\n0\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("HTTP/1.1 201"), "{answer}");
    assert_eq!(server.held("a"), ["1", "2", "3", "4"]);
}

/// Clients take an end without the end of TLS for an attack that cuts answers.
#[tokio::test]
async fn an_answer_that_ends_with_its_connection_has_the_end_of_tls() {
    let server = start_tls(|_, _| {}).await;
    server.publish("a", &"x".repeat(100_000)).await;
    for request in [
        "GET /topics/a HTTP/1.0\r\nAccept: application/json\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    ] {
        let mut stream = super::connect(&server).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("}\n") || answer.ends_with('}'), "{answer}");
    }
}

#[tokio::test]
async fn http_without_tls_is_told_to_use_tls() {
    let server = start_tls(|_, _| {}).await;
    let answer = server.raw("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.ends_with("this port speaks TLS: use https://\n"), "{answer}");
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_closed_in_time() {
    // Enough for a busy machine to end the one handshake that goes on.
    let server = start_tls(|config, _| config.head_timeout = Duration::from_secs(1)).await;
    for start in [&b""[..], BEGUN] {
        assert_eq!(server.raw(start).await, "");
    }
    let metrics = server.get("/metrics").answer().await.text();
    assert!(metrics.contains("\ntidings_handshakes_failed_total 2\n"), "{metrics}");
    assert!(metrics.contains("\ntidings_handshakes 0\n"), "{metrics}");
}

/// An attacker that stops in its handshakes closes its own, and the others come in at once.
#[tokio::test]
async fn slow_handshakes_give_way_and_quick_ones_get_in() {
    let server = start_tls(|config, _| config.handshakes_max = 4).await;
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(BEGUN).await.unwrap();
        slow.push(socket);
    }
    // The oldest, but for the last four, are closed.
    for socket in &mut slow[..16] {
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest).await;
        assert!(rest.is_empty());
    }
    server.publish("a", "1").await;
    let metrics = server.get("/metrics").answer().await.text();
    let under_way = metrics.lines().find_map(|line| line.strip_prefix("tidings_handshakes "));
    assert!(under_way.unwrap().parse::<usize>().unwrap() <= 4, "{metrics}");
}

#[tokio::test]
async fn a_handshake_under_way_does_not_hold_up_the_end() {
    let mut server = start_tls(|_, _| {}).await;
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    slow.write_all(BEGUN).await.unwrap();
    let _silent = TcpStream::connect(server.address).await.unwrap();
    server.publish("a", "1").await;
    server.signal();
    server.ended().await;
}

#[tokio::test]
async fn a_second_listener_redirects_to_tls() {
    let identity = Authority::new().issue("localhost").identity();
    let mut redirects = Vec::new();
    let server = crate::harness::start_server(
        |config, _| {
            let mut tls = TlsConfig::new(identity);
            tls.redirect = vec![config.listen[0]];
            config.tls = Some(tls);
        },
        |server| {
            redirects = server.redirect_addresses().to_vec();
            server
        },
    )
    .await;
    let ask = async |request: &str| {
        let mut socket = TcpStream::connect(redirects[0]).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer =
        ask("GET /topics/a?b=c HTTP/1.1\r\nHost: localhost:80\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    let port = server.address.port();
    let location = format!("\r\nlocation: https://localhost:{port}/topics/a?b=c\r\n");
    assert!(answer.contains(&location), "{answer}");
    let answer = ask("GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
}

#[tokio::test]
async fn without_tls_a_handshake_is_told_so() {
    let server = start_with(|_, _| {}).await;
    let answer = server.raw(BEGUN).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("[tls]"), "{answer}");
}

//! TLS: trusted roots and the negotiated protocol.

use std::num::NonZeroU32;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tidings_client::{Cause, Closed, EventSource, HyperTransport, InvalidRoots, Stage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::watch::watch;

struct Secure {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    pem: String,
}

async fn secure(alpn: &[&[u8]]) -> Secure {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs has them")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("a pair");
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Secure {
        listener: TcpListener::bind("127.0.0.1:0").await.expect("loopback"),
        acceptor: TlsAcceptor::from(Arc::new(config)),
        pem: cert.pem(),
    }
}

impl Secure {
    fn url(&self) -> String {
        format!("https://localhost:{}/", self.listener.local_addr().expect("bound").port())
    }
}

#[tokio::test]
async fn given_roots_are_believed() {
    let server = secure(&[b"http/1.1"]).await;
    let transport = HyperTransport::builder().roots_pem(server.pem.as_bytes()).expect("a root");
    let mut watch = watch(EventSource::get(&server.url()).transport(transport.build()));
    let (socket, _) = server.listener.accept().await.expect("a connection");
    let mut tls = server.acceptor.accept(socket).await.expect("a handshake");
    let mut head = vec![0; 4096];
    let read = tls.read(&mut head).await.expect("a request");
    assert!(head[..read].starts_with(b"GET / HTTP/1.1\r\n"));
    let answer = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: a\n\n";
    tls.write_all(answer).await.expect("writable");
    watch.open().await;
    assert_eq!(watch.event().await, "a");
}

#[tokio::test]
async fn http2_is_spoken_where_tls_agrees_on_it() {
    let server = secure(&[b"h2", b"http/1.1"]).await;
    let transport = HyperTransport::builder().roots_pem(server.pem.as_bytes()).expect("a root");
    let _watch = watch(EventSource::get(&server.url()).transport(transport.build()));
    let (socket, _) = server.listener.accept().await.expect("a connection");
    let mut tls = server.acceptor.accept(socket).await.expect("a handshake");
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut preface = [0; 24];
    tls.read_exact(&mut preface).await.expect("a preface");
    assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
}

#[tokio::test]
async fn the_platform_does_not_believe_a_stranger() {
    let server = secure(&[]).await;
    let once = NonZeroU32::MIN;
    let mut watch = watch(EventSource::get(&server.url()).first_attempts_max(once));
    let (socket, _) = server.listener.accept().await.expect("a connection");
    let handshake = server.acceptor.accept(socket);
    let (closed, handshake) = tokio::join!(watch.closed(), handshake);
    assert!(handshake.is_err(), "the client goes on with a stranger");
    match closed {
        Closed::Exhausted { last: Cause::Transport(error), .. } => {
            assert_eq!(error.stage(), Stage::Connect);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn roots_that_are_none_are_refused() {
    for pem in [&b""[..], b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert_eq!(HyperTransport::builder().roots_pem(pem).err(), Some(InvalidRoots));
    }
}

//! TLS: trusted roots and the negotiated protocol.

use std::error::Error;
use std::num::NonZeroU32;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
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
    secure_as(certificate("localhost"), alpn).await
}

/// The properties of a certificate for a host, which signs itself.
fn certificate(host: &str) -> CertificateParams {
    CertificateParams::new([host.to_owned()]).expect("a host")
}

async fn secure_as(certificate: CertificateParams, alpn: &[&[u8]]) -> Secure {
    let signing_key = KeyPair::generate().expect("a key");
    let cert = certificate.self_signed(&signing_key).expect("a certificate");
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
    let error = refused(&server, HyperTransport::new()).await;
    assert!(error.contains("issued by no authority that is trusted here"), "{error}");
}

#[tokio::test]
async fn a_certificate_that_is_refused_is_explained() {
    let foreign = certificate("example.com");
    let mut authority = certificate("localhost");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let mut old = certificate("localhost");
    old.not_after = rcgen::date_time_ymd(2020, 1, 1);
    for (certificate, why) in [
        (foreign, "the server's certificate is for another host"),
        (authority, "it needs one that the authority issued"),
        (old, "the server's certificate has expired"),
    ] {
        let server = secure_as(certificate, &[]).await;
        let trusting = HyperTransport::builder().roots_pem(server.pem.as_bytes()).expect("a root");
        let error = refused(&server, trusting.build()).await;
        assert!(error.contains(why), "{error}");
    }
}

/// Has the server's certificate refused, and returns the error with its causes.
async fn refused(server: &Secure, transport: HyperTransport) -> String {
    let once = NonZeroU32::MIN;
    let source = EventSource::get(&server.url()).transport(transport);
    let mut watch = watch(source.first_attempts_max(once));
    let (socket, _) = server.listener.accept().await.expect("a connection");
    let handshake = server.acceptor.accept(socket);
    let (closed, handshake) = tokio::join!(watch.closed(), handshake);
    assert!(handshake.is_err(), "the client goes on with a stranger");
    match closed {
        Closed::Exhausted { last: Cause::Transport(error), .. } => {
            assert_eq!(error.stage(), Stage::Connect);
            let first = Some(&error as &dyn Error);
            let causes = std::iter::successors(first, |&error| error.source());
            causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
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

//! Certificates: a new one while the server runs, and those of clients.

use http::StatusCode;
use tidings_server::{TlsConfig, TlsIdentity};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::{Authority, connect};
use crate::harness::{secure, start_server, start_with};

#[tokio::test]
async fn a_new_certificate_is_used_for_new_connections_and_old_ones_go_on() {
    let (old, new) = (Authority::new(), Authority::new());
    let mut control = None;
    let mut server = start_server(
        |config, _| config.tls = Some(TlsConfig::new(old.issue("localhost").identity())),
        |server| {
            control = Some(server.control());
            server
        },
    )
    .await;
    server.connector = Some(old.connector(None));
    let mut stream = server.stream("/topics/a").await;
    stream.text_with("retry: ").await;
    control.unwrap().set_identity(&new.issue("localhost").identity());

    let socket = TcpStream::connect(server.address).await.unwrap();
    assert!(secure(socket, server.connector.as_ref(), &[]).await.is_err());
    server.connector = Some(new.connector(None));
    server.publish("a", "1").await;
    assert_eq!(stream.data().await, "1");
}

#[tokio::test]
async fn a_client_without_the_certificate_that_is_asked_for_is_refused() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let pair = authority.issue("localhost");
    let identity = TlsIdentity::from_pem(
        pair.certificate.as_bytes(),
        pair.key.as_bytes(),
        Some(clients.pem().as_bytes()),
    );
    let mut server =
        start_with(|config, _| config.tls = Some(TlsConfig::new(identity.unwrap()))).await;
    for connector in
        [authority.connector(None), authority.connector(Some(&authority.issue("someone")))]
    {
        let socket = TcpStream::connect(server.address).await.unwrap();
        // With TLS 1.3 the client's side of the handshake is over before it is refused.
        if let Ok(mut stream) = secure(socket, Some(&connector), &[]).await {
            assert!(stream.read(&mut [0]).await.is_err());
        }
    }
    server.connector = Some(authority.connector(Some(&clients.issue("someone"))));
    assert_eq!(server.get("/healthz").answer().await.status, StatusCode::OK);
    drop(connect(&server).await);
}

//! One bounded GET of a key set.
//!
//! Not here, on purpose: redirects, which would move the trust to another URL; proxies; and kept
//! connections, because a set is fetched every few minutes.

use std::error::Error;
use std::future::pending;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HOST, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::{pin, select};
use tokio_rustls::TlsConnector;

use super::error::KeySetError;

/// The maximum size of a set: 64 keys with their certificates have less.
pub(super) const BYTES_MAX: usize = 256 * 1024;
/// The maximum time of a fetch, from the look-up of the name to the last byte: far more than a server
/// that works needs, and short enough for a request that waits for the keys.
const TIMEOUT: Duration = Duration::from_secs(5);

type BoxError = Box<dyn Error + Send + Sync>;

/// Fetches the text of a set.
pub(super) async fn fetch(uri: &Uri) -> Result<Bytes, KeySetError> {
    tokio::time::timeout(TIMEOUT, get(uri)).await.unwrap_or(Err(KeySetError::TimedOut))
}

async fn get(uri: &Uri) -> Result<Bytes, KeySetError> {
    let is_tls = uri.scheme_str() == Some("https");
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let socket = TcpStream::connect((host, port)).await.map_err(KeySetError::Connect)?;
    if !is_tls {
        // A name of this machine may have been given another address.
        let peer = socket.peer_addr().map_err(KeySetError::Connect)?;
        if !peer.ip().to_canonical().is_loopback() {
            return Err(KeySetError::NotLoopback);
        }
        return exchange(socket, uri).await;
    }
    let name = ServerName::try_from(host.to_owned()).map_err(invalid)?;
    let connector = TlsConnector::from(tls().map_err(KeySetError::Connect)?);
    let socket = connector.connect(name, socket).await.map_err(KeySetError::Connect)?;
    exchange(socket, uri).await
}

async fn exchange<S>(socket: S, uri: &Uri) -> Result<Bytes, KeySetError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await.map_err(http)?;
    let connection = async {
        // An error of the connection is one of the exchange as well.
        let _ = connection.await;
        pending::<Result<Bytes, KeySetError>>().await
    };
    let exchange = async {
        let response = sender.send_request(request(uri)?).await.map_err(http)?;
        if response.status() != StatusCode::OK {
            return Err(KeySetError::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), BYTES_MAX).collect().await;
        Ok(body.map_err(too_large_or_cut)?.to_bytes())
    };
    pin!(connection);
    select! {
        answered = exchange => answered,
        never = &mut connection => never,
    }
}

fn request(uri: &Uri) -> Result<Request<Empty<Bytes>>, KeySetError> {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let host = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
    let request = Request::get(target)
        .header(HOST, host)
        .header(ACCEPT, "application/jwk-set+json, application/json")
        .header(USER_AGENT, concat!("tidings/", env!("CARGO_PKG_VERSION")));
    request.body(Empty::new()).map_err(|error| KeySetError::Http(error.into()))
}

/// The configuration of TLS, with the certificates that the platform trusts. These are hundreds of
/// files on some systems, so they are read once, and only if they are needed.
fn tls() -> io::Result<Arc<ClientConfig>> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(Arc::clone(config));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_platform_verifier())
        .map_err(io::Error::other)?;
    Ok(Arc::clone(CONFIG.get_or_init(|| Arc::new(config.with_no_client_auth()))))
}

fn http(error: hyper::Error) -> KeySetError {
    KeySetError::Http(error.into())
}

fn invalid(error: rustls::pki_types::InvalidDnsNameError) -> KeySetError {
    KeySetError::Connect(io::Error::other(error))
}

fn too_large_or_cut(error: BoxError) -> KeySetError {
    match error.is::<LengthLimitError>() {
        true => KeySetError::TooLarge { bytes_max: BYTES_MAX },
        false => KeySetError::Http(error),
    }
}

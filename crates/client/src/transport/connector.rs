//! Makes connections: directly or through a proxy, in clear text or with TLS.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::tls_error;

type BoxError = Box<dyn Error + Send + Sync>;

/// TCP's keep-alive: the idle time before the first probe, the interval between probes, and their
/// number. Together they find a peer that lost its power within one minute, whatever heartbeats the
/// server sends.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

/// The choice of a proxy for each server.
#[derive(Clone)]
pub struct Proxy {
    matcher: Arc<Matcher>,
    loopback: Loopback,
}

/// Whether servers on this machine are reached through the proxy, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loopback {
    Proxied,
    Direct,
}

impl Proxy {
    /// Reads the proxies from the environment: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and
    /// `NO_PROXY`, in upper or lower case. This function reads them once, and no other code in this
    /// crate does: a program that does not call it uses no proxy.
    #[must_use]
    pub fn from_env() -> Self {
        Self { matcher: Arc::new(Matcher::from_env()), loopback: Loopback::Proxied }
    }

    /// Uses one proxy for every server except those in `except` (host names, domains, addresses and
    /// networks, separated by commas, as in `NO_PROXY`).
    ///
    /// The proxy's URL is `http://`, `socks5://` (names are looked up here) or `socks5h://` (names
    /// are looked up by the proxy), with a user name and password if the proxy requires them.
    ///
    /// # Errors
    ///
    /// If `url` is not such a URL.
    pub fn all(url: &str, except: &str) -> Result<Self, InvalidProxy> {
        let refused = || InvalidProxy { url: redacted(url) };
        let parsed = url::Url::parse(url).map_err(|_| refused())?;
        if !is_supported(parsed.scheme()) || parsed.host_str().is_none() {
            return Err(refused());
        }
        let matcher = Arc::new(Matcher::builder().all(url).no(except).build());
        Ok(Self { matcher, loopback: Loopback::Proxied })
    }

    /// Reaches servers on this machine directly, whatever the proxy's own exceptions are:
    /// `localhost`, names below it, and loopback addresses mean another machine to a proxy.
    #[must_use]
    pub fn except_loopback(mut self) -> Self {
        self.loopback = Loopback::Direct;
        self
    }

    fn intercept(&self, uri: &Uri) -> Option<Intercept> {
        if self.loopback == Loopback::Direct && uri.host().is_some_and(is_loopback) {
            return None;
        }
        self.matcher.intercept(uri)
    }

    /// The header for a proxy that receives the request itself, as it does without TLS.
    pub(super) fn authorization(&self, uri: &Uri) -> Option<HeaderValue> {
        if uri.scheme_str() != Some("http") {
            return None;
        }
        self.intercept(uri)?.basic_auth().cloned()
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may contain a password.
        f.debug_struct("Proxy").finish_non_exhaustive()
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => {
            let name = host.to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }
    }
}

fn is_supported(scheme: &str) -> bool {
    matches!(scheme, "http" | "socks5" | "socks5h")
}

/// Removes the user name and password.
fn redacted(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => url.to_owned(),
    }
}

/// The error of a URL that is not a usable proxy's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidProxy {
    url: String,
}

impl fmt::Display for InvalidProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not the URL of an http, socks5 or socks5h proxy", self.url)
    }
}

impl Error for InvalidProxy {}

/// The trusted root certificates.
#[derive(Clone)]
pub(super) enum Roots {
    Platform,
    Given(Arc<ClientConfig>),
}

impl Roots {
    /// Reads certificates in PEM.
    pub(super) fn from_pem(pem: &[u8]) -> Result<Self, InvalidRoots> {
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| InvalidRoots)?;
            store.add(certificate).map_err(|_| InvalidRoots)?;
        }
        if store.is_empty() {
            return Err(InvalidRoots);
        }
        let config = config_builder().map_err(|_| InvalidRoots)?;
        let config = config.with_root_certificates(store).with_no_client_auth();
        Ok(Self::Given(Arc::new(config)))
    }

    fn config(&self) -> Result<Arc<ClientConfig>, BoxError> {
        // The platform's roots are hundreds of files on some systems, so they are read once, and
        // only if TLS is used.
        static PLATFORM: OnceLock<Arc<ClientConfig>> = OnceLock::new();
        match (self, PLATFORM.get()) {
            (Self::Given(config), _) | (Self::Platform, Some(config)) => Ok(Arc::clone(config)),
            (Self::Platform, None) => {
                let config = config_builder()?.with_platform_verifier()?.with_no_client_auth();
                Ok(Arc::clone(PLATFORM.get_or_init(|| Arc::new(config))))
            }
        }
    }
}

fn config_builder()
-> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, rustls::Error> {
    // Explicit, because rustls does not choose in a program that contains two providers.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()
}

/// The error of a text without a usable certificate in PEM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidRoots;

impl fmt::Display for InvalidRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no usable root certificates in PEM")
    }
}

impl Error for InvalidRoots {}

/// The protocols that TLS may negotiate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alpn {
    Both,
    Http1,
    Http2,
}

impl Alpn {
    fn names(self) -> Vec<Vec<u8>> {
        match self {
            Self::Both => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            Self::Http1 => vec![b"http/1.1".to_vec()],
            Self::Http2 => vec![b"h2".to_vec()],
        }
    }
}

/// Makes connections for hyper's client.
#[derive(Clone)]
pub(super) struct Connector {
    tcp: HttpConnector,
    roots: Roots,
    alpn: Alpn,
    proxy: Option<Proxy>,
}

impl Connector {
    pub(super) fn new(
        roots: Roots,
        alpn: Alpn,
        proxy: Option<Proxy>,
        connect_timeout: Duration,
    ) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(connect_timeout));
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
        tcp.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
        Self { tcp, roots, alpn, proxy }
    }

    async fn connect(mut self, uri: Uri) -> Result<Stream, BoxError> {
        let is_tls = uri.scheme_str() == Some("https");
        let intercept = self.proxy.as_ref().and_then(|proxy| proxy.intercept(&uri));
        let (tcp, route) = match intercept {
            None => (call(&mut self.tcp, uri.clone()).await?, Route::Direct),
            Some(proxy) => self.through(&proxy, &uri, is_tls).await?,
        };
        let tcp = tcp.into_inner();
        if !is_tls {
            return Ok(Stream { io: TokioIo::new(Io::Clear(tcp)), route });
        }
        let mut config = (*self.roots.config()?).clone();
        config.alpn_protocols = self.alpn.names();
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned())?;
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, tcp);
        let tls = connecting.await.map_err(tls_error::explained)?;
        // The proxy does not see requests inside a tunnel, so they are written as for the server.
        Ok(Stream { io: TokioIo::new(Io::Tls(Box::new(tls))), route: Route::Direct })
    }

    async fn through(
        &mut self,
        proxy: &Intercept,
        uri: &Uri,
        is_tls: bool,
    ) -> Result<(TokioIo<TcpStream>, Route), BoxError> {
        match proxy.uri().scheme_str() {
            Some("http") if is_tls => {
                let mut tunnel = Tunnel::new(proxy.uri().clone(), self.tcp.clone());
                if let Some(value) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(value.clone());
                }
                Ok((call(&mut tunnel, uri.clone()).await?, Route::Direct))
            }
            Some("http") => Ok((call(&mut self.tcp, proxy.uri().clone()).await?, Route::Proxied)),
            Some(scheme @ ("socks5" | "socks5h")) => {
                let mut socks = SocksV5::new(proxy.uri().clone(), self.tcp.clone());
                socks = socks.local_dns(scheme == "socks5");
                if let Some((user, password)) = proxy.raw_auth() {
                    socks = socks.with_auth(user.to_owned(), password.to_owned());
                }
                Ok((call(&mut socks, uri.clone()).await?, Route::Direct))
            }
            scheme => Err(InvalidProxy { url: scheme.unwrap_or_default().to_owned() }.into()),
        }
    }
}

async fn call<S>(service: &mut S, uri: Uri) -> Result<S::Response, BoxError>
where
    S: Service<Uri>,
    S::Error: Into<BoxError>,
{
    std::future::poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)?;
    service.call(uri).await.map_err(Into::into)
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

/// Whether the peer is a proxy, which needs the whole URL in the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Direct,
    Proxied,
}

/// A connection.
pub(super) struct Stream {
    io: TokioIo<Io>,
    route: Route,
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        let connected = Connected::new().proxy(self.route == Route::Proxied);
        match self.io.inner() {
            Io::Tls(tls) if tls.get_ref().1.alpn_protocol() == Some(b"h2") => {
                connected.negotiated_h2()
            }
            Io::Tls(_) | Io::Clear(_) => connected,
        }
    }
}

impl hyper::rt::Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl hyper::rt::Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

enum Io {
    Clear(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

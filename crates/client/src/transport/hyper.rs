//! The default transport: hyper with rustls.

use std::fmt;
use std::time::Duration;

use http::Request;
use http::header::PROXY_AUTHORIZATION;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::connector::{Alpn, Connector, InvalidRoots, Proxy, Roots};
use super::patient::PatientTimer;
use super::{Body, NewConnection, Sending, Stage, Transport, TransportError};

/// The time-out of making a connection: name look-up and TCP.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The time for which an idle connection is kept: less than the 60 s after which many servers and
/// proxies close one.
const KEPT_FOR: Duration = Duration::from_secs(30);

/// The interval of HTTP/2 pings, and the wait for their answer. Together they are shorter than the
/// idle timeout that suits a heartbeat of 15 s, which is 45 s.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// HTTP/1.1 and HTTP/2 over TCP and TLS, with the platform's roots.
///
/// It must be used within a tokio runtime. By default every request has a connection of its own,
/// which ends with it: a stream outlives most of what a pool could save. A transport that keeps
/// connections still makes a new one for a request with the extension [`NewConnection`].
#[derive(Clone)]
pub struct HyperTransport {
    pooled: Client<Connector, Body>,
    /// Sends every request on a connection of its own.
    unpooled: Client<Connector, Body>,
    proxy: Option<Proxy>,
}

impl HyperTransport {
    /// Makes a transport with the default settings: no proxy, the platform's roots, and HTTP/2 if
    /// TLS negotiates it.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Describes a transport with other settings.
    pub fn builder() -> HyperTransportBuilder {
        HyperTransportBuilder {
            roots: Roots::Platform,
            proxy: None,
            version: HttpVersion::Negotiated,
            connect_timeout: CONNECT_TIMEOUT,
            connections_kept: 0,
        }
    }
}

impl Default for HyperTransport {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for HyperTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HyperTransport").field("proxy", &self.proxy).finish_non_exhaustive()
    }
}

impl Transport for HyperTransport {
    fn send(&self, mut request: Request<Body>) -> Sending {
        let proxy = self.proxy.as_ref();
        if let Some(value) = proxy.and_then(|proxy| proxy.authorization(request.uri())) {
            request.headers_mut().insert(PROXY_AUTHORIZATION, value);
        }
        let client = match request.extensions().get::<NewConnection>() {
            Some(NewConnection) => &self.unpooled,
            None => &self.pooled,
        };
        let sending = client.request(request);
        Box::pin(async move {
            let response = sending.await.map_err(|error| {
                let stage = if error.is_connect() { Stage::Connect } else { Stage::Request };
                TransportError::new(stage, error)
            })?;
            Ok(response.map(|body| {
                Body::new(body.map_err(|error| TransportError::new(Stage::Body, error)))
            }))
        })
    }
}

/// The version of HTTP that a transport speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HttpVersion {
    /// HTTP/1.1 in clear text; with TLS, HTTP/2 if the server supports it.
    Negotiated,
    /// HTTP/1.1 always.
    Http1,
    /// HTTP/2 always, even in clear text: the server must be known to support it.
    Http2,
}

/// Describes a [`HyperTransport`].
#[derive(Clone)]
#[must_use = "nothing is made before `build`"]
pub struct HyperTransportBuilder {
    roots: Roots,
    proxy: Option<Proxy>,
    version: HttpVersion,
    connect_timeout: Duration,
    connections_kept: usize,
}

impl HyperTransportBuilder {
    /// Trusts only certificates signed by these roots, in PEM.
    ///
    /// # Errors
    ///
    /// If `pem` contains no certificate, or one that cannot be read.
    pub fn roots_pem(mut self, pem: &[u8]) -> Result<Self, InvalidRoots> {
        self.roots = Roots::from_pem(pem)?;
        Ok(self)
    }

    /// Uses a proxy.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// Sets the version of HTTP.
    pub fn http_version(mut self, version: HttpVersion) -> Self {
        self.version = version;
        self
    }

    /// Sets the time-out of making a connection, before TLS. 10 s by default.
    pub fn connect_timeout(mut self, connect_timeout: Duration) -> Self {
        self.connect_timeout = connect_timeout;
        self
    }

    /// Sets the maximum number of idle connections to each server that are kept for the next
    /// request, for half a minute. 0 by default: every request has a connection of its own. With
    /// any other number, requests also share HTTP/2 connections.
    pub fn connections_kept(mut self, connections_kept: usize) -> Self {
        self.connections_kept = connections_kept;
        self
    }

    /// Makes the transport.
    #[must_use]
    pub fn build(self) -> HyperTransport {
        let alpn = match self.version {
            HttpVersion::Negotiated => Alpn::Both,
            HttpVersion::Http1 => Alpn::Http1,
            HttpVersion::Http2 => Alpn::Http2,
        };
        let proxy = self.proxy;
        let connector = Connector::new(self.roots, alpn, proxy.clone(), self.connect_timeout);
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .timer(PatientTimer)
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEPT_FOR)
            .http2_only(self.version == HttpVersion::Http2);
        let unpooled = builder.pool_max_idle_per_host(0).build(connector.clone());
        if self.connections_kept > 0 {
            // One dead connection can hold many streams, and the kernel may take a quarter of an
            // hour to find out that the server receives nothing.
            builder
                .http2_keep_alive_interval(PING_INTERVAL)
                .http2_keep_alive_timeout(PING_TIMEOUT)
                .pool_max_idle_per_host(self.connections_kept);
        }
        let pooled = builder.build(connector);
        HyperTransport { pooled, unpooled, proxy }
    }
}

impl fmt::Debug for HyperTransportBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HyperTransportBuilder")
            .field("version", &self.version)
            .field("proxy", &self.proxy)
            .finish_non_exhaustive()
    }
}

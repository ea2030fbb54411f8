//! Transports, which carry requests to a server: one small trait and its implementations.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use http::{Request, Response};

mod body;
mod connector;
mod error;
mod hyper;
mod patient;
#[cfg(feature = "reqwest")]
mod reqwest;
mod tls_error;

pub use self::body::Body;
pub use self::connector::{InvalidProxy, InvalidRoots, Proxy};
pub use self::error::{Stage, TransportError};
pub use self::hyper::{HttpVersion, HyperTransport, HyperTransportBuilder};
#[cfg(feature = "reqwest")]
pub use self::reqwest::ReqwestTransport;

/// The future of a response's head.
pub type Sending = Pin<Box<dyn Future<Output = Result<Response<Body>, TransportError>> + Send>>;

/// The extension of a request that must be sent on a new connection.
///
/// An event source adds it to the request that follows a broken or silent connection, because a
/// pool, or HTTP/2, could use that connection again. A [`Transport`] that keeps connections should
/// honor it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewConnection;

/// Sends a request, and returns the response as soon as its head has arrived.
///
/// A transport must not follow redirects, retry, undo content encodings or keep cookies: all of
/// this happens above it. Dropping the future, or the response's body, must end the exchange.
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Sends `request`.
    ///
    /// # Errors
    ///
    /// The [`TransportError`] tells whether the request can have reached the server.
    fn send(&self, request: Request<Body>) -> Sending;
}

impl<T: Transport + ?Sized> Transport for std::sync::Arc<T> {
    fn send(&self, request: Request<Body>) -> Sending {
        (**self).send(request)
    }
}

//! How a request reaches a server: one small trait, and the transports that implement it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use http::{Request, Response};

mod body;
mod connector;
mod error;
mod hyper;
#[cfg(feature = "reqwest")]
mod reqwest;

pub use self::body::Body;
pub use self::connector::{InvalidProxy, InvalidRoots, Proxy};
pub use self::error::{Stage, TransportError};
pub use self::hyper::{HttpVersion, HyperTransport, HyperTransportBuilder};
#[cfg(feature = "reqwest")]
pub use self::reqwest::ReqwestTransport;

/// The future of a response's head.
pub type Sending = Pin<Box<dyn Future<Output = Result<Response<Body>, TransportError>> + Send>>;

/// An extension of a request that must be sent on a new connection.
///
/// An event source sets it on the attempt that follows a broken or silent connection, which a
/// pool, or HTTP/2, might hand out again. A [`Transport`] that keeps connections should honor it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewConnection;

/// Sends one request and hands back the response as soon as its head is there.
///
/// A transport follows no redirects, retries nothing, undoes no content encoding and keeps no
/// cookies: all of that is decided above it. Dropping the future, or the response's body, must
/// end the exchange.
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Sends `request`.
    ///
    /// # Errors
    ///
    /// The future's [`TransportError`] says whether the request can have reached the server.
    fn send(&self, request: Request<Body>) -> Sending;
}

impl<T: Transport + ?Sized> Transport for std::sync::Arc<T> {
    fn send(&self, request: Request<Body>) -> Sending {
        (**self).send(request)
    }
}

//! How a request reaches a server: one small trait, and the transports that implement it.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use http::{Request, Response};

use crate::body::Body;

mod connector;
mod hyper;
#[cfg(feature = "reqwest")]
mod reqwest;

pub use self::connector::{InvalidProxy, InvalidRoots, Proxy};
pub use self::hyper::{HttpVersion, HyperTransport, HyperTransportBuilder};
#[cfg(feature = "reqwest")]
pub use self::reqwest::ReqwestTransport;

/// The future of a response's head.
pub type Sending = Pin<Box<dyn Future<Output = Result<Response<Body>, TransportError>> + Send>>;

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

/// An exchange that broke, in the words of the transport that carried it.
///
/// An [`EventSource`](crate::EventSource) answers one with another attempt and shows it as
/// [`Cause::Transport`](crate::Cause::Transport).
#[derive(Debug)]
pub struct TransportError {
    stage: Stage,
    source: Box<dyn Error + Send + Sync>,
}

/// How far an exchange had come when it broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// No connection: the name, the network, the proxy or TLS refused. The server has seen
    /// nothing of the request.
    Connect,
    /// The request may have been sent, and no response came.
    Request,
    /// The response broke off.
    Body,
}

impl TransportError {
    /// Wraps what a transport reported.
    pub fn new(stage: Stage, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { stage, source: source.into() }
    }

    /// How far the exchange had come.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.stage
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.stage {
            Stage::Connect => "no connection to the server",
            Stage::Request => "no response from the server",
            Stage::Body => "the response broke off",
        })
    }
}

impl Error for TransportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

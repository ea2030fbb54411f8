//! How an exchange breaks.

use std::error::Error;
use std::fmt;

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

//! Transport errors.

use std::error::Error;
use std::fmt;

/// The error of an exchange that broke.
///
/// An [`EventSource`](crate::EventSource) reports it as
/// [`Cause::Transport`](crate::Cause::Transport) and makes another attempt.
#[derive(Debug)]
pub struct TransportError {
    stage: Stage,
    source: Box<dyn Error + Send + Sync>,
}

/// The stage at which an exchange broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// There was no connection: the name look-up, the network, the proxy or TLS failed. The server
    /// has seen nothing of the request.
    Connect,
    /// The request may have been sent, but no response arrived.
    Request,
    /// The response broke off.
    Body,
}

impl TransportError {
    /// Wraps a transport's own error.
    pub fn new(stage: Stage, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { stage, source: source.into() }
    }

    /// The stage at which the exchange broke.
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

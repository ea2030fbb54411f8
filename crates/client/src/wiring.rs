//! The network and the clock that event sources and publishers work with.

use std::sync::Arc;

use crate::timer::{Timer, TokioTimer};
use crate::transport::{HyperTransport, Transport};

/// A transport and a timer. Clones share both.
#[derive(Debug, Clone)]
pub(crate) struct Wiring {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) timer: Arc<dyn Timer>,
}

/// Idle connections that a shared transport keeps for each server: enough for a few tasks that
/// publish side by side.
const CONNECTIONS_KEPT: usize = 4;

impl Wiring {
    pub(crate) fn new(transport: impl Transport) -> Self {
        Self { transport: Arc::new(transport), timer: Arc::new(TokioTimer) }
    }

    /// A transport that gives every request a connection of its own: a lone stream outlives most
    /// of what a pool could save.
    pub(crate) fn for_one_source() -> Self {
        Self::new(HyperTransport::new())
    }

    /// A transport that keeps idle connections for the next request.
    pub(crate) fn pooled() -> Self {
        Self::new(HyperTransport::builder().connections_kept(CONNECTIONS_KEPT).build())
    }
}

//! Numbers of the journal on NATS.

use std::sync::atomic::{AtomicBool, AtomicU64};

/// Numbers for operators.
#[derive(Debug, Default)]
pub(super) struct Status {
    pub(super) is_away: AtomicBool,
    /// The newest message of the stream, as it was last heard of.
    pub(super) newest: AtomicU64,
    pub(super) consumers: AtomicU64,
    pub(super) sent: AtomicU64,
}

/// The state of a [`NatsJournal`](super::NatsJournal), for metrics.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct NatsStats {
    /// Whether NATS does not answer.
    pub is_away: bool,
    /// The newest message of the stream, as far as it is known.
    pub newest: u64,
    /// The newest message that was read.
    pub read: u64,
    /// Messages that this hub has sent, repetitions included.
    pub sent: u64,
    /// Consumers that were made, one at the start and one after each failure.
    pub consumers: u64,
    /// Messages that were passed over because they are no hub's, or damaged.
    pub passed_over: u64,
}

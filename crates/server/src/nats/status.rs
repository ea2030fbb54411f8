//! Numbers of the journal on NATS.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Numbers for operators.
#[derive(Debug, Default)]
pub(super) struct Status {
    pub(super) is_away: AtomicBool,
    /// The newest message of the stream, as it was last heard of.
    pub(super) newest: AtomicU64,
    pub(super) consumers: AtomicU64,
    pub(super) sent: AtomicU64,
}

impl Status {
    /// Notes a message that is in the stream.
    pub(super) fn note_newest(&self, newest: u64) {
        self.newest.fetch_max(newest, Ordering::Relaxed);
    }
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

/// The number of messages that a hub may be behind and still be ready: less than a second of a busy stream.
const BEHIND_MAX: u64 = 1_000;

impl NatsStats {
    /// Returns whether the hub is so far behind that its readers would be better served by another one. While
    /// NATS is away, all hubs are where they are.
    pub(crate) fn is_behind(&self) -> bool {
        !self.is_away && self.newest.saturating_sub(self.read) > BEHIND_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_is_behind_beyond_a_bound_while_nats_answers() {
        let stats =
            |is_away, newest| NatsStats { is_away, newest, read: 10, ..NatsStats::default() };
        for (is_away, newest, is_behind) in
            [(false, 10, false), (false, 1_010, false), (false, 1_011, true), (true, 5_000, false)]
        {
            assert_eq!(stats(is_away, newest).is_behind(), is_behind, "{is_away} {newest}");
        }
    }
}

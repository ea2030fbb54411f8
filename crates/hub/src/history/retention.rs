//! Retention: the limits of a history.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::Block;

/// The limits of a history. Events beyond them are evicted, the oldest first.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Retention {
    /// Maximum size of the history: events, lists, topics and names. The newest events are always held.
    pub bytes_max: usize,
    /// Maximum number of events of each topic; `None` for no limit but that on bytes.
    pub topic_events_max: Option<NonZeroUsize>,
    /// Maximum age of an event; `None` for no limit.
    pub age_max: Option<Duration>,
}

impl Default for Retention {
    /// 256 MiB: about a million events of 100 bytes, and room beside it on the smallest machines.
    fn default() -> Self {
        Self { bytes_max: 256 * 1024 * 1024, topic_events_max: None, age_max: None }
    }
}

impl Retention {
    /// The idempotency keys of a journal in memory may take a quarter of the budget.
    pub(crate) fn keys_bytes_max(&self) -> usize {
        self.bytes_max / 4
    }

    /// Maximum bytes of the blocks that wait for one shard: a sixteenth more than the budget.
    #[cfg(feature = "engine")]
    pub(crate) fn hints_bytes_max(&self) -> usize {
        self.bytes_max / 16
    }

    /// Maximum bytes of evicted events that are kept for readers which have stopped in them: an eighth more
    /// than the budget, for each shard and for all bodies together.
    #[cfg(feature = "engine")]
    pub(crate) fn rests_bytes_max(&self) -> usize {
        self.bytes_max / 8
    }

    /// A block is let go of whole, so a small budget has small blocks.
    pub(super) fn block_bytes_max(&self) -> usize {
        (self.bytes_max / 32).clamp(1, Block::BYTES_MAX)
    }
}

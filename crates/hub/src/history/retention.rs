//! Retention: what a history holds at most.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::Block;

/// What a history holds at most. What goes beyond is evicted, the oldest first.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Retention {
    /// Bytes in all: events, lists, topics and names alike. The newest events stay whatever their size.
    pub bytes_max: usize,
    /// Events of each topic; `None`: as many as the bytes allow.
    pub topic_events_max: Option<NonZeroUsize>,
    /// Age of an event; `None`: any.
    pub age_max: Option<Duration>,
}

impl Default for Retention {
    /// 256 MiB: about a million events of 100 bytes, and room beside it on the smallest machines.
    fn default() -> Self {
        Self { bytes_max: 256 * 1024 * 1024, topic_events_max: None, age_max: None }
    }
}

impl Retention {
    /// A block is let go of whole, so a small budget has small blocks.
    pub(super) fn block_bytes_max(&self) -> usize {
        (self.bytes_max / 32).clamp(1, Block::BYTES_MAX)
    }
}

//! The numbers of topics.

use std::num::NonZeroU32;

/// A topic's number: never reused within a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicKey {
    pub(super) slot: u32,
    /// Not zero, so that an entry's topics take no more room than one of them.
    pub(super) version: NonZeroU32,
}

impl Default for TopicKey {
    /// The number of no topic.
    fn default() -> Self {
        Self { slot: u32::MAX, version: NonZeroU32::MIN }
    }
}

impl TopicKey {
    /// A number that no other one is below.
    pub(super) const MIN: Self = Self { slot: 0, version: NonZeroU32::MIN };

    pub(super) fn slot(self) -> u32 {
        self.slot
    }
}

//! Counts of topics' entries, as a journal has made them.

use std::collections::HashMap;

use super::TopicKey;
use crate::cursor::Sequence;

/// The latest counts of topics: of all that readers name, and some more.
#[derive(Debug, Default)]
pub(super) struct Counts {
    counts: HashMap<TopicKey, Count>,
    /// The number of counts at which those that no reader needs are dropped.
    prune_at: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Count {
    /// Everything up to here was counted.
    pub(super) through: Sequence,
    /// When, by the hub's steady clock, in milliseconds.
    pub(super) at: u64,
}

/// Number of counts that are kept whether or not a reader needs them.
const PRUNE_MIN: usize = 1024;

impl Counts {
    pub(super) fn find(&self, topic: TopicKey) -> Option<&Count> {
        self.counts.get(&topic)
    }

    /// Notes a count. `is_needed` returns whether a reader names a topic.
    pub(super) fn insert(
        &mut self,
        topic: TopicKey,
        count: Count,
        is_needed: impl Fn(TopicKey) -> bool,
    ) {
        if self.counts.len() >= self.prune_at.max(PRUNE_MIN) {
            self.counts.retain(|topic, _| is_needed(*topic));
            self.prune_at = 2 * self.counts.len();
        }
        self.counts.insert(topic, count);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn counts_that_readers_need_are_kept_however_many_and_others_are_bounded() {
        let key = |slot| TopicKey { slot, version: NonZeroU32::MIN };
        let mut counts = Counts::default();
        let count = Count { through: Sequence::ZERO, at: 0 };
        // Every third is that of a reader.
        for slot in 0..30_000 {
            counts.insert(key(slot), count, |topic| topic.slot % 3 == 0);
        }
        assert!((0..30_000).step_by(3).all(|slot| counts.find(key(slot)).is_some()));
        assert!(counts.counts.len() <= 2 * 10_000 + 1, "{}", counts.counts.len());
    }
}

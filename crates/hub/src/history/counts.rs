//! Counts of topics' events, as a journal has made them.

use std::collections::HashMap;

use super::TopicKey;
use super::ladder::Ladder;
use crate::cursor::Sequence;

/// The latest counts of topics: of all that readers name, and some more.
#[derive(Debug, Default)]
pub(super) struct Counts {
    counts: HashMap<TopicKey, Count>,
    /// The number of counts at which those that no reader needs are dropped.
    prune_at: usize,
    /// Events on the ladders.
    rungs: usize,
}

#[derive(Debug)]
pub(super) struct Count {
    /// Everything up to here was counted.
    pub(super) through: Sequence,
    /// The newest event that was beyond the limits.
    pub(super) beyond: Sequence,
    pub(super) ladder: Ladder,
}

/// Number of counts that are kept whether or not a reader needs them.
const PRUNE_MIN: usize = 1024;
/// Events on all ladders together: 2 MiB. Beyond them, topics with new events are counted again.
const RUNGS_MAX: usize = 128 * 1024;

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
            self.rungs = self.counts.values().map(|count| count.ladder.len()).sum();
        }
        if self.rungs + count.ladder.len() > RUNGS_MAX {
            self.counts.values_mut().for_each(|count| count.ladder.shorten());
            self.rungs = 0;
        }
        self.rungs += count.ladder.len();
        if let Some(before) = self.counts.insert(topic, count) {
            self.rungs -= before.ladder.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn key(slot: u32) -> TopicKey {
        TopicKey { slot, version: NonZeroU32::MIN }
    }

    fn count(rungs: u64) -> Count {
        let events = (1..=rungs).map(|number| (Sequence::new(number).unwrap(), 1));
        let ladder = Ladder::new(events, None, (rungs as usize, rungs as usize));
        Count { through: Sequence::ZERO, beyond: Sequence::ZERO, ladder }
    }

    #[test]
    fn counts_that_readers_need_are_kept_however_many_and_others_are_bounded() {
        let mut counts = Counts::default();
        // Every third is that of a reader.
        for slot in 0..30_000 {
            counts.insert(key(slot), count(0), |topic| topic.slot % 3 == 0);
        }
        assert!((0..30_000).step_by(3).all(|slot| counts.find(key(slot)).is_some()));
        assert!(counts.counts.len() <= 2 * 10_000 + 1, "{}", counts.counts.len());
    }

    #[test]
    fn the_events_on_ladders_are_bounded() {
        let mut counts = Counts::default();
        for slot in 0..1000 {
            counts.insert(key(slot % 300), count(500), |_| true);
            let rungs = counts.counts.values().map(|count| count.ladder.len()).sum::<usize>();
            assert!(counts.rungs == rungs && rungs <= RUNGS_MAX, "{rungs} {}", counts.rungs);
        }
        assert_eq!(counts.counts.len(), 300);
    }
}

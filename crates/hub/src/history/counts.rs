//! Counts of topics' entries, as a journal has made them.

use super::TopicKey;
use crate::cursor::Sequence;

/// The latest counts of topics.
#[derive(Debug, Default)]
pub(super) struct Counts(Vec<Count>);

#[derive(Clone, Copy, Debug)]
pub(super) struct Count {
    pub(super) topic: TopicKey,
    /// Everything up to here was counted.
    pub(super) through: Sequence,
    /// When, by the hub's steady clock, in milliseconds.
    pub(super) at: u64,
}

/// Maximum number of counts: enough for the topics that are read at the same time.
const COUNTS_MAX: usize = 1024;

impl Counts {
    pub(super) fn find(&self, topic: TopicKey) -> Option<&Count> {
        self.0.iter().rev().find(|count| count.topic == topic)
    }

    pub(super) fn insert(&mut self, count: Count) {
        self.0.retain(|other| other.topic != count.topic);
        if self.0.len() == COUNTS_MAX {
            self.0.remove(0);
        }
        self.0.push(count);
    }
}

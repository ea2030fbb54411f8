//! The topics whose streams have outlived their time to live, and of which the journal keeps something until it is cleaned.
//!
//! A topic that history knows has lost it as it loses anything else. This table is for reading the journal, which has
//! topics that history does not know, and for telling who was told of the loss.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use super::topic_state::EvictionStamp;
use crate::cursor::Sequence;
use crate::topic::Topic;

/// The loss of a topic whose stream was freed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Freed {
    /// The last entry that its readers should have been sent.
    pub(super) last: Sequence,
    /// Everything that the topic held up to here.
    pub(super) through: Sequence,
    /// The moment at which its readers lost it.
    pub(super) at: EvictionStamp,
}

/// The topics of freed streams, by the hashes of their names: with a random key, none of them meet.
#[derive(Debug, Default)]
pub(super) struct FreedTopics {
    topics: HashMap<u64, Freed>,
    hasher: RandomState,
    /// The number of topics at which those are removed that the journal has dropped.
    prune_at: usize,
}

/// Number of topics that are kept whether or not the journal still has something of them. It frees streams of a limited
/// number of topics.
const PRUNE_MIN: usize = 1024;

impl FreedTopics {
    /// Returns whether something that a topic held at a place is freed, and when.
    pub(super) fn find(&self, topic: &Topic, place: Sequence) -> Option<EvictionStamp> {
        self.of(topic).filter(|freed| place <= freed.through).map(|freed| freed.at)
    }

    pub(super) fn of(&self, topic: &Topic) -> Option<Freed> {
        // A history without freed streams does not hash.
        if self.topics.is_empty() {
            return None;
        }
        self.topics.get(&self.hasher.hash_one(topic.as_str())).copied()
    }

    pub(super) fn note(&mut self, topic: &Topic, freed: Freed, floor: Sequence) {
        if self.topics.len() >= self.prune_at.max(PRUNE_MIN) {
            self.topics.retain(|_, freed| freed.through > floor);
            self.prune_at = 2 * self.topics.len();
        }
        self.topics.insert(self.hasher.hash_one(topic.as_str()), freed);
    }

    /// Bytes allocated.
    pub(super) fn bytes(&self) -> usize {
        self.topics.capacity() * size_of::<(u64, Freed)>()
    }
}

//! Freed topics: those whose streams have outlived their time to live.
//!
//! The table follows from marks in the journal, which the hub reads when it opens it. Freed records are not sent to
//! readers, and [cleaning](super::cleaning) leaves them out, but for the last one of a topic: a reader that stands
//! before it meets it, and is told of the loss.

use std::collections::HashMap;

use super::bytes::Identity;
use crate::cursor::Sequence;
use crate::journal::Entry;
use crate::topic::Topic;

/// The newest freed record of each topic, and the mark by which it was freed.
#[derive(Debug, Default)]
pub(super) struct FreedTopics {
    topics: HashMap<u64, (Sequence, Sequence)>,
}

/// Maximum number of topics: at most 16 MiB of memory. Streams of others are not freed until the marks of these have
/// left the journal.
const TOPICS_MAX: usize = 256 * 1024;

impl FreedTopics {
    pub(super) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Notes a freed stream of a journal whose oldest record is after `oldest`. Returns whether there is room for it.
    pub(super) fn note(
        &mut self,
        identity: &Identity,
        topic: &Topic,
        freed: (Sequence, Sequence),
        oldest: Sequence,
    ) -> bool {
        let hash = identity.hash(topic.as_str());
        if self.topics.len() >= TOPICS_MAX && !self.topics.contains_key(&hash) {
            // Everything before a mark that the journal does not have any more is gone with it.
            self.topics.retain(|_, (_, mark)| *mark > oldest);
            if self.topics.len() >= TOPICS_MAX {
                return false;
            }
        }
        let known = self.topics.entry(hash).or_default();
        *known = (*known).max(freed);
        true
    }

    /// The newest freed record of a topic, and the mark by which it was freed.
    pub(super) fn find(&self, identity: &Identity, topic: &str) -> Option<(Sequence, Sequence)> {
        // A journal without freed streams does not hash.
        if self.topics.is_empty() {
            return None;
        }
        self.topics.get(&identity.hash(topic)).copied()
    }

    /// Returns whether an entry is freed in all of its topics.
    pub(super) fn has(&self, identity: &Identity, entry: &Entry) -> bool {
        !self.is_empty()
            && entry.topics.as_slice().iter().all(|topic| {
                let found = self.find(identity, topic.as_str());
                found.is_some_and(|(last, _)| entry.sequence <= last)
            })
    }
}

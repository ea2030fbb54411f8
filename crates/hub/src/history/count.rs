//! Counting a topic's entries beneath the history, where a limit on events reaches further than memory.
//!
//! In memory a topic lets go of its oldest event when it has one too many. How many more events the journal
//! alone has is unknown, so the journal counts them when a reader of the topic is behind.

use super::counts::Count;
use super::{History, Resolved, TopicKey};
use crate::cursor::Sequence;
use crate::topic::Topic;

/// How long a count is good enough for a topic that is published to all the time, in milliseconds.
const AGE_MAX: u64 = 1000;

impl History {
    /// The topics of an exact view that must be counted before it is read from the journal, with their
    /// limits. Views with patterns are not: they may be sent older events of a topic than its limit.
    ///
    /// `since` is when the reader began to wait, by the hub's steady clock: counts that were made since then
    /// are good enough, however long it takes to make all of them.
    pub(crate) fn uncounted(&self, view: &Resolved, since: u64) -> Option<Vec<(Topic, usize)>> {
        let events_max = self.retention.topic_events_max.filter(|_| self.keeps)?.get();
        let mut topics = Vec::new();
        for &key in view.keys() {
            let Some(state) = self.topics.get(key) else { continue };
            if !self.is_counted(key, since) {
                topics.push((state.name.clone(), events_max));
            }
        }
        (!topics.is_empty()).then_some(topics)
    }

    /// Returns whether a topic need not be counted; see [`History::uncounted`].
    pub(crate) fn is_counted_by_name(&self, topic: &Topic, since: u64) -> bool {
        self.topics.find(topic).is_none_or(|key| self.is_counted(key, since))
    }

    fn is_counted(&self, key: TopicKey, since: u64) -> bool {
        if self.topics.released_through(key) <= self.floor() {
            return true;
        }
        let newest = self.topics.get(key).map_or(Sequence::ZERO, |state| state.newest());
        self.counts
            .find(key)
            .is_some_and(|count| newest <= count.through || since <= count.at + AGE_MAX)
    }

    /// Notes the outcome of a count: the newest entry of a topic that is beyond its limit, if there is one.
    /// `through` is the place up to which the entries were counted, and `at` the time by the hub's steady
    /// clock.
    pub(crate) fn note_count(
        &mut self,
        topic: &Topic,
        through: Sequence,
        (beyond, at): (Option<Sequence>, u64),
    ) {
        let Some(key) = self.topics.find(topic) else { return };
        let Self { counts, topics, .. } = self;
        let is_needed = |key| topics.get(key).is_some_and(|state| state.holders > 0);
        counts.insert(key, Count { through, at }, is_needed);
        if let Some(beyond) = beyond {
            self.topics.begin_eviction();
            self.topics.note_evicted(key, beyond);
            self.topics.finish_eviction();
        }
    }
}

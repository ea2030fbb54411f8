//! Counting a topic's entries beneath the history, where a limit on events reaches further than memory.
//!
//! In memory a topic lets go of its oldest event when it has one too many. How many more events the journal
//! alone has is unknown, so the journal counts them when a reader of the topic is behind.

use super::counts::Count;
use super::{History, Resolved};
use crate::cursor::Sequence;
use crate::topic::Topic;

/// How long a count is good enough for a topic that is published to all the time, in milliseconds.
const AGE_MAX: u64 = 1000;

impl History {
    /// The topics of an exact view that must be counted before it is read from the journal, with their
    /// limit. Views with patterns are not: they may be sent older events of a topic than its limit.
    pub(crate) fn uncounted(&self, view: &Resolved, uptime: u64) -> Option<(Vec<Topic>, usize)> {
        let events_max = self.retention.topic_events_max.filter(|_| self.keeps)?.get();
        let mut topics = Vec::new();
        for &key in view.keys() {
            let Some(state) = self.topics.get(key) else { continue };
            let is_counted = self.counts.find(key).is_some_and(|count| {
                state.newest() <= count.through || uptime <= count.at + AGE_MAX
            });
            if !is_counted && self.topics.released_through(key) > self.floor() {
                topics.push(state.name.clone());
            }
        }
        (!topics.is_empty()).then_some((topics, events_max))
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
        self.counts.insert(Count { topic: key, through, at });
        if let Some(beyond) = beyond {
            self.topics.begin_eviction();
            self.topics.note_evicted(key, beyond);
            self.topics.finish_eviction();
        }
    }
}

//! Counting a topic's entries beneath the history, where its limits reach further than memory.
//!
//! In memory a topic lets go of its oldest event when it has one too many. How many more events the journal
//! alone has, and how old they are, is unknown, so the journal counts them when a reader of the topic is behind.

use super::counts::Count;
use super::{History, Resolved, TopicKey};
use crate::cursor::Sequence;
use crate::retention::TopicLimits;
use crate::topic::Topic;

/// A topic that must be counted, and its limits.
pub(crate) type Uncounted = (Topic, TopicLimits);

/// How long a count is good enough for a topic that is published to all the time, in milliseconds.
const AGE_MAX: u64 = 1000;

impl History {
    /// The topics that a view names and that must be counted before it is read from the journal, with their
    /// limits. Of the topics of patterns, pages say what is beyond their limits.
    ///
    /// `since` is when the reader began to wait, by the hub's steady clock: counts that were made since then
    /// are good enough, however long it takes to make all of them.
    pub(crate) fn uncounted(&self, view: &Resolved, since: u64) -> Option<Vec<Uncounted>> {
        let is_limiting = self.keeps && self.topics.rules().is_limiting();
        let mut topics = Vec::new();
        for &key in view.keys().iter().filter(|_| is_limiting) {
            let Some(state) = self.topics.get(key) else { continue };
            if !self.is_counted(key, since)
                && let Some(limits) = self.counted_limits(key)
            {
                topics.push((state.name.clone(), limits));
            }
        }
        (!topics.is_empty()).then_some(topics)
    }

    /// The limits of a topic that may reach beneath the history; `None` if there are none.
    fn counted_limits(&self, key: TopicKey) -> Option<TopicLimits> {
        let rules = self.topics.rules();
        let mut limits = rules.limits(self.topics.get(key)?.past().rule()).clone();
        if rules.is_empty() {
            // Beneath it, everything is too old.
            limits.age_max = None;
        }
        let TopicLimits { events_max, bytes_max, age_max, .. } = limits;
        let is_there = events_max.is_some() || bytes_max.is_some() || age_max.is_some();
        is_there.then_some(limits)
    }

    /// Returns whether a topic need not be counted; see [`History::uncounted`].
    pub(crate) fn is_counted_by_name(&self, topic: &Topic, since: u64) -> bool {
        self.topics.find(topic).is_none_or(|key| self.is_counted(key, since))
    }

    fn is_counted(&self, key: TopicKey, since: u64) -> bool {
        if self.topics.released_through(key) <= self.floor() {
            return true;
        }
        let Some(limits) = self.counted_limits(key) else { return true };
        let newest = self.topics.get(key).map_or(Sequence::ZERO, |state| state.newest());
        self.counts.find(key).is_some_and(|count| {
            let is_unchanged = newest <= count.through && limits.age_max.is_none();
            is_unchanged || since <= count.at + AGE_MAX
        })
    }

    /// Notes the outcome of a count: the newest entry of a topic that is beyond its limits, if there is one.
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

//! Statistics of a hub.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::cursor::Sequence;
use crate::hub::Hub;
use crate::topic::Topic;

/// Statistics of a hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubStats {
    /// Current subscribers.
    pub subscribers: usize,
    /// Topics known: with events, with readers, or remembered for what they lost.
    pub topics: usize,
    /// Events held.
    pub events_held: u64,
    /// Bytes that history takes.
    pub history_bytes: usize,
    /// Events published since the start.
    pub published: u64,
    /// Events handed to subscribers since the start.
    pub delivered: u64,
    /// Gaps told since the start.
    pub gaps: u64,
}

/// A topic that holds events.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicInfo {
    /// Its name.
    pub topic: Topic,
    /// How many events it holds.
    pub events: usize,
    /// Its newest event.
    pub newest: Sequence,
}

impl Hub {
    /// Returns the hub's statistics.
    #[must_use]
    pub fn stats(&self) -> HubStats {
        let history = self.read();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        HubStats {
            subscribers: self.inner.everybody.len() + history.shards.readers(),
            topics: history.topic_count(),
            events_held: history.events(),
            history_bytes: history.bytes(),
            published: history.published(),
            delivered: count(&self.inner.counters.delivered),
            gaps: count(&self.inner.counters.gaps),
        }
    }

    /// The topics that hold events, in the order of their names: after `after`, `max` at most.
    ///
    /// For operators and pages: it looks at every topic there is.
    #[must_use]
    pub fn topics(&self, after: Option<&str>, max: usize) -> Vec<TopicInfo> {
        let history = self.read();
        let mut topics: Vec<_> = history
            .topics_held()
            .filter(|(name, ..)| after.is_none_or(|after| name.as_str() > after))
            .collect();
        topics.sort_unstable_by_key(|(name, ..)| *name);
        topics.truncate(max);
        let info = |(name, events, newest): (&Topic, usize, Sequence)| TopicInfo {
            topic: name.clone(),
            events,
            newest,
        };
        topics.into_iter().map(info).collect()
    }
}

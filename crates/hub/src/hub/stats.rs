//! Statistics of a hub.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cursor::{Cursor, Sequence};
use crate::filter::TopicFilter;
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
    /// Bytes of the pages that readers behind memory share.
    pub pages_bytes: usize,
    /// Events published since the start.
    pub published: u64,
    /// Events handed to subscribers since the start.
    pub delivered: u64,
    /// Gaps told since the start.
    pub gaps: u64,
    /// Looks at history that ended early since the start, so that others had their turn: reads whose
    /// patterns match little, and lists of many topics.
    pub looks_cut: u64,
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
    /// The place of the newest entry.
    #[must_use]
    pub fn newest(&self) -> Cursor {
        Cursor { epoch: self.epoch(), sequence: self.read().tail() }
    }

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
            pages_bytes: self.inner.reads.bytes(),
            published: history.published(),
            delivered: count(&self.inner.counters.delivered),
            gaps: count(&self.inner.counters.gaps),
            looks_cut: count(&self.inner.counters.looks_cut),
        }
    }

    /// How many subscribers, and readers of pages, read the topic at this moment: they name it, or have a pattern that
    /// matches it. One with several such filters counts for each of them.
    #[must_use]
    pub fn readers(&self, topic: &Topic) -> usize {
        self.read().readers_of(topic)
    }

    /// The topics that hold events, in the order of their names: after `after`, `max` at most.
    ///
    /// For operators and pages: it looks at every topic there is, on the caller's thread; publishers do not
    /// wait for it. A topic that is published to for the first time meanwhile may be missing.
    #[must_use]
    pub fn topics(&self, after: Option<&str>, max: usize) -> Vec<TopicInfo> {
        let mut listing = TopicListing::new(after, max);
        while listing.step(self) {}
        listing.finish()
    }
}

/// A list of topics on its way, for a server that lets others have their turn between two looks.
///
/// Each [step](TopicListing::step) looks at some of the topics, and holds the history's lock for well below
/// a millisecond.
#[derive(Debug)]
pub struct TopicListing {
    after: Option<Box<str>>,
    /// The filters of which a topic must match one; any topic, if there are none.
    within: Vec<TopicFilter>,
    max: usize,
    /// Where to go on among all topics.
    next: usize,
    /// The first names found so far, `max` at most.
    found: BTreeMap<Topic, (usize, Sequence)>,
}

impl TopicListing {
    /// Begins to list the topics that hold events; see [`Hub::topics`].
    #[must_use]
    pub fn new(after: Option<&str>, max: usize) -> Self {
        let (after, within) = (after.map(Into::into), Vec::new());
        Self { after, within, max, next: 0, found: BTreeMap::new() }
    }

    /// Leaves out the topics that none of the filters matches.
    #[must_use]
    pub fn within(mut self, filters: Vec<TopicFilter>) -> Self {
        self.within = filters;
        self
    }

    /// Looks at some of the topics; `false` if all have been looked at.
    pub fn step(&mut self, hub: &Hub) -> bool {
        let Self { after, within, max, found, .. } = self;
        let next = hub.read().topics_held(self.next, |name, events, newest| {
            let is_after = after.as_ref().is_none_or(|after| name.as_str() > &**after);
            let is_among_first =
                found.len() < *max || found.last_key_value().is_some_and(|(last, _)| name < last);
            let is_within =
                || within.is_empty() || within.iter().any(|filter| filter.matches(name.as_str()));
            if is_after && is_among_first && is_within() {
                found.insert(name.clone(), (events, newest));
                if found.len() > *max {
                    found.pop_last();
                }
            }
        });
        if next.is_some() {
            hub.count_cut_look();
        }
        self.next = next.unwrap_or(self.next);
        next.is_some()
    }

    /// The topics found, in the order of their names.
    #[must_use]
    pub fn finish(self) -> Vec<TopicInfo> {
        let info = |(topic, (events, newest))| TopicInfo { topic, events, newest };
        self.found.into_iter().map(info).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::Draft;
    use tidings_proto::Event;

    /// A look at all topics at once stopped publishing for 145 ms with a million of them.
    #[test]
    fn a_list_of_many_topics_takes_looks_in_proportion_to_them_and_keeps_only_a_page() {
        const LOOK: usize = 1024;
        let hub = Hub::default();
        for topics in [10 * LOOK, 20 * LOOK] {
            for n in topics - 10 * LOOK..topics {
                let topic = Topic::new(format!("{n:06}")).unwrap();
                drop(hub.publish(Draft::new(topic, Event::new("x"))));
            }
            let before = hub.stats().looks_cut;
            let mut listing = TopicListing::new(Some("000100"), 10);
            let mut looks = 1;
            while listing.step(&hub) {
                looks += 1;
                assert!(listing.found.len() <= 10);
            }
            // A few more than there are topics: the table has unused room.
            assert!((topics / LOOK..=2 * topics / LOOK + 1).contains(&looks), "{looks}");
            assert_eq!(hub.stats().looks_cut - before, looks as u64 - 1);
            let found = listing.finish();
            let names: Vec<_> = found.iter().map(|info| info.topic.as_str().to_owned()).collect();
            assert_eq!(names, (101..=110).map(|n| format!("{n:06}")).collect::<Vec<_>>());
        }
    }
}

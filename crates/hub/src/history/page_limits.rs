//! The limits of topics on a page of the journal, for views with patterns, whose topics are too many to be counted one by
//! one.

use std::collections::HashMap;

use super::ladder::{Change, Ladder, Reached};
use super::sizes::size_of_entry;
use crate::cursor::Sequence;
use crate::journal::{Content, Counted, Entry, PageCount};
use crate::retention::TopicLimits;
use crate::topic::Topic;

/// The counts of a page's topics.
#[derive(Debug, Default)]
pub(super) struct PageLimits(HashMap<Topic, OfTopic>);

/// The count of a topic.
#[derive(Debug)]
pub(super) enum OfTopic {
    AtMost(Change),
    Counted {
        /// The topic's events on the page.
        ladder: Ladder,
        /// The newest event beyond the limits.
        beyond: Sequence,
        /// The end of the page.
        through: Sequence,
    },
}

/// How far a topic's limits reach on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PageBound {
    /// Events up to here are beyond the limits, and others on the page are not.
    At(Sequence),
    Unknown,
}

impl PageLimits {
    pub(super) fn new(
        entries: &[Entry],
        through: Sequence,
        counted: Vec<(Topic, PageCount)>,
    ) -> Self {
        let mut events: HashMap<&Topic, Vec<(Sequence, usize)>> = HashMap::new();
        let exact = counted.iter().filter(|(_, count)| matches!(count, PageCount::Exact(_)));
        events.extend(exact.map(|(topic, _)| (topic, Vec::new())));
        for entry in entries.iter().filter(|entry| matches!(entry.content, Content::Event(_))) {
            for topic in entry.topics.as_slice() {
                if let Some(events) = events.get_mut(topic) {
                    events.push((entry.sequence, size_of_entry(entry) as usize));
                }
            }
        }
        let of_topic = |(topic, count): &(Topic, PageCount)| match count {
            PageCount::AtMost { events, bytes } => {
                let most = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
                OfTopic::AtMost(Change { events: most(*events), bytes: most(*bytes) })
            }
            PageCount::Exact(Counted { beyond, events: within, bytes, .. }) => {
                let events = events.get(topic).into_iter().flatten().copied();
                let ladder = Ladder::new(events, *beyond, (*within, *bytes));
                OfTopic::Counted { ladder, beyond: beyond.unwrap_or_default(), through }
            }
        };
        let topics: Vec<_> = counted.iter().map(of_topic).collect();
        Self(counted.into_iter().map(|(topic, _)| topic).zip(topics).collect())
    }

    pub(super) fn of(&self, topic: &Topic) -> Option<&OfTopic> {
        self.0.get(topic)
    }

    /// Bytes allocated.
    pub(super) fn bytes(&self) -> usize {
        let of_topic = |(topic, of): (&Topic, &OfTopic)| match of {
            OfTopic::AtMost(_) => topic.heap_bytes(),
            OfTopic::Counted { ladder, .. } => topic.heap_bytes() + ladder.heap_bytes(),
        };
        self.0.capacity() * size_of::<(Topic, OfTopic)>()
            + self.0.iter().map(of_topic).sum::<usize>()
    }
}

impl OfTopic {
    /// How far the limits reach after a change since the topic was counted.
    pub(super) fn bound(&self, limits: &TopicLimits, change: Change) -> PageBound {
        match self {
            Self::AtMost(most) => {
                let is_within = |most: i64, change: i64, max: Option<usize>| {
                    max.is_none_or(|max| most.saturating_add(change) <= max as i64)
                };
                let events_max = limits.events_max.map(std::num::NonZeroUsize::get);
                let bytes_max = limits.bytes_max.map(std::num::NonZeroUsize::get);
                match is_within(most.events, change.events, events_max)
                    && is_within(most.bytes, change.bytes, bytes_max)
                {
                    true => PageBound::At(Sequence::ZERO),
                    false => PageBound::Unknown,
                }
            }
            Self::Counted { ladder, beyond, through } => {
                let is_back = change.events < 0 || change.bytes < 0;
                if is_back && beyond > through {
                    // How many events there are between the page and that one is not known.
                    return PageBound::Unknown;
                }
                let at_least = if is_back { Sequence::ZERO } else { *beyond };
                PageBound::At(match ladder.reach(limits, change) {
                    Reached::Rung(events) => {
                        ladder.last_of(events).unwrap_or_default().max(at_least)
                    }
                    Reached::End => *through.max(beyond),
                })
            }
        }
    }
}

//! The limits of a topic's events beneath the history, where they reach further than memory.
//!
//! In memory a topic lets go of its oldest event when it has one too many. How many more events the journal alone has is
//! unknown, so the journal counts them when a reader of the topic is behind. Newer events come into history, which thereby
//! knows how far the limits have moved on since: along the events that the journal has named beside its count.

use super::counts::Count;
use super::ladder::{Change, Ladder, Reached};
use super::{History, Kind, Resolved, TopicKey};
use crate::cursor::Sequence;
use crate::journal::Counted;
use crate::retention::TopicLimits;
use crate::topic::Topic;

/// A topic that must be counted, and its limits.
pub(crate) type Uncounted = (Topic, TopicLimits);

/// How long a reader waits for the limits of topics that are published to while it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// It waits until the limits are exact now.
    Patient,
    /// It has waited often: the topic is published to faster than the journal counts, or memory is too small for the
    /// events that come meanwhile. It takes limits that were exact at a moment after it began to wait, when `since` was the
    /// newest entry: so it is sent no more than a reader would have been that was answered at that moment.
    Over { since: Sequence },
}

/// Entries that are looked at to tell events from the ends and marks among them. Beyond that, the journal counts anew.
const LOOKED_AT_MAX: usize = 4096;

impl Patience {
    /// Returns whether a reader takes limits that were exact when an entry was the newest one, although there are newer ones
    /// now.
    pub(super) fn takes(self, newest: Sequence) -> bool {
        matches!(self, Self::Over { since } if since <= newest)
    }
}

impl History {
    /// The topics that a view names and that must be counted before it is read from the journal, with their
    /// limits. Of the topics of patterns, pages have the counts.
    pub(crate) fn uncounted(&self, view: &Resolved, patience: Patience) -> Option<Vec<Uncounted>> {
        if view.has_pattern() || !self.is_limiting_journal() {
            return None;
        }
        let mut topics = Vec::new();
        for &key in view.keys() {
            if self.bound(key, patience).is_none()
                && let Some(state) = self.topics.get(key)
                && let Some(limits) = self.counted_limits(key)
            {
                topics.push((state.name.clone(), limits.clone()));
            }
        }
        (!topics.is_empty()).then_some(topics)
    }

    /// Returns whether topics may have limits beneath the history.
    pub(super) fn is_limiting_journal(&self) -> bool {
        self.keeps && self.topics.rules().is_limiting()
    }

    /// The limits of a topic, if some of them may reach beneath the history and need a count.
    fn counted_limits(&self, key: TopicKey) -> Option<&TopicLimits> {
        let limits = self.topics.rules().limits(self.topics.get(key)?.past().rule());
        limits.events_max.or(limits.bytes_max).map(|_| limits)
    }

    /// Returns whether a topic need not be counted; see [`History::uncounted`].
    pub(crate) fn is_counted_by_name(&self, topic: &Topic) -> bool {
        let key = self.topics.find(topic);
        key.is_none_or(|key| self.bound(key, Patience::Patient).is_some())
    }

    /// The place up to which the events of a topic are beyond its limits on events and bytes, or evicted; `None` if the
    /// topic must be counted.
    pub(super) fn bound(&self, key: TopicKey, patience: Patience) -> Option<Sequence> {
        let Some(state) = self.topics.get(key) else { return Some(Sequence::ZERO) };
        let evicted = state.past().evicted_through;
        let is_all_held = self.topics.released_through(key) <= self.floor().max(evicted);
        let Some(limits) = self.counted_limits(key).filter(|_| !is_all_held) else {
            return Some(evicted);
        };
        let count = self.counts.find(key)?;
        let change = self.since(key, count.through);
        let is_taken = patience.takes(count.through);
        let rung = match count.ladder.reach(limits, change.unwrap_or_default()) {
            Reached::Rung(rung) if change.is_some() || is_taken => rung,
            // The limits have passed the ladder's last event since the count: until then, those after it were within them.
            Reached::End if is_taken => count.ladder.len(),
            Reached::Rung(_) | Reached::End => return None,
        };
        Some(count.ladder.last_of(rung).unwrap_or(count.beyond).max(evicted))
    }

    /// The events of a topic that have come since a place; `None` if history no longer has all of them, or too much
    /// else.
    pub(super) fn since(&self, key: TopicKey, place: Sequence) -> Option<Change> {
        let state = self.topics.get(key)?;
        let past = state.past();
        if past.let_go_through.max(self.topics.released_through(key)) > place {
            return None;
        }
        let from = state.entries.through(place);
        let entries = from..state.entries.len();
        let others = match past.ends_held {
            0 => 0,
            _ if entries.len() > LOOKED_AT_MAX => return None,
            _ => {
                let is_other = |&sequence: &Sequence| {
                    let held = self.held(sequence);
                    held.block.kind(held.index) != Kind::Event
                };
                entries.clone().filter_map(|at| state.entries.get(at)).filter(is_other).count()
            }
        };
        let events = entries.len() - others;
        Some(Change { events: events as i64, bytes: past.size_from(from) as i64 })
    }

    /// Notes a count of a topic's events up to a place by some limits.
    pub(crate) fn note_count(
        &mut self,
        (topic, limits): &Uncounted,
        through: Sequence,
        counted: Counted,
    ) {
        let Some(key) = self.topics.find(topic) else { return };
        if self.counted_limits(key) != Some(limits) {
            // They have changed meanwhile.
            return;
        }
        let Counted { beyond, events, bytes, next } = counted;
        let ladder = Ladder::new(next.into_iter(), None, (events, bytes));
        let Self { counts, topics, .. } = self;
        if counts.find(key).is_some_and(|count| count.through > through) {
            // It was asked for earlier, and answered later.
            return;
        }
        let is_needed = |key| topics.get(key).is_some_and(|state| state.holders > 0);
        let beyond = beyond.unwrap_or_default();
        counts.insert(key, Count { through, beyond, ladder }, is_needed);
    }
}

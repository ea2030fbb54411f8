//! The losses that a reader behind memory knows of: all that there were when it was told of a gap, or asked for what is
//! held.
//!
//! In memory, each eviction has a stamp, by which a reader knows whether it was told. Beneath memory, an event is lost by the
//! events that come after it, so the reader remembers how far the journal had come, and the limits are looked at as of then.

use super::History;
use super::Resolved;
use super::count::Patience;
use crate::cursor::Sequence;
use crate::time::Time;
use crate::topic::Topic;

/// The moment at which a reader was told of all losses.
#[derive(Debug)]
pub(crate) struct Told {
    /// The newest entry then.
    pub(crate) through: Sequence,
    pub(super) time: Time,
    /// Which rules were in force.
    pub(super) rules: u64,
    /// The places up to which topics had lost their events then: those of all topics that a view names, and those of a
    /// pattern's topics that the journal was asked for.
    bounds: Vec<(Topic, Sequence)>,
}

/// Topics of patterns of which the place is kept. Beyond them, the journal is asked again.
const BOUNDS_MAX: usize = 1024;

impl Told {
    /// The place up to which a topic had lost its events, if it is known.
    pub(super) fn bound(&self, topic: &Topic) -> Option<Sequence> {
        self.bounds.iter().find(|(other, _)| other == topic).map(|(_, bound)| *bound)
    }

    /// Notes the place up to which a topic of a pattern had lost its events.
    pub(crate) fn note(&mut self, topic: Topic, bound: Sequence) {
        if self.bounds.len() >= BOUNDS_MAX {
            self.bounds.swap_remove(0);
        }
        self.bounds.push((topic, bound));
    }
}

impl History {
    /// The losses that a reader of a view knows of which is told of all of them now. `None` if it cannot meet one again.
    pub(crate) fn told_now(&self, view: &Resolved, time: Time) -> Option<Box<Told>> {
        let is_all_held = || {
            let only = view.only_topic();
            only.is_some_and(|key| self.topics.released_through(key) <= self.floor())
        };
        if !self.is_limiting_journal() || is_all_held() {
            return None;
        }
        let keys = if view.has_pattern() { &[] } else { view.keys() };
        let rules = self.topics.rules();
        let states = keys.iter().filter_map(|&key| Some((key, self.topics.get(key)?)));
        // Of a topic that keeps its newest event alone, the journal is asked, if ever.
        let states = states.filter(|(_, state)| !rules.limits(state.past().rule()).latest_only);
        let bounds = states.map(|(key, state)| {
            // A topic that is not counted was held in memory, as far as the reader has not passed its events.
            let latest = Patience::Over { since: Sequence::ZERO };
            let bound = self.bound(key, latest).unwrap_or(state.past().evicted_through);
            (state.name.clone(), bound)
        });
        let (bounds, rules) = (bounds.collect(), self.topics.rules().changes());
        Some(Box::new(Told { through: self.tail, time, rules, bounds }))
    }
}

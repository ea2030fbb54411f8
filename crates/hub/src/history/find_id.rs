//! Looking up a publisher-given ID among the events of a view.

use super::{Held, History, Steps};
use crate::cursor::Sequence;
use crate::filter::TopicFilter;
use crate::view::View;

/// The outcome of one look for an ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdSearch {
    /// The earliest event with the ID that is held within the view.
    Found(Sequence),
    /// There is none.
    Unknown,
    /// There is none up to here; the search goes on after it.
    More(Sequence),
}

impl History {
    /// Looks for the earliest event after a place that has a publisher-given ID and that a topic of the
    /// view holds, as far as the view's grant allows.
    pub(crate) fn find_id(
        &self,
        id: &str,
        view: &View,
        after: Sequence,
        steps: &mut Steps,
    ) -> IdSearch {
        let grant = Some(view.grant()).filter(|grant| !grant.allows_everything());
        let is_it = |held: Held<'_>| {
            held.block.given_id(held.index) == Some(id) && self.is_allowed(grant, || held)
        };
        let has_pattern =
            view.filters().iter().any(|filter| matches!(filter, TopicFilter::Pattern(_)));
        let (mut found, mut looked_through) = (Sequence::MAX, Sequence::MAX);
        if has_pattern {
            let places = self.ids.from(None, id, after.next());
            let is_it = |held: Held<'_>| is_it(held) && self.scan_matches(view, held);
            self.find_place(places, is_it, view.filters().len(), steps)
                .note(&mut found, &mut looked_through);
        } else {
            for filter in view.filters() {
                let TopicFilter::Exact(topic) = filter else { continue };
                let Some(key) = self.topics.find(topic) else { continue };
                let Some(first) = self.topics.get(key).and_then(|state| state.entries.first())
                else {
                    continue;
                };
                let places = self.ids.from(Some(key), id, first.max(after.next()));
                self.find_place(places, is_it, 1, steps).note(&mut found, &mut looked_through);
            }
        }
        // An event of another topic may be earlier where the look ended before it.
        if found <= looked_through && found != Sequence::MAX {
            IdSearch::Found(found)
        } else if looked_through != Sequence::MAX {
            IdSearch::More(looked_through)
        } else {
            IdSearch::Unknown
        }
    }

    fn find_place(
        &self,
        places: impl Iterator<Item = Sequence>,
        is_it: impl Fn(Held<'_>) -> bool,
        cost: usize,
        steps: &mut Steps,
    ) -> IdSearch {
        for sequence in places {
            let held = self.held(sequence);
            if is_it(held) {
                return IdSearch::Found(sequence);
            }
            if !steps.take(cost * held.block.topics(held.index).len()) {
                return IdSearch::More(sequence);
            }
        }
        IdSearch::Unknown
    }
}

impl IdSearch {
    fn note(self, found: &mut Sequence, looked_through: &mut Sequence) {
        match self {
            Self::Found(sequence) => *found = sequence.min(*found),
            Self::More(sequence) => *looked_through = sequence.min(*looked_through),
            Self::Unknown => {}
        }
    }
}

//! Looking up a place in the journal that history does not have: that of a last event ID, or that before
//! a view's latest events.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::ticket::{Wait, Waiter, wake_all};
use crate::cursor::Sequence;
use crate::history::{History, IdSearch, Steps, is_matched};
use crate::journal::{Entry, TopicSet};
use crate::retention::TopicLimits;
use crate::topic::Topic;
use crate::view::View;

/// A look for a place, for one reader. Clones share it.
#[derive(Clone)]
pub(crate) struct Locating(Arc<Look>);

struct Look {
    wanted: Wanted,
    state: Mutex<State>,
}

/// A place that is looked for.
pub(crate) enum Wanted {
    /// That of the earliest event of a view with an ID that a publisher gave.
    Given { id: Box<str>, view: View },
    /// One that an ID spells and that the feed has not reached.
    Spelled { id: Box<str>, place: Sequence },
    /// The place before the newest entries of some topics, up to and including a place.
    Before { topics: TopicSet, through: Sequence, entries: usize },
    /// The newest event of a topic that was beyond its limits when an entry was the newest.
    Bound { topic: Topic, limits: TopicLimits, through: Sequence },
}

#[derive(Default)]
struct State {
    /// The outcome: a place, or none.
    place: Option<Option<Sequence>>,
    waiter: Option<Waiter>,
}

impl Locating {
    pub(crate) fn new(wanted: Wanted) -> Self {
        Self(Arc::new(Look { wanted, state: Mutex::default() }))
    }

    /// The ID whose place is looked for; empty if the look is not for an ID.
    pub(crate) fn id(&self) -> &str {
        match &self.0.wanted {
            Wanted::Given { id, .. } | Wanted::Spelled { id, .. } => id,
            Wanted::Before { .. } | Wanted::Bound { .. } => "",
        }
    }

    /// The outcome, or a promise to wake the waiter.
    pub(crate) fn place(&self, wait: Wait<'_>) -> Option<Option<Sequence>> {
        let mut state = self.0.state.lock();
        if state.place.is_none() {
            state.waiter = wait.waiter().or(state.waiter.take());
        }
        state.place
    }

    pub(super) fn wanted(&self) -> &Wanted {
        &self.0.wanted
    }

    /// Returns whether no reader waits for the outcome any more.
    pub(super) fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// Notes the journal's newest entry, up to which a spelled place is one, or the place before entries, or an event.
    /// An ID that a publisher gave is looked for in history, which has been fed everything up to there.
    pub(super) fn note_place(&self, found: Option<Sequence>, history: &RwLock<History>) {
        self.finish(match &self.0.wanted {
            Wanted::Spelled { place, .. } => Some(*place).filter(|place| Some(*place) <= found),
            Wanted::Given { id, view } => find_given(history, view, id, || ()),
            Wanted::Before { .. } | Wanted::Bound { .. } => found,
        });
    }

    /// Notes an event that has the ID. If it is not in the view, the look goes on after it.
    pub(super) fn note(&self, found: Option<Entry>) -> Option<Sequence> {
        let (Some(entry), Wanted::Given { view, .. }) = (found, &self.0.wanted) else {
            self.finish(None);
            return None;
        };
        let mut names = entry.topics.as_slice().iter().map(Topic::as_str);
        let is_in_view = is_matched(view.filters(), &entry.topics)
            && view.grant().allows(&mut names, entry.private);
        if !is_in_view {
            return Some(entry.sequence);
        }
        self.finish(Some(entry.sequence));
        None
    }

    fn finish(&self, place: Option<Sequence>) {
        let waiter = {
            let mut state = self.0.state.lock();
            state.place = Some(place);
            state.waiter.take()
        };
        wake_all(waiter);
    }
}

/// Finds the earliest held event of a view with a publisher-given ID. `note_cut` is called for each look that
/// ended when its steps were taken.
pub(crate) fn find_given(
    history: &RwLock<History>,
    view: &View,
    id: &str,
    note_cut: impl Fn(),
) -> Option<Sequence> {
    let mut after = Sequence::ZERO;
    loop {
        // Locked anew for each look.
        match history.read().find_id(id, view, after, &mut Steps::default()) {
            IdSearch::Found(sequence) => return Some(sequence),
            IdSearch::Unknown => return None,
            IdSearch::More(through) => {
                note_cut();
                after = through;
            }
        }
    }
}

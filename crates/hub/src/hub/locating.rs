//! Looking up a last event ID in the journal, where history does not have its place.

use std::sync::Arc;

use parking_lot::Mutex;
use tidings_proto::EventId;

use super::waiter::{Wait, Waiter, wake_all};
use crate::cursor::Sequence;
use crate::history::is_matched;
use crate::journal::Entry;
use crate::topic::Topic;
use crate::view::View;

/// A look for the place that a last event ID means. Clones share it.
#[derive(Clone)]
pub(crate) struct Locating(Arc<Look>);

struct Look {
    id: Box<str>,
    view: View,
    /// The place that the ID spells, which the feed has not reached; `None` if a publisher gave the ID.
    spelled: Option<Sequence>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The outcome: a place, or none.
    place: Option<Option<Sequence>>,
    waiters: Vec<Waiter>,
}

impl Locating {
    pub(crate) fn new(id: Box<str>, view: View, spelled: Option<Sequence>) -> Self {
        Self(Arc::new(Look { id, view, spelled, state: Mutex::default() }))
    }

    /// The ID.
    pub(crate) fn id(&self) -> &str {
        &self.0.id
    }

    /// The outcome, or a promise to wake the waiter.
    pub(crate) fn place(&self, wait: Wait<'_>) -> Option<Option<Sequence>> {
        let mut state = self.0.state.lock();
        if state.place.is_none() {
            wait.join(&mut state.waiters);
        }
        state.place
    }

    /// The ID to look for, if a publisher gave it.
    pub(super) fn given_id(&self) -> Option<EventId> {
        let id = self.0.spelled.is_none().then(|| EventId::new(&*self.0.id));
        id.and_then(Result::ok)
    }

    /// Returns whether nobody waits for the outcome any more.
    pub(super) fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// Notes the journal's newest entry: a place up to there is one.
    pub(super) fn compare(&self, tail: Sequence) {
        self.finish(self.0.spelled.filter(|place| *place <= tail));
    }

    /// Notes an event that has the ID. If it is not in the view, the look goes on after it.
    pub(super) fn note(&self, found: Option<Entry>) -> Option<Sequence> {
        let Some(entry) = found else {
            self.finish(None);
            return None;
        };
        let view = &self.0.view;
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
        let waiters = {
            let mut state = self.0.state.lock();
            state.place = Some(place);
            std::mem::take(&mut state.waiters)
        };
        wake_all(waiters);
    }
}

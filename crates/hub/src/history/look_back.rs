//! Looking back from a place: for the view's last event before it, and for its latest events.

use tidings_proto::EventId;

use super::reach::Reach;
use super::walk::Step;
use super::{History, Kind, Resolved, Steps, TopicKey};
use crate::cursor::{Cursor, Sequence};

/// Entries looked at for the latest events: what is further back is not among the latest of history.
const LATEST_ENTRIES_MAX: usize = 8192;

/// Steps taken for the last event before a stream: a fraction of a millisecond. A stream whose filters
/// match nothing for so long starts after a place without an event, which serves its reader as well.
const LAST_STEPS_MAX: usize = 2048;

/// A look back that takes several [`Steps`]: where it goes on, and how much it may still look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LookBack {
    through: Sequence,
    left: usize,
}

/// A look for the view's latest events: the place before those found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latest {
    back: LookBack,
    /// Events that are still to be found.
    left: usize,
    /// The place from which a read yields those found.
    pub(crate) after: Sequence,
}

impl LookBack {
    /// Looks at what is at or before a place.
    pub(crate) fn from(through: Sequence) -> Self {
        Self { through, left: LAST_STEPS_MAX }
    }
}

impl Latest {
    /// Looks for so many events, the newest first.
    pub(crate) fn new(tail: Sequence, events: usize) -> Self {
        let back = LookBack { through: tail, left: LATEST_ENTRIES_MAX };
        Self { back, left: events, after: tail }
    }

    /// How many events are still to be found beneath the history, after a look at everything that it holds.
    pub(crate) fn left_beneath(&self) -> usize {
        if self.back.left == 0 { 0 } else { self.left }
    }
}

impl History {
    /// The ID of the view's last event up to a place, if it is held; `None` if the look goes on. Where the
    /// event is too far back, the answer is an ID that spells a place after it.
    pub(crate) fn last_id(&self, view: &Resolved, back: &mut LookBack) -> Option<Option<EventId>> {
        let mut found = None;
        let is_over = self.look_back(
            view,
            back,
            |step| step.cost,
            |block, index| {
                found = Some(block.id(index, self.epoch));
                true
            },
        );
        if is_over && found.is_none() && back.left == 0 {
            found = Some(Cursor { epoch: self.epoch, sequence: back.through }.to_event_id());
        }
        is_over.then_some(found)
    }

    /// Returns whether the journal alone may have events that the view's readers are sent. The marks and ends of streams
    /// that it has alone are none, and neither is anything of a stream that was freed: other hubs, which have the same
    /// in memory, do not know of them.
    pub(crate) fn is_kept_alone(&self, view: &Resolved) -> bool {
        // Events are let go of to the journal in whole blocks.
        let (floor, released) = (self.floor(), self.released_through);
        let is_kept = |&key: &TopicKey| {
            let state = self.topics.get(key);
            let lost = state.map_or(Sequence::ZERO, |state| {
                let freed = self.freed.of(&state.name).map(|freed| freed.through);
                freed.unwrap_or_default().max(state.past().evicted_through)
            });
            self.topics.released_through(key).min(released) > floor.max(lost)
        };
        self.keeps
            && match Reach::of(view).keys() {
                Some(keys) => keys.iter().any(is_kept),
                None => released > floor,
            }
    }

    /// Looks for the view's latest events; `false` if the look goes on.
    pub(crate) fn find_latest(&self, view: &Resolved, latest: &mut Latest) -> bool {
        if latest.left == 0 {
            return true;
        }
        let Latest { back, left, after } = latest;
        self.look_back(
            view,
            back,
            |_| 1,
            |block, index| {
                *after = block.sequence(index).before();
                *left -= 1;
                *left == 0
            },
        )
    }

    /// Shows the view's events, the newest first, until `visit` has seen enough; `false` if the look goes
    /// on.
    fn look_back(
        &self,
        view: &Resolved,
        back: &mut LookBack,
        weight: impl Fn(&Step<'_>) -> usize,
        mut visit: impl FnMut(&super::Block, usize) -> bool,
    ) -> bool {
        let mut steps = Steps::default();
        let entries = back.through.get().min(back.left as u64);
        let reach = self.reach(view, entries, &mut steps);
        for step in self.backward(&reach, view.grant(), back.through) {
            let is_event = step.held.block.kind(step.held.index) == Kind::Event;
            if step.in_view && is_event && visit(step.held.block, step.held.index) {
                return true;
            }
            back.through = step.held.sequence().before();
            back.left = back.left.saturating_sub(weight(&step));
            if back.left == 0 {
                return true;
            }
            if !steps.take(step.cost) {
                return false;
            }
        }
        true
    }
}

//! The ends of a topic's streams that concern one reader.

use super::topic_state::TopicState;
use super::{History, Kind, Resolved};
use crate::cursor::Sequence;

/// Which ends of its topic's streams end the response to a reader.
///
/// The tail at which it was opened, with flags in the bits that no sequence has: each reader keeps one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnEnds(u64);

/// The reader has come back to a place, so that what was closed after it counts.
const FROM_PLACE: u64 = 1 << 62;
/// The reader is in a stream: it was sent an event since it was opened, or began where the stream begins.
const IN_STREAM: u64 = 1 << 63;

impl OwnEnds {
    /// No end concerns a reader that has no response to end.
    pub(crate) const NONE: Self = Self(u64::MAX);

    /// The ends after the tail at which a reader is opened.
    pub(crate) fn since(tail: Sequence) -> Self {
        Self(tail.get())
    }

    /// The same for a reader that comes back to a place.
    pub(crate) fn after_place(self) -> Self {
        Self(self.0 | FROM_PLACE)
    }

    /// Notes that the reader is in a stream.
    pub(crate) fn enter(&mut self) {
        self.0 |= IN_STREAM;
    }

    /// Returns whether the reader has come back to a place.
    pub(crate) fn are_after_place(self) -> bool {
        !self.are_none() && self.0 & FROM_PLACE != 0
    }

    pub(super) fn are_none(self) -> bool {
        self == Self::NONE
    }

    /// Returns whether it is the reader's own response that was ended when the topic's streams were closed.
    pub(super) fn has_close(self, sequence: Sequence) -> bool {
        !self.are_none() && (self.are_after_place() || self.is_later(sequence))
    }

    /// Returns whether a silent end is the end of what the reader was sent. One that comes back after the
    /// last event of an ended stream meets its end first, which is no news.
    pub(super) fn has_silent_end(self, sequence: Sequence) -> bool {
        !self.are_none() && (self.0 & IN_STREAM != 0 || self.is_later(sequence))
    }

    fn is_later(self, sequence: Sequence) -> bool {
        sequence.get() > self.0 & !(FROM_PLACE | IN_STREAM)
    }
}

impl History {
    /// Returns whether the entry at a place is a stream's mark, such as its beginning.
    pub(crate) fn is_mark(&self, place: Sequence) -> bool {
        let (at, index) = self.position_after(place.before());
        self.blocks.get(at).is_some_and(|state| {
            let block = &state.block;
            block.sequence(index) == place && block.kind(index) == Kind::Mark
        })
    }

    /// Returns whether a silent end at `sequence` ends the response to a reader. It does if
    /// nothing has begun anew after it, for there is nothing to go on with.
    pub(super) fn is_silent_end(&self, view: &Resolved, ends: OwnEnds, sequence: Sequence) -> bool {
        let newest = |key| {
            let known = self.topics.get(key).map(TopicState::newest);
            known.max(Some(self.topics.released_through(key)))
        };
        is_ended_by_ends(view, ends)
            && (ends.has_silent_end(sequence)
                || view.only_topic().and_then(newest) <= Some(sequence))
    }
}

/// Returns whether the end of a topic's stream ends the response to this reader: it reads that topic alone,
/// and has a response that can end.
pub(super) fn is_ended_by_ends(view: &Resolved, ends: OwnEnds) -> bool {
    view.only_topic().is_some() && !ends.are_none()
}

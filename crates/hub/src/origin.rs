//! Origins: where a subscription starts in history.

use crate::cursor::{Cursor, Sequence};
use crate::history::{History, OwnEnds, ReadPosition};
use crate::hub::{Hub, Wanted};
use crate::start::{LocatedId, Start};
use crate::view::View;

/// The look for an ID's place in the journal.
pub(crate) fn wanted(id: Box<str>, view: &View, spelled: Option<Sequence>) -> Wanted {
    match spelled {
        Some(place) => Wanted::Spelled { id, place },
        None => Wanted::Given { id, view: view.clone() },
    }
}

/// Where a subscription starts, with the last event ID looked up.
pub(crate) enum Origin {
    Tail,
    Oldest,
    /// A place in this history, and the ID that spells or has it.
    After(Sequence, Box<str>),
    /// A place that the journal has confirmed.
    Found(Sequence),
    /// The ID leads nowhere.
    Unknown(Box<str>),
    /// The journal alone can tell.
    Asked(Box<str>),
}

/// The place at which a subscription starts, as far as it is known.
pub(crate) enum Located {
    /// It is found.
    Here,
    /// The ID leads nowhere.
    Nowhere(Box<str>),
    /// The journal must be asked. `spelled` is the place that the ID spells, which the feed has not reached.
    Asked { id: Box<str>, spelled: Option<Sequence> },
}

impl Origin {
    /// Looks up the last event ID: the place that it spells, or that of the earliest held event of the view
    /// that has it.
    pub(crate) fn find(hub: &Hub, view: &View, start: Start) -> Self {
        let id = match start {
            Start::Tail => return Self::Tail,
            Start::Oldest => return Self::Oldest,
            Start::Located(LocatedId { id, place }) => {
                return match place {
                    Some(place) => Self::Found(place),
                    None => Self::Unknown(id),
                };
            }
            Start::After(id) => id,
        };
        match Cursor::parse(&id).filter(|cursor| cursor.epoch == hub.epoch()) {
            Some(cursor) => Self::After(cursor.sequence, id),
            // The journal may have an earlier event of that ID than history, or a later one.
            None if !hub.read().is_whole() => Self::Asked(id),
            None => match hub.find_given(view, &id) {
                Some(sequence) => Self::After(sequence, id),
                None if hub.read().is_asked() => Self::Asked(id),
                None => Self::Unknown(id),
            },
        }
    }

    /// The position at which the subscription starts, as far as it is known.
    pub(crate) fn locate(self, history: &History) -> (ReadPosition, Located) {
        let tail = ReadPosition {
            after: history.tail(),
            told_at: history.stamp(),
            ends: OwnEnds::since(history.tail()),
        };
        let oldest = ReadPosition { after: Sequence::ZERO, ..tail };
        match self {
            Self::Tail => (tail, Located::Here),
            Self::Oldest => (oldest, Located::Here),
            Self::After(after, id) if after > history.tail() => {
                let is_asked = history.is_asked();
                (
                    oldest,
                    if is_asked {
                        Located::Asked { id, spelled: Some(after) }
                    } else {
                        Located::Nowhere(id)
                    },
                )
            }
            Self::After(after, _) | Self::Found(after) => {
                let mut ends = tail.ends.after_place();
                if history.is_mark(after) {
                    ends.enter();
                }
                (ReadPosition { after, ends, ..ReadPosition::default() }, Located::Here)
            }
            Self::Unknown(id) => (oldest, Located::Nowhere(id)),
            Self::Asked(id) => (oldest, Located::Asked { id, spelled: None }),
        }
    }
}

//! Submissions to a journal, and their outcomes.

use std::fmt;

use super::error::JournalFuture;
use crate::cursor::Sequence;
use crate::draft::Draft;
use crate::streams::{StreamMark, StreamRefused};
use crate::topic::Topic;

/// A request of a hub to its journal.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Submission {
    /// An event.
    Event(Draft),
    /// Closes the streams of exactly this topic that are open now.
    Close(Topic),
    /// Marks the topic's stream.
    Stream(Topic, StreamMark),
}

impl Submission {
    /// A draft as a repetition of one that was submitted before.
    pub(crate) fn again(draft: Draft) -> Self {
        Self::Event(Draft { is_repeat: true, ..draft })
    }
}

/// Drafts on their way to being committed.
#[non_exhaustive]
pub enum Committing {
    /// The only draft is done. A journal in memory answers so, without an allocation.
    One(Outcome),
    /// All are done.
    All(Vec<Outcome>),
    /// The journal is still committing.
    Waiting(JournalFuture<'static, Vec<Outcome>>),
}

impl fmt::Debug for Committing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Committing")
    }
}

/// The fate of a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It is committed at this sequence.
    Committed(Sequence),
    /// Its idempotency key has been seen; the first one was committed at this sequence.
    Duplicate(Sequence),
    /// It does not belong to its topic's stream, where it came to stand in the journal. It never appears in the feed.
    Refused(StreamRefused),
    /// It changes nothing: the request of its producer was sent before, or there is nothing left to change.
    Void,
    /// It was not written, and never appears in the feed. It may be submitted again.
    NotCommitted(NotCommitted),
    /// The journal failed and cannot say: it may appear in the feed or not.
    Unknown,
}

/// Why a journal has not committed a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotCommitted {
    /// Too much is waiting to be committed. That passes by itself.
    Busy,
    /// The journal's store cannot be reached now. That passes by itself.
    Unreachable,
    /// There is no room where the journal keeps its entries.
    Full,
    /// The journal has failed, and commits nothing until it is opened again.
    Stopped,
    /// The event is larger than the journal takes, or those that are published together are.
    TooLarge,
    /// The event was to be a [repetition](Draft::is_repeat), and its idempotency key is not known.
    Unseen,
}

impl fmt::Display for NotCommitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "too much is waiting to be committed",
            Self::Unreachable => "the store of the journal cannot be reached now",
            Self::Full => "there is no room where the journal keeps its entries",
            Self::Stopped => "the journal has failed and commits nothing until it is opened again",
            Self::TooLarge => "that is more than the journal takes at once",
            Self::Unseen => "the event was not published before with this idempotency key",
        })
    }
}

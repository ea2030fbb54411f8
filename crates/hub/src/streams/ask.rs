//! Requests that a shared journal decides where they come to stand in its order.

use super::decided::Decided;
use super::parts::StreamClose;
use super::request::{Append, StreamTurn};
use crate::cursor::Sequence;
use crate::time::Time;

/// A request to a topic's stream, which is decided when it is read back: every hub that reads it comes to the same
/// verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ask {
    /// Events are appended. So many submissions after this one belong to the request: [room](super::StreamMark::Room)
    /// for a mark, the events, and room for the end if the request ends the stream.
    Append(Append, u32),
    /// A reader stops the stream; only the one that begins there, if a place is given.
    Stop(Option<Sequence>),
    /// The time of a stream is over, unless something has come after what the asking hub had read.
    End {
        /// The stream and what was read of it.
        seen: SeenStream,
        /// Whether its time to live is over, and not its grace.
        is_expired: bool,
    },
    /// The time to live of an ended stream is over, unless another one has begun.
    Free {
        /// The stream and what was read of it.
        seen: SeenStream,
        /// The last entry that its readers should have been sent.
        last: Sequence,
        /// Its end.
        end: Sequence,
    },
    /// The producer of a turn has left. So has it if the hub by which the newest entry came is gone; that counts
    /// unless something has come after it.
    Left(StreamTurn, Option<SeenStream>),
}

/// A stream as a hub had read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenStream {
    /// Where it begins.
    pub(crate) begin: Sequence,
    /// Its newest entry.
    pub(crate) last: Sequence,
}

/// The state of a topic's latest stream, as the order of a shared journal has decided it.
///
/// A hub writes it before a request, as of everything that the hub had read. A reader takes it from there unless it
/// has read something newer of the stream, so that verdicts depend on the latest messages alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamState {
    pub(crate) decided: Decided,
    /// The hub by which the newest entry came.
    pub(crate) writer: u64,
    /// The newest entry.
    pub(crate) last: Sequence,
    /// The first and the last event.
    pub(crate) held: Option<(Sequence, Sequence)>,
    pub(crate) end: Option<Sequence>,
    /// Whether its producer has left, and nothing has come since.
    pub(crate) has_left: bool,
    /// When it began and how it ended, if that is known. It is [told](super::StreamMark::Dates) apart from the rest.
    pub(crate) dates: Option<StreamDates>,
}

/// When a stream began and how it ended: nothing is decided by it, and lists of streams name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamDates {
    /// Where it begins.
    pub(crate) begin: Sequence,
    pub(crate) began: Time,
    pub(crate) ended: Option<(Time, StreamClose)>,
}

impl StreamState {
    /// The writer of a state whose newest entry was read before this process: no hub is judged by it.
    pub(crate) const UNKNOWN: u64 = u64::MAX;
}

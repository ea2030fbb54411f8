//! Marks: the entries of history that say where a stream begins, whose it is, and where it ends.

use super::ask::{Ask, StreamDates, StreamState};
pub use super::parts::{EndNotice, Producer, StreamClose, StreamOptions, StreamReason};
use crate::cursor::Sequence;
use crate::draft::IdempotencyKey;

/// An entry of a topic that is no event: it belongs to the topic's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamMark {
    /// A stream begins.
    Begin(StreamOptions),
    /// The entries that follow were sent by this producer, in this request.
    Append(Producer),
    /// A reader wishes that the producer end the stream.
    Stop,
    /// The stream ends, by the request with this idempotency key if it had one.
    End(StreamClose, Option<IdempotencyKey>),
    /// The producer has left: somebody has to go on within the grace. Only a journal that
    /// [decides](crate::journal::Journal::decides_streams) has this one and those below.
    Left,
    /// Somebody goes on with the stream, and publishes later.
    Continued,
    /// A request, to be decided where it comes to stand. The journal hands over what becomes of it.
    Ask(Box<Ask>),
    /// A place for a mark of the request before.
    Room,
    /// The state of the stream, as the writer of what follows had read it.
    State(Box<StreamState>),
    /// So many of the events that follow are one request, which is published entirely or not at all. Its topic is that
    /// of the first of them.
    Whole(u32),
    /// When the stream began and how it ended, after its state: for hubs that start when the beginning is gone.
    Dates(Box<StreamDates>),
    /// The time to live of the ended stream is over: what the topic held before this is gone. The last entry that its
    /// readers should have been sent is named, so that those who were sent all of it are told of no gap.
    Freed {
        /// That entry.
        last: Sequence,
        /// The end of the stream: only what the topic held up to there is gone. `None` if no event can have come in
        /// between, because the stream was known until this mark.
        end: Option<Sequence>,
    },
    /// The stream as it stands, for a hub that opens the journal when its beginning is gone.
    Told(Box<StreamState>),
}

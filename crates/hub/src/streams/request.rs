//! Requests to a stream, and why they are refused.

use std::fmt;

use super::parts::{EndNotice, Producer, StreamOptions};
use crate::cursor::Sequence;
use crate::draft::IdempotencyKey;

/// The part of a request that is about its topic's stream, beside its events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Append {
    /// A stream begins before the events. An open one ends as [aborted](super::parts::StreamReason::Aborted).
    pub begin: Option<StreamOptions>,
    /// The stream ends after the events.
    pub end: Option<EndNotice>,
    /// The producer whose request this is. The first one owns the stream.
    pub producer: Option<Producer>,
    /// Of this stream alone, and in the turn of the request that was answered with it: no request of its producer
    /// may have come between.
    pub stream: Option<StreamTurn>,
    /// With the key of the request that began or ended the topic's latest stream, it is that request once more,
    /// which publishes nothing and is answered as the first one was. A journal that is kept keeps these keys.
    pub key: Option<IdempotencyKey>,
}

impl Append {
    /// The place of one of the events of a request that has begun or ended a stream before: they were committed
    /// one after the other, with the marks around them. `last` is the stream's last event.
    pub(crate) fn repeated_event(
        &self,
        (begin, last, end): (Sequence, Sequence, Option<Sequence>),
        (index, count): (usize, usize),
    ) -> Sequence {
        let first = match (&self.begin, end) {
            (None, Some(end)) => end.get().saturating_sub(count as u64),
            _ => begin.get().saturating_add(1),
        };
        Sequence::new(first.saturating_add(index as u64)).map_or(last, |place| place.min(last))
    }
}

/// A stream, and the turn of a producer in it. A begin and each request of a producer start another turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamTurn {
    pub(crate) begun: u64,
    pub(crate) turn: u64,
    pub(crate) epoch: u64,
}

/// Why a request does not belong to its topic's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamRefused {
    /// The stream has ended, or there is none. Begin one.
    Ended,
    /// Another producer owns the stream. Take over with a higher epoch.
    Streaming,
    /// A successor with a higher epoch has taken over.
    StaleEpoch {
        /// The epoch of the successor.
        epoch: u64,
    },
    /// A reader has stopped the stream. End it.
    Stopped,
    /// A request is missing before this one.
    MissingSequence {
        /// The number of the request that comes next.
        expected: u64,
    },
}

impl fmt::Display for StreamRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("the topic's stream has ended, or there is none: begin one"),
            Self::Streaming => f.write_str(
                "another producer owns the topic's stream: take over with a higher epoch",
            ),
            Self::StaleEpoch { epoch } => {
                write!(f, "a producer with epoch {epoch} has taken over the topic's stream")
            }
            Self::Stopped => f.write_str("a reader has stopped the topic's stream: end it"),
            Self::MissingSequence { expected } => {
                write!(f, "a request is missing before this one: request {expected} comes next")
            }
        }
    }
}

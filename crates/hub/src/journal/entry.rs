//! Committed entries.

use tidings_proto::Event;

use crate::cursor::Sequence;
use crate::draft::Topics;
use crate::streams::StreamMark;
use crate::time::Time;
use crate::via::Via;

/// A committed entry, as a feed hands it over.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// Where it stands; above every earlier entry's.
    pub sequence: Sequence,
    /// When it was committed; never before an earlier entry.
    pub time: Time,
    /// Its topics, the canonical one first.
    pub topics: Topics,
    /// Whether only subscribers whose grant names its topic are sent it.
    pub private: bool,
    /// The hops that the event came by, which a journal keeps like the event itself.
    pub via: Option<Via>,
    /// Its content.
    pub content: Content,
}

impl Entry {
    /// A public entry; [`Entry::private`] says otherwise. It came by no hops unless [`Entry::via`]
    /// names some.
    #[must_use]
    pub fn new(sequence: Sequence, time: Time, topics: Topics, content: Content) -> Self {
        Self { sequence, time, topics, private: false, via: None, content }
    }
}

/// The content of an entry. Readers skip kinds that they do not know.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Content {
    /// An event, with its publisher-given ID if it has one.
    Event(Event),
    /// Closes the streams of exactly this topic that were open when it was committed.
    Close,
    /// Belongs to the topic's stream.
    Stream(StreamMark),
}

//! Pages: entries that a journal reads from where it keeps them.

use std::sync::Arc;

use super::entry::Entry;
use crate::cursor::Sequence;
use crate::topic::Topic;

/// The topics whose entries are to be read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TopicSet {
    /// All topics.
    All,
    /// These topics.
    Topics(Arc<[Topic]>),
}

impl TopicSet {
    /// Returns whether the entries of a topic are to be read.
    #[must_use]
    pub fn has(&self, topic: &Topic) -> bool {
        match self {
            Self::All => true,
            Self::Topics(topics) => topics.contains(topic),
        }
    }
}

/// The maximum size of a page. A larger entry is read alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PageMax {
    /// Entries.
    pub entries: usize,
    /// Bytes of entries, as the journal counts them.
    pub bytes: usize,
}

impl PageMax {
    /// At most so many entries and bytes.
    #[must_use]
    pub fn new(entries: usize, bytes: usize) -> Self {
        Self { entries, bytes }
    }
}

/// Entries that a journal has read.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct JournalPage {
    /// The entries, in strictly rising order.
    pub entries: Vec<Entry>,
    /// The place to continue after: everything up to here has been read or passed over.
    pub through: Sequence,
    /// Losses up to that place: committed entries that can no longer be read. Their topics are unknown.
    pub lost: Vec<Lost>,
    /// The newest events of those topics of the entries whose rule is about the newest event alone, as far as
    /// the hub has been fed: earlier ones on the page are superseded.
    pub newest: Vec<Newest>,
    /// On a page of all topics, the newest events beyond limits of those topics of the entries that have a limit on
    /// events or bytes, where there is one on the page: earlier ones are beyond them as well.
    pub beyond: Vec<Beyond>,
}

impl JournalPage {
    /// A page without losses, in which nothing is superseded.
    #[must_use]
    pub fn new(entries: Vec<Entry>, through: Sequence) -> Self {
        Self { entries, through, lost: Vec::new(), newest: Vec::new(), beyond: Vec::new() }
    }
}

/// The newest event of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Newest {
    /// The topic.
    pub topic: Topic,
    /// Its newest event.
    pub event: Sequence,
}

impl Newest {
    /// The newest event of a topic.
    #[must_use]
    pub fn new(topic: Topic, event: Sequence) -> Self {
        Self { topic, event }
    }
}

/// The newest event of a topic that is beyond one of its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Beyond {
    /// The topic.
    pub topic: Topic,
    /// Its newest event beyond the limit.
    pub event: Sequence,
    /// The entry by whose commit the event came to be beyond the limit. A later entry of the topic makes readers that
    /// were told of the loss in between be told again.
    pub since: Sequence,
}

impl Beyond {
    /// The newest event of a topic beyond one of its limits, and the entry by which it came to be so.
    #[must_use]
    pub fn new(topic: Topic, event: Sequence, since: Sequence) -> Self {
        Self { topic, event, since }
    }
}

/// A range of lost entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lost {
    /// The first lost sequence.
    pub first: Sequence,
    /// The last lost sequence.
    pub last: Sequence,
}

impl Lost {
    /// The entries from one sequence to another, both included.
    #[must_use]
    pub fn new(first: Sequence, last: Sequence) -> Self {
        Self { first, last }
    }

    /// Returns the range between two sequences, or `None` if it is empty.
    #[cfg(feature = "disk")]
    pub(super) fn between(after: Sequence, before: Sequence) -> Option<Self> {
        (after.get() + 1 < before.get())
            .then(|| Self { first: after.next(), last: before.before() })
    }

    /// Returns the number of lost entries.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.last.get() - self.first.get() + 1
    }
}

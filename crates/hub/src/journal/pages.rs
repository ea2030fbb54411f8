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
    /// The place up to which the events of topics are [counted](JournalPage::counted): the newest one that the hub has
    /// been fed.
    pub counted_through: Sequence,
}

impl PageMax {
    /// At most so many entries and bytes. All committed events are counted.
    #[must_use]
    pub fn new(entries: usize, bytes: usize) -> Self {
        Self { entries, bytes, counted_through: Sequence::MAX }
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
    /// On a page of all topics, the counts of those topics of the entries that have a limit on events or bytes, up to
    /// [`PageMax::counted_through`].
    pub counted: Vec<(Topic, PageCount)>,
}

impl JournalPage {
    /// A page without losses, in which nothing is superseded.
    #[must_use]
    pub fn new(entries: Vec<Entry>, through: Sequence) -> Self {
        Self { entries, through, lost: Vec::new(), newest: Vec::new(), counted: Vec::new() }
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

/// A topic's events within its limits on events and bytes, counted back from a place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counted {
    /// The newest event that is beyond the limits, if there is one.
    pub beyond: Option<Sequence>,
    /// How many events come after it.
    pub events: usize,
    /// Bytes that these count with.
    pub bytes: usize,
    /// The oldest of these events, each with its bytes: those that newer events push beyond the limits next. Where there
    /// are fewer than [`Counted::NEXT_MAX`], there may be all of them; the more there are, the less often the topic is
    /// counted.
    pub next: Vec<(Sequence, usize)>,
}

impl Counted {
    /// The number of events of which the places are kept: a topic is counted again after so many new ones at the
    /// earliest, and 64 KiB of memory.
    pub const NEXT_MAX: usize = 4096;
}

/// The count of a topic on a page.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PageCount {
    /// The topic has no more events and bytes than these, of which its limits allow so many.
    AtMost {
        /// Events.
        events: usize,
        /// Bytes that they count with.
        bytes: usize,
    },
    /// The topic's events from the page's first entry on. [`Counted::next`] is not needed.
    Exact(Counted),
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

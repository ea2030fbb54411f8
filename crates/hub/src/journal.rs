//! The journal: where events become real, beneath history.
//!
//! A journal orders drafts into sequences, keeps them, and hands them back through its [`Feed`]. The
//! feed is the only source of a hub's history: [`Journal::append`] answers the publisher and nothing
//! else, so that fan-out always comes after commit, on one machine and on many.
//!
//! [`MemoryJournal`] is the journal of a hub that forgets everything when it ends.

#[cfg(feature = "disk")]
pub mod disk;
mod keys;
mod memory;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tidings_proto::{Event, EventId};

#[cfg(feature = "disk")]
pub use self::disk::{DiskConfig, DiskJournal};
pub use self::memory::MemoryJournal;
use crate::cursor::{Epoch, Sequence};
use crate::draft::{Draft, Topics};
use crate::time::{Now, Time};
use crate::topic::Topic;
use crate::via::Via;

/// A future that a journal's method returns; it names no executor.
pub type JournalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where a hub's events are committed.
pub trait Journal: Send + Sync + 'static {
    /// Recovers the kept entries and returns the journal's state. Called once, before all other methods.
    ///
    /// # Errors
    ///
    /// [`JournalError`] if the kept entries cannot be read.
    fn open(&self) -> JournalFuture<'_, Result<Opened, JournalError>>;

    /// Submits drafts in order, at the call; the answer is one outcome for each.
    ///
    /// `now` dates them where the journal has no clock of its own, and is steady where their age counts.
    ///
    /// # Cancel safety
    ///
    /// Dropping the answer takes nothing back: the drafts are committed all the same.
    fn append(&self, batch: &mut dyn Iterator<Item = Submission>, now: Now) -> Committing;

    /// The committed entries after a sequence, in strictly rising order, without end.
    ///
    /// Sequences need not be dense: a journal may use numbers for matters of its own.
    fn follow(&self, after: Sequence) -> Box<dyn Feed>;

    /// Reads entries of some topics from where they are kept, at most `entries_max`.
    fn read<'a>(
        &'a self,
        topics: &'a [Topic],
        after: Sequence,
        entries_max: usize,
    ) -> JournalFuture<'a, Result<Vec<Entry>, JournalError>>;

    /// Where the earliest event with this publisher-given ID is kept.
    fn find<'a>(
        &'a self,
        id: &'a EventId,
    ) -> JournalFuture<'a, Result<Option<Sequence>, JournalError>>;

    /// The bytes that the journal has in memory, for idempotency keys above all. They count as the
    /// history's.
    fn bytes(&self) -> usize {
        0
    }

    /// Drops entries. The hub decides which.
    fn evict(&self, what: Evict) -> JournalFuture<'_, Result<(), JournalError>>;
}

/// A request of a hub to its journal.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Submission {
    /// An event.
    Event(Draft),
    /// Closes the streams of exactly this topic that are open now.
    Close(Topic),
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

/// The committed entries of a journal, one batch after the other.
pub trait Feed: Send {
    /// Adds the entries committed and not yet taken to a list: how a publisher whose commit is done
    /// brings it into history by itself.
    ///
    /// # Errors
    ///
    /// As [`Feed::poll_next`].
    fn try_next(&mut self, entries: &mut Vec<Entry>) -> Result<(), JournalError>;

    /// Returns whether [`Feed::try_next`] yields all committed entries as soon as their append has
    /// returned. Publishers then bring their own events into history, and no follower is needed.
    fn is_in_step(&self) -> bool {
        false
    }

    /// Waits for the next committed entries and adds them to a list, or what there is.
    ///
    /// # Errors
    ///
    /// [`JournalError`] when the journal cannot go on; the feed is then over.
    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        entries: &mut Vec<Entry>,
    ) -> Poll<Result<(), JournalError>>;
}

/// The state of a journal after it was opened.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Opened {
    /// Which history its sequences count in.
    pub epoch: Epoch,
    /// The place before the oldest entry it keeps.
    pub oldest: Sequence,
    /// Its newest entry.
    pub tail: Sequence,
    /// The failures that a commit survives.
    pub durability: Durability,
}

impl Opened {
    /// A journal that keeps every entry after `oldest` up to and including `tail`.
    #[must_use]
    pub fn new(epoch: Epoch, oldest: Sequence, tail: Sequence, durability: Durability) -> Self {
        Self { epoch, oldest, tail, durability }
    }
}

/// The failures that a committed event survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// Nothing: it is gone when the process ends.
    Process,
    /// The process and the machine: it is on disk, synced.
    Synced,
    /// The loss of a machine, not of all at once: other machines have it in memory.
    Replicated,
    /// The loss of all machines' memory: other machines have it on disk, synced.
    ReplicatedAndSynced,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Process => "process",
            Self::Synced => "synced",
            Self::Replicated => "replicated",
            Self::ReplicatedAndSynced => "replicated and synced",
        })
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
    /// The journal failed and cannot say: it may appear in the feed or not.
    Unknown,
}

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
}

/// Entries that a journal must drop.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Evict {
    /// Every entry up to and including a sequence.
    Through(Sequence),
}

/// Why a journal cannot be opened or cannot go on.
#[derive(Debug)]
pub struct JournalError {
    message: Box<str>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl JournalError {
    /// An error of a journal: one clause about what failed, and its cause.
    #[must_use]
    pub fn new(
        message: impl Into<Box<str>>,
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { message: message.into(), source }
    }
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for JournalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

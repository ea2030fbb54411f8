//! The journal: where events become real, beneath history.
//!
//! A journal orders drafts into sequences, keeps them, and hands them back through its [`Feed`]. The
//! feed is the only source of a hub's history: [`Journal::append`] answers the publisher and nothing
//! else, so that fan-out always comes after commit, on one machine and on many.
//!
//! A journal either keeps its entries, so that the hub reads the entries that its memory has let go of by
//! [pages](Journal::read), or it keeps nothing, and the hub's memory is the only past. [`Journal::oldest`]
//! tells which.
//!
//! [`MemoryJournal`] is the journal of a hub that forgets everything when it ends.

mod committing;
#[cfg(feature = "disk")]
mod copied;
#[cfg(feature = "disk")]
pub mod disk;
mod entry;
mod error;
mod keys;
mod memory;
mod pages;
#[cfg(feature = "shared")]
pub mod shared;

use std::fmt;
use std::future::ready;
use std::sync::Arc;
use std::task::{Context, Poll};

use tidings_proto::EventId;

pub use self::committing::{Committing, NotCommitted, Outcome, Submission};
#[cfg(feature = "disk")]
pub use self::copied::{Copied, CopiedTo, CopyOf};
#[cfg(feature = "disk")]
pub use self::disk::{DiskConfig, DiskJournal};
pub use self::entry::{Content, Entry};
pub use self::error::{JournalError, JournalFuture};
pub use self::memory::MemoryJournal;
pub use self::pages::{Counted, JournalPage, Lost, Newest, PageCount, PageMax, TopicSet};
use crate::cursor::{Epoch, Sequence};
use crate::retention::{RetentionRule, TopicLimits};
use crate::streams::StreamState;
use crate::time::Now;
use crate::topic::Topic;

/// Where a hub's events are committed.
///
/// The methods with a default are for journals that keep their entries; a journal that keeps nothing needs
/// none of them. A hub on a journal that keeps its entries must be [driven](crate::docs::driving): its
/// driver follows the feed and polls the futures of [`Journal::read`], [`Journal::find`],
/// [`Journal::tail`], [`Journal::place_before`], [`Journal::count`] and [`Journal::evict`].
pub trait Journal: Send + Sync + 'static {
    /// Recovers the kept entries and returns the journal's state. Called once, before all other methods.
    ///
    /// # Errors
    ///
    /// [`JournalError`] if the kept entries cannot be read.
    fn open(&self) -> JournalFuture<'_, Result<Opened, JournalError>>;

    /// Submits drafts in order, at the call; the answer is one outcome for each.
    ///
    /// The answer may come before the feed has the entries, or after. If [`Feed::try_next`] yields them by then, those
    /// who publish find their own events as soon as they are answered. `now` dates the entries where the
    /// journal has no clock of its own, and is steady where their age counts.
    ///
    /// # Cancel safety
    ///
    /// Dropping the answer takes nothing back: the drafts are committed all the same.
    fn append(&self, batch: &mut dyn Iterator<Item = Submission>, now: Now) -> Committing;

    /// The committed entries after a sequence, in strictly rising order, without end.
    ///
    /// Sequences need not be dense: a journal may use numbers for matters of its own. A hub has one feed
    /// of its journal. A feed that begins before [`Journal::oldest`] begins there.
    fn follow(&self, after: Sequence) -> Box<dyn Feed>;

    /// The place before the oldest entry that can be read; `None` if the journal keeps nothing once its feed
    /// has handed it over, so that the hub's memory is the only past.
    ///
    /// The place never goes back, and a page never begins after it: an entry is gone only after this method
    /// has said so. Asked often, so it must be cheap.
    fn oldest(&self) -> Option<Sequence> {
        None
    }

    /// The place up to which entries are in the older half of what the journal can keep, so that they will be dropped
    /// before others. What must outlive them is committed again by then. `None` if the journal drops nothing by itself.
    /// Asked often, so it must be cheap.
    fn older(&self) -> Option<Sequence> {
        None
    }

    /// The newest dropped entries of topics: of all entries up to the latest [`Journal::oldest`], and perhaps of some
    /// that are about to be dropped. Without it, an entry of any topic may have been dropped.
    fn dropped(&self) -> Option<Arc<dyn DroppedEntries>> {
        None
    }

    /// The place after which about so many bytes of the newest entries are kept. A hub follows the journal
    /// from there when it opens it.
    fn newest(&self, bytes: usize) -> Sequence {
        let _ = bytes;
        Sequence::ZERO
    }

    /// Returns whether other hubs commit to the same entries, so that a reader may come with a place that this
    /// journal's feed has not reached yet. [`Journal::tail`] is then asked for such a place, and for an ID
    /// that history does not have, also if the journal keeps nothing.
    fn is_shared(&self) -> bool {
        false
    }

    /// The failures that a commit survives, if that is known by now better than when the [journal was
    /// opened](Opened::durability).
    fn durability(&self) -> Option<Durability> {
        None
    }

    /// Returns whether the journal decides requests to the streams of topics where they come to stand in it, since
    /// other hubs may have committed something before them. The hub then submits [`StreamMark::Ask`] instead of other
    /// marks, and the answer says what became of it.
    ///
    /// [`StreamMark::Ask`]: crate::StreamMark::Ask
    fn decides_streams(&self) -> bool {
        false
    }

    /// Tells a journal that decides requests how streams stand whose [marks](Journal::marks) the hub has read back
    /// from it, once, after it was opened.
    fn restore_streams(&self, states: Vec<(Topic, StreamState)>) {
        let _ = states;
    }

    /// Has a journal that decides requests keep how streams stand whose beginnings it [drops](Journal::older) before
    /// long, as marks of its own. They are kept when the feed has handed over the marks; others are asked for again.
    fn keep_streams(&self, states: Vec<(Topic, StreamState)>) {
        let _ = states;
    }

    /// The newest committed entry: no draft that was answered as committed, by this journal or by another
    /// one on the same entries, is after it. Asked for places that the feed has not reached.
    ///
    /// A journal that is shared and keeps nothing answers when its feed has handed over everything up to
    /// there, so that the hub can look in its memory.
    fn tail(&self) -> JournalFuture<'static, Result<Sequence, JournalError>> {
        Box::pin(ready(Ok(Sequence::ZERO)))
    }

    /// Reads the next entries after a place that lie in one of some topics, from where they are kept.
    ///
    /// A page that ends at [`JournalPage::through`] need not be full. It is beyond the place asked for
    /// unless nothing was committed after it.
    fn read(
        &self,
        topics: TopicSet,
        after: Sequence,
        max: PageMax,
    ) -> JournalFuture<'static, Result<JournalPage, JournalError>> {
        let _ = (topics, max);
        Box::pin(ready(Ok(JournalPage::new(Vec::new(), after))))
    }

    /// Reads the next [marks of streams](Content::Stream) after a place, as [`Journal::read`] reads the entries of
    /// topics. A hub asks for them when it opens the journal, and passes over other entries. A page that goes no
    /// further than the place asked for is the last one.
    ///
    /// By default there are none: a hub then knows the streams of the newest entries alone.
    fn marks(
        &self,
        after: Sequence,
        max: PageMax,
    ) -> JournalFuture<'static, Result<JournalPage, JournalError>> {
        let _ = max;
        Box::pin(ready(Ok(JournalPage::new(Vec::new(), after))))
    }

    /// The earliest event after a place that has this publisher-given ID.
    fn find(
        &self,
        id: &EventId,
        after: Sequence,
    ) -> JournalFuture<'static, Result<Option<Entry>, JournalError>> {
        let _ = (id, after);
        Box::pin(ready(Ok(None)))
    }

    /// The place before the newest `entries` entries that lie in one of some topics, counted back from
    /// `through`, which is included. `None` if fewer are kept.
    fn place_before(
        &self,
        topics: TopicSet,
        through: Sequence,
        entries: usize,
    ) -> JournalFuture<'static, Result<Option<Sequence>, JournalError>> {
        let _ = (topics, through, entries);
        Box::pin(ready(Ok(None)))
    }

    /// Tells the journal the rules of topics, after it was opened and whenever they change. The first one that matches a
    /// topic counts; the limits of topics without one are a last rule that matches all. Pages of all topics have
    /// [counts](JournalPage::counted) of the topics with limits. Where a rule holds, or lets readers
    /// read, the newest event of a topic alone, pages say [which one that is](JournalPage::newest). The journal
    /// may drop events of which all topics hold a newer one alone.
    fn retain(&self, rules: &[RetentionRule]) {
        let _ = rules;
    }

    /// Counts a topic's events back from `through`, which is included, until one is beyond the topic's limits on events
    /// and bytes. An event may count with more bytes than [`TopicLimits::bytes_max`] says, with the same ones each time.
    ///
    /// By default, limits do not reach into the journal.
    fn count(
        &self,
        topic: &Topic,
        limits: &TopicLimits,
        through: Sequence,
    ) -> JournalFuture<'static, Result<Counted, JournalError>> {
        let _ = (topic, limits, through);
        Box::pin(ready(Ok(Counted::default())))
    }

    /// Notes that everything which a topic held up to an entry, `through`, is gone. `last` is the last entry that its readers
    /// should have been sent. A hub tells it when it has followed that entry, and again when it has opened the journal.
    /// The journal keeps the last entry, by which readers meet the loss, and may drop those before it.
    ///
    /// Returns `false` if the journal does not, so that everything stays as it is.
    fn free(&self, topic: &Topic, last: Sequence, through: Sequence) -> bool {
        let _ = (topic, last, through);
        false
    }

    /// The bytes that the journal has in memory, for idempotency keys above all. They count as the
    /// history's.
    fn bytes(&self) -> usize {
        0
    }

    /// Drops entries. The hub decides which; a journal may keep them longer.
    fn evict(&self, what: Evict) -> JournalFuture<'static, Result<(), JournalError>>;
}

/// The newest entries that a journal has dropped, by topic, as of a moment.
pub trait DroppedEntries: Send + Sync {
    /// The newest dropped entry of a topic, or a later place if that is not known. It is asked for with the
    /// history locked, so it must be cheap.
    fn newest(&self, topic: &Topic) -> Sequence;
}

/// The committed entries of a journal, one batch after the other.
pub trait Feed: Send {
    /// Waits for the next committed entries and adds them to a list, or for losses.
    ///
    /// # Errors
    ///
    /// [`JournalError`] when the journal cannot go on; the feed is then over.
    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        entries: &mut Vec<Entry>,
    ) -> Poll<Result<(), JournalError>>;

    /// Takes the losses found since the last call, before the entries that [`Feed::poll_next`] has added:
    /// committed entries that can no longer be read. Their topics are unknown, so every reader that stands
    /// before one of them is told of a gap.
    fn take_lost(&mut self) -> Vec<Lost> {
        Vec::new()
    }

    /// Takes the states of streams that began before the oldest entry, as other hubs have told them since the last
    /// call. They count as of the entries that [`Feed::poll_next`] has added, or later.
    fn take_streams(&mut self) -> Vec<(Topic, StreamState)> {
        Vec::new()
    }

    /// The place up to which the feed has handed over everything there is, if that is after the newest entry
    /// it has handed over: the last sequences may be no entries.
    fn through(&self) -> Sequence {
        Sequence::ZERO
    }

    /// Adds the entries committed and not yet taken to a list, without waiting: how a publisher whose commit
    /// is done brings it into history by itself, before it is answered. A feed that cannot tell adds none.
    ///
    /// # Errors
    ///
    /// As [`Feed::poll_next`].
    fn try_next(&mut self, entries: &mut Vec<Entry>) -> Result<(), JournalError> {
        let _ = entries;
        Ok(())
    }

    /// Returns whether [`Feed::try_next`] yields all committed entries as soon as their append has
    /// returned. Publishers then bring their own events into history, and no follower is needed.
    fn is_in_step(&self) -> bool {
        false
    }
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
    /// The process: another one has it, on one machine, and syncs it to its disk now and then.
    Stored,
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
            Self::Stored => "stored",
            Self::Synced => "synced",
            Self::Replicated => "replicated",
            Self::ReplicatedAndSynced => "replicated and synced",
        })
    }
}

/// Entries that a journal must drop.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Evict {
    /// Every entry up to and including a sequence.
    Through(Sequence),
}

//! The list of segments, shared by all threads.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard, RwLock};

use super::damage::Damage;
use super::dropped::Dropped;
use super::freed::FreedTopics;
use super::head::Head;
use super::segment::Segment;
use super::storage::{Failure, Storage, StorageFile};
use super::totals::Totals;
use crate::cursor::Sequence;
use crate::journal::Entry;
use crate::retention::RetentionRule;
use crate::topic::Topic;

/// The segments of an open journal, the oldest first. The last one is being written to.
pub(super) struct Catalog {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) head: Head,
    segments: RwLock<VecDeque<Arc<Segment>>>,
    damage: Mutex<Vec<Damage>>,
    /// The rules of topics, once they are known.
    rules: RwLock<Arc<[RetentionRule]>>,
    /// The newest removed records of topics.
    dropped: Mutex<Arc<Dropped>>,
    /// The topics of streams that have outlived their time to live.
    freed: RwLock<FreedTopics>,
    /// Upper bounds of the numbers and sizes of topics' records.
    totals: Mutex<Totals>,
    /// The beginning of the newest segment, and the [older part](Catalog::older) of the journal then.
    older: Mutex<(Option<Sequence>, Sequence)>,
    /// Held while files are removed or replaced.
    changing: Mutex<()>,
    /// How often segments were replaced.
    replaced: AtomicU64,
    /// The newest synced record.
    tail: AtomicU64,
}

/// Maximum findings kept; `check` lists all of them.
const DAMAGE_MAX: usize = 1000;

impl Catalog {
    pub(super) fn new(
        storage: Arc<dyn Storage>,
        head: Head,
        segments: VecDeque<Arc<Segment>>,
        damage: Vec<Damage>,
    ) -> Self {
        let tail = segments.back().map_or(Sequence::ZERO, |segment| segment.last());
        let oldest = segments.front().map_or(Sequence::ZERO, |segment| segment.base.before());
        let dropped = Dropped::read(&*storage, head.identity, oldest);
        Self {
            storage,
            head,
            segments: RwLock::new(segments),
            damage: Mutex::new(damage),
            rules: RwLock::default(),
            dropped: Mutex::new(Arc::new(dropped)),
            freed: RwLock::default(),
            totals: Mutex::default(),
            older: Mutex::default(),
            changing: Mutex::default(),
            replaced: AtomicU64::new(0),
            tail: AtomicU64::new(tail.get()),
        }
    }

    pub(super) fn rules(&self) -> Arc<[RetentionRule]> {
        Arc::clone(&self.rules.read())
    }

    /// Sets the rules of topics.
    pub(super) fn set_rules(&self, rules: &[RetentionRule]) {
        *self.rules.write() = rules.into();
    }

    /// Notes a freed stream. Returns whether there is room for it.
    pub(super) fn free(&self, topic: &Topic, last: Sequence, mark: Sequence) -> bool {
        let oldest = self.oldest();
        self.freed.write().note(&self.head.identity, topic, (last, mark), oldest)
    }

    /// The last freed record of a topic that its readers should have been sent.
    pub(super) fn freed(&self, topic: &str) -> Option<Sequence> {
        self.freed.read().find(&self.head.identity, topic).map(|(last, _)| last)
    }

    pub(super) fn has_freed(&self) -> bool {
        !self.freed.read().is_empty()
    }

    /// Returns whether an entry is freed in all of its topics.
    pub(super) fn is_freed(&self, entry: &Entry) -> bool {
        self.freed.read().has(&self.head.identity, entry)
    }

    pub(super) fn totals(&self) -> MutexGuard<'_, Totals> {
        self.totals.lock()
    }

    pub(super) fn tail(&self) -> Sequence {
        Sequence::new(self.tail.load(Ordering::Acquire)).unwrap_or(Sequence::MAX)
    }

    pub(super) fn set_tail(&self, tail: Sequence) {
        self.tail.store(tail.get(), Ordering::Release);
    }

    /// Returns the place before the oldest record.
    pub(super) fn oldest(&self) -> Sequence {
        self.segments.read().front().map_or(Sequence::ZERO, |segment| segment.base.before())
    }

    /// Returns the newest removed records of topics: of all records up to [`Catalog::oldest`] as it was before, and
    /// perhaps of more.
    pub(super) fn dropped(&self) -> Arc<Dropped> {
        Arc::clone(&self.dropped.lock())
    }

    /// Returns the place before the newest segments that have so many bytes together.
    pub(super) fn newest(&self, bytes: u64) -> Sequence {
        let segments = self.segments.read();
        let mut left = bytes;
        let is_enough = |segment: &&Arc<Segment>| {
            left = left.saturating_sub(segment.file_bytes());
            left == 0
        };
        let first = segments.iter().rev().find(is_enough).or_else(|| segments.front());
        first.map_or(Sequence::ZERO, |segment| segment.base.before())
    }

    /// Returns the place that [`Catalog::newest`] had for so many bytes, always the same, when the newest segment began.
    pub(super) fn older(&self, bytes: u64) -> Sequence {
        let newest = self.segments.read().back().map(|segment| segment.base);
        let mut older = self.older.lock();
        if older.0 != newest {
            *older = (newest, self.newest(bytes));
        }
        older.1
    }

    /// Returns the segments that may hold records after a sequence, the oldest first.
    pub(super) fn after(&self, after: Sequence) -> Vec<Arc<Segment>> {
        let segments = self.segments.read();
        // The segment that contains `after`, or the first one.
        let from = segments.partition_point(|segment| segment.base <= after).saturating_sub(1);
        segments.range(from..).cloned().collect()
    }

    pub(super) fn push(&self, segment: Arc<Segment>) {
        self.segments.write().push_back(segment);
    }

    /// Returns the size of all segments.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.read().iter().map(|segment| segment.file_bytes()).sum()
    }

    /// Returns the size of all segments, their number, and the number of records.
    pub(super) fn sizes(&self) -> (u64, usize, u64) {
        let segments = self.segments.read();
        let bytes = segments.iter().map(|segment| segment.file_bytes()).sum();
        let records = segments.iter().map(|segment| segment.records()).sum();
        (bytes, segments.len(), records)
    }

    /// Removes the oldest segments, one after the other, as long as they are complete, are not the last one, and are
    /// due. `is_due` is told the size of all segments that stay.
    ///
    /// Returns the file that says what was removed, if something was. It need not survive a crash, but it is better
    /// to sync it soon: without it, an entry of any topic may have been removed.
    ///
    /// # Errors
    ///
    /// [`Failure`].
    pub(super) fn remove_due(
        &self,
        is_due: impl FnMut(&Segment, u64) -> bool,
    ) -> Result<Option<Arc<dyn StorageFile>>, Failure> {
        let _changing = self.changing.lock();
        let due = self.due(is_due);
        if due.is_empty() {
            return Ok(None);
        }
        let noted = self.note_dropped(&due)?;
        for (segment, _) in &due {
            self.storage.remove(&segment.name()).map_err(Failure::Refused)?;
            // Synced for each segment: otherwise a crash could restore an older segment but not a newer one.
            self.storage.sync_folder().map_err(Failure::Broken)?;
            self.segments.write().pop_front();
        }
        Ok(noted)
    }

    /// Returns the segments to be removed, each with its last sequence, or that of what is missing behind it.
    fn due(&self, mut is_due: impl FnMut(&Segment, u64) -> bool) -> Vec<(Arc<Segment>, Sequence)> {
        let segments = self.segments.read();
        let mut bytes = segments.iter().map(|segment| segment.file_bytes()).sum::<u64>();
        let mut is_next = |segment: &Segment| {
            let is_next = segment.is_complete() && is_due(segment, bytes);
            bytes -= segment.file_bytes();
            is_next
        };
        let pairs = segments.iter().zip(segments.iter().skip(1));
        let due = pairs.take_while(|(segment, _)| is_next(segment));
        due.map(|(segment, next)| (Arc::clone(segment), next.base.before())).collect()
    }

    /// Notes the newest records of the topics of segments that are about to be removed.
    fn note_dropped(
        &self,
        due: &[(Arc<Segment>, Sequence)],
    ) -> Result<Option<Arc<dyn StorageFile>>, Failure> {
        let mut dropped = (*self.dropped()).clone();
        for (segment, end) in due {
            dropped.add(segment, &*self.storage, *end);
        }
        let written = dropped.write(&*self.storage);
        *self.dropped.lock() = Arc::new(dropped);
        match written.map_err(Failure::of_write) {
            Ok(file) => Ok(Some(file)),
            // There is no room for it until the segments are gone.
            Err(Failure::Refused(_)) => Ok(None),
            Err(broken) => Err(broken),
        }
    }

    /// Returns the sealed segments, the oldest first.
    pub(super) fn sealed(&self) -> Vec<Arc<Segment>> {
        let segments = self.segments.read();
        segments.iter().filter(|segment| segment.trailer().is_some()).cloned().collect()
    }

    /// Puts a segment, whose file has a name of its own, in the place of consecutive ones. Returns whether it
    /// did: they may have been removed.
    ///
    /// # Errors
    ///
    /// [`Failure`].
    pub(super) fn replace(
        &self,
        old: &[Arc<Segment>],
        new: &Arc<Segment>,
        name: &str,
    ) -> Result<bool, Failure> {
        let _changing = self.changing.lock();
        {
            let mut segments = self.segments.write();
            let Some(at) = segments.iter().position(|it| Arc::ptr_eq(it, &old[0])) else {
                return Ok(false);
            };
            let is_there = |(it, old): (&Arc<Segment>, &Arc<Segment>)| Arc::ptr_eq(it, old);
            if segments.len() < at + old.len() || !segments.range(at..).zip(old).all(is_there) {
                return Ok(false);
            }
            // While it is locked, so that a reader that finds another file looks again.
            self.storage.rename(name, &new.name()).map_err(Failure::Refused)?;
            segments[at] = Arc::clone(new);
            segments.drain(at + 1..at + old.len());
            self.replaced.fetch_add(1, Ordering::Release);
        }
        // Before the others are removed: otherwise a crash could leave neither them nor the new one.
        self.storage.sync_folder().map_err(Failure::Broken)?;
        for segment in &old[1..] {
            // An old segment that is not removed covers the same sequences as the new one.
            self.storage.remove(&segment.name()).map_err(Failure::Refused)?;
        }
        self.storage.sync_folder().map_err(Failure::Broken)?;
        Ok(true)
    }

    /// Looks something up in the segments, and once more if they were replaced meanwhile.
    pub(super) fn look<T>(&self, look: impl Fn() -> io::Result<T>) -> io::Result<T> {
        loop {
            let before = self.replaced.load(Ordering::Acquire);
            let found = look();
            // A replacement that is under way holds the lock.
            drop(self.segments.read());
            if self.replaced.load(Ordering::Acquire) == before {
                return found;
            }
        }
    }

    /// Records a finding, unless it is known.
    pub(super) fn report(&self, found: Damage) {
        let mut damage = self.damage.lock();
        if damage.len() < DAMAGE_MAX && !damage.contains(&found) {
            damage.push(found);
        }
    }

    pub(super) fn damage(&self) -> Vec<Damage> {
        self.damage.lock().clone()
    }
}

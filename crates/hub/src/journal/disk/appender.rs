//! Appending records to the newest segment.

mod copying;

use std::collections::VecDeque;
use std::sync::Arc;

use smallvec::SmallVec;

use super::catalog::Catalog;
use super::create::create;
use super::group::GroupHeader;
use super::index::MemoryIndex;
use super::portion::Portion;
use super::room::Room;
use super::segment::Segment;
use super::storage::{Failure, StorageFile};
use crate::cursor::Sequence;
use crate::draft::Draft;
use crate::journal::keys::Keys;
use crate::journal::{Entry, NotCommitted, Outcome, Submission};
use crate::time::Time;

/// Writes submissions to the newest segment in portions. The records of a portion are synced together.
pub(super) struct Appender {
    catalog: Arc<Catalog>,
    limits: Limits,
    segment: Arc<Segment>,
    file: Arc<dyn StorageFile>,
    /// The position of the next portion; everything before it is synced.
    end: u64,
    room: Room,
    /// The newest synced record.
    tail: Sequence,
    time: Time,
    keys: Keys,
    portion: Portion,
    /// Full segments that are not sealed yet.
    unsealed: VecDeque<Arc<Segment>>,
}

/// The sizes at which a portion and a segment are full.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) segment_bytes: u64,
    pub(super) portion_bytes: usize,
}

/// Maximum elements of an index in memory, records, topic postings and IDs together: 35 MB if every record
/// has an ID and a topic of its own, 5 MB if records share topics.
const INDEX_WEIGHT_MAX: usize = 1 << 19;
/// Maximum size of a request, so that lengths and positions fit a `u32`.
const REQUEST_BYTES_MAX: usize = 1 << 30;

/// The state in which recovery leaves the newest segment.
pub(super) struct Start {
    pub(super) segment: Arc<Segment>,
    pub(super) file: Arc<dyn StorageFile>,
    pub(super) time: Time,
    pub(super) keys: Keys,
    pub(super) unsealed: VecDeque<Arc<Segment>>,
}

impl Appender {
    pub(super) fn new(catalog: Arc<Catalog>, limits: Limits, start: Start) -> Self {
        let tail = catalog.tail();
        let Start { segment, file, time, keys, unsealed } = start;
        let end = segment.file_bytes();
        let portion = Portion::new(segment.salt, end, tail);
        let room = Room::new(end, limits.segment_bytes);
        Self { catalog, limits, segment, file, end, room, tail, time, keys, portion, unsealed }
    }

    /// Adds a request to the portion, but for submissions whose idempotency keys are known. The outcomes are valid
    /// once the portion is committed. A request that is too large for a segment is not added.
    pub(super) fn push(
        &mut self,
        submissions: SmallVec<[Submission; 1]>,
        now: Time,
    ) -> Vec<Outcome> {
        let count = submissions.len();
        if submissions.iter().map(record_bytes_max).sum::<usize>() > REQUEST_BYTES_MAX {
            return vec![Outcome::NotCommitted(NotCommitted::TooLarge); count];
        }
        // The wall clock may be set back, but commit times never decrease.
        self.time = self.time.max(now);
        if count == 1 {
            return submissions.into_iter().map(|submission| self.push_one(submission)).collect();
        }
        self.portion.begin_request();
        let outcomes = submissions.into_iter().map(|submission| self.push_one(submission));
        let outcomes = outcomes.collect();
        self.portion.end_request();
        outcomes
    }

    fn push_one(&mut self, submission: Submission) -> Outcome {
        if let Submission::Event(Draft { idempotency, is_repeat, .. }) = &submission {
            if let Some(sequence) = idempotency.as_ref().and_then(|key| self.keys.find(key)) {
                return Outcome::Duplicate(sequence);
            }
            if *is_repeat {
                return Outcome::NotCommitted(NotCommitted::Unseen);
            }
        }
        let sequence = self.portion.next();
        if let Some(key) = self.portion.push(submission, self.time) {
            self.keys.remember(&key, sequence, self.time);
        }
        Outcome::Committed(sequence)
    }

    /// Returns the memory that the idempotency keys take.
    pub(super) fn keys_bytes(&self) -> usize {
        self.keys.bytes()
    }

    pub(super) fn is_portion_empty(&self) -> bool {
        self.portion.is_empty()
    }

    /// Returns whether the portion must be committed before a request of a size.
    pub(super) fn is_portion_full(&self, bytes: u64) -> bool {
        self.portion.bytes() >= self.limits.portion_bytes
            || self.is_beyond(self.portion.end(), bytes)
    }

    /// Returns whether so many bytes do not fit into the segment after a position.
    fn is_beyond(&self, end: u64, bytes: u64) -> bool {
        end.saturating_add(bytes.max(1)) > self.limits.segment_bytes
    }

    /// Returns whether the next segment must begin before a request of a size.
    pub(super) fn is_segment_full(&self, bytes: u64) -> bool {
        let weight = self.segment.with_memory(MemoryIndex::weight).unwrap_or_default();
        self.tail >= self.segment.base
            && (self.is_beyond(self.end, bytes) || weight >= INDEX_WEIGHT_MAX)
    }

    /// Writes and syncs the portion, and returns its entries.
    ///
    /// # Errors
    ///
    /// [`Failure`]: nothing of the portion is committed. After [`Failure::Broken`], do not write again.
    pub(super) fn commit(&mut self) -> Result<Vec<Entry>, Failure> {
        if self.portion.is_empty() {
            return Ok(Vec::new());
        }
        if let Err(failure) = self.write() {
            for key in self.portion.keys().iter().rev() {
                self.keys.take_back(key);
            }
            self.restart_portion();
            return Err(failure);
        }
        self.end = self.portion.end();
        self.segment.add(self.end, |index| self.portion.add_to(index));
        let entries = self.portion.take_entries();
        self.tail = entries.last().map_or(self.tail, |last| last.sequence);
        self.catalog.set_tail(self.tail);
        self.restart_portion();
        Ok(entries)
    }

    fn write(&mut self) -> Result<(), Failure> {
        if let Err(error) = self.file.write_all_at(self.portion.close(), self.end) {
            let failure = Failure::of_write(error);
            if matches!(failure, Failure::Refused(_)) {
                // A partial write must not reappear after a crash: its events are not committed.
                self.file.truncate(self.end).map_err(Failure::Broken)?;
                self.room = Room::new(self.end, self.limits.segment_bytes);
            }
            return Err(failure);
        }
        // A copy is synced when its segment is full: what is lost before is copied again.
        if self.catalog.head.is_copy {
            return Ok(());
        }
        self.room.make(&*self.file, (self.end, self.portion.end()))?;
        self.file.sync().map_err(Failure::Broken)
    }

    fn restart_portion(&mut self) {
        self.portion.restart(self.segment.salt, self.end, self.tail);
    }

    /// Writes an empty group, for the end. It proves that the records before it were synced, so that later damage to
    /// them is not mistaken for an incomplete write.
    ///
    /// # Errors
    ///
    /// [`Failure`].
    pub(super) fn mark(&mut self) -> Result<(), Failure> {
        let first = self.tail.next();
        let group = GroupHeader::empty(first, self.tail);
        let bytes = group.encode(self.segment.salt, self.end);
        self.file.write_all_at(&bytes, self.end).map_err(Failure::Broken)?;
        self.end += bytes.len() as u64;
        self.room.sync_without(&*self.file, self.end)?;
        self.segment.add(self.end, |_| {});
        self.restart_portion();
        Ok(())
    }

    /// Begins the next segment and adds the current one to the unsealed segments.
    ///
    /// # Errors
    ///
    /// [`Failure`]. After [`Failure::Refused`] the current segment remains.
    pub(super) fn roll(&mut self) -> Result<(), Failure> {
        let Catalog { storage, head, .. } = &*self.catalog;
        let (segment, file) = create(&**storage, head, self.tail.next(), self.time)?;
        self.end = segment.file_bytes();
        self.room = Room::new(self.end, self.limits.segment_bytes);
        self.file = file;
        let full = std::mem::replace(&mut self.segment, Arc::clone(&segment));
        self.unsealed.push_back(full);
        self.catalog.push(segment);
        self.restart_portion();
        Ok(())
    }

    /// Returns the oldest unsealed segment.
    pub(super) fn unsealed(&self) -> Option<&Arc<Segment>> {
        self.unsealed.front()
    }

    /// Records that the oldest unsealed segment is now sealed.
    pub(super) fn sealed(&mut self) {
        self.unsealed.pop_front();
    }
}

/// Estimates the size of a request of several submissions; 0 for others, which may exceed a segment by themselves.
pub(super) fn request_bytes(submissions: &[Submission]) -> u64 {
    /// The header of a record, and numbers.
    const RECORD_BYTES: usize = 32;
    match submissions {
        [] | [_] => 0,
        several => several.iter().map(|one| (text_bytes(one) + RECORD_BYTES) as u64).sum(),
    }
}

/// Returns the maximum size of a submission's record.
fn record_bytes_max(submission: &Submission) -> usize {
    /// An ID, a type, a key, hops, a mark and numbers.
    const OTHER_BYTES_MAX: usize = 5 * 1024;
    let has_less = matches!(submission, Submission::Event(draft) if draft.via.is_none());
    text_bytes(submission) + if has_less { OTHER_BYTES_MAX / 5 } else { OTHER_BYTES_MAX }
}

/// Returns the size of a submission's topics and data.
fn text_bytes(submission: &Submission) -> usize {
    match submission {
        Submission::Event(draft) => {
            let topics = draft.topics.as_slice().iter().map(|topic| topic.as_str().len() + 2);
            topics.sum::<usize>() + draft.event.data().len()
        }
        Submission::Close(topic) | Submission::Stream(topic, _) => topic.as_str().len() + 2,
    }
}

//! A portion: records that are written and synced together.

use super::bytes::Salt;
use super::group::{BODY_BYTES, GroupHeader};
use super::index::MemoryIndex;
use super::record::{encode, encode_copied};
use crate::cursor::Sequence;
use crate::draft::IdempotencyKey;
use crate::journal::copied::CopiedTo;
use crate::journal::{Content, Entry, Lost, Submission};
use crate::time::Time;

/// Encoded records that will be written at a position of a segment's file.
pub(super) struct Portion {
    salt: Salt,
    at: u64,
    /// The newest record before the portion.
    synced: Sequence,
    bytes: Vec<u8>,
    group: Option<OpenGroup>,
    /// Whether the records that are added belong to one request.
    is_request: bool,
    entries: Vec<Entry>,
    /// Where the entries are, one for each.
    places: Vec<Place>,
    /// The ends of steps, in a copy.
    ends: Vec<End>,
    /// The idempotency keys of the records, in order.
    keys: Vec<IdempotencyKey>,
}

/// The group to which records are added.
struct OpenGroup {
    /// The position in the portion.
    at: usize,
    first: Sequence,
    count: u32,
}

/// Where a record is in the file.
struct Place {
    at: u64,
    end: u64,
    is_keyed: bool,
}

/// The end of a step of a copy, and where it is in the file.
struct End {
    /// The number of the portion's entries before it.
    after_entries: usize,
    copied: CopiedTo,
    lost: Vec<Lost>,
    at: u64,
    end: u64,
}

impl End {
    fn add_to(&self, index: &mut MemoryIndex) {
        index.push_end(&self.copied, &self.lost, (self.at, self.end));
    }
}

impl Portion {
    pub(super) fn new(salt: Salt, at: u64, synced: Sequence) -> Self {
        let (bytes, entries, places, keys) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (group, is_request, ends) = (None, false, Vec::new());
        Self { salt, at, synced, bytes, group, is_request, entries, places, ends, keys }
    }

    /// Begins another portion, in the same memory.
    pub(super) fn restart(&mut self, salt: Salt, at: u64, synced: Sequence) {
        /// Capacity that is kept, enough for most portions.
        const BYTES_KEPT: usize = 1024 * 1024;
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        bytes.shrink_to(BYTES_KEPT);
        // Portions that follow each other are about as large.
        let entries = Vec::with_capacity(self.places.len());
        let mut places = std::mem::take(&mut self.places);
        places.clear();
        *self = Self { bytes, entries, places, ..Self::new(salt, at, synced) };
    }

    /// Returns the sequence of the next record.
    pub(super) fn next(&self) -> Sequence {
        self.newest().next()
    }

    /// Returns the sequence of the newest record, which may be before the portion.
    pub(super) fn newest(&self) -> Sequence {
        let newest = self.entries.last().map_or(self.synced, |last| last.sequence);
        self.ends.last().map_or(newest, |last| newest.max(last.copied.through))
    }

    /// Begins a request of several records: a crash leaves all of them or none.
    pub(super) fn begin_request(&mut self) {
        self.close_group();
        self.is_request = true;
    }

    pub(super) fn end_request(&mut self) {
        self.close_group();
        self.is_request = false;
    }

    /// Adds a record and returns its idempotency key.
    pub(super) fn push(&mut self, submission: Submission, time: Time) -> Option<IdempotencyKey> {
        self.push_at(self.next(), submission, time)
    }

    /// Adds a record with a sequence after the newest one, and returns its idempotency key.
    pub(super) fn push_at(
        &mut self,
        sequence: Sequence,
        submission: Submission,
        time: Time,
    ) -> Option<IdempotencyKey> {
        let at = self.begin_record(sequence);
        encode(&mut self.bytes, self.salt, sequence, time, &submission);
        let (entry, key) = into_entry(submission, sequence, time);
        self.places.push(Place { at, end: self.end(), is_keyed: key.is_some() });
        self.entries.push(entry);
        self.keys.extend(key.clone());
        key
    }

    /// Adds the end of a step of a copy.
    pub(super) fn push_end(&mut self, end: &CopiedTo, lost: Vec<Lost>, time: Time) {
        let copied = CopiedTo { time, ..*end };
        let at = self.begin_record(copied.through);
        encode_copied(&mut self.bytes, self.salt, &copied, &lost);
        let after_entries = self.entries.len();
        self.ends.push(End { after_entries, copied, lost, at, end: self.end() });
    }

    /// Opens a group for the next record if there is none to which it belongs, and returns the record's position.
    fn begin_record(&mut self, sequence: Sequence) -> u64 {
        let is_next = sequence == self.next();
        let has_room =
            |group: &OpenGroup| self.is_request || self.bytes.len() - group.at < BODY_BYTES;
        let is_open = |group: &OpenGroup| is_next && has_room(group);
        if !self.group.as_ref().is_some_and(is_open) {
            self.close_group();
            self.group = Some(OpenGroup { at: self.bytes.len(), first: sequence, count: 0 });
            self.bytes.extend_from_slice(&[0; GroupHeader::BYTES]);
        }
        if let Some(group) = &mut self.group {
            group.count += 1;
        }
        self.end()
    }

    fn close_group(&mut self) {
        let Some(OpenGroup { at, first, count }) = self.group.take() else { return };
        let body = at + GroupHeader::BYTES;
        let body_bytes = (self.bytes.len() - body) as u32;
        let (synced, is_request) = (self.synced, self.is_request);
        let header = GroupHeader { body_bytes, count, first, synced, is_request };
        let header = header.encode(self.salt, self.at + at as u64);
        self.bytes[at..body].copy_from_slice(&header);
    }

    /// Completes the portion and returns its bytes.
    pub(super) fn close(&mut self) -> &[u8] {
        self.close_group();
        &self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.ends.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the end of the portion in the file.
    pub(super) fn end(&self) -> u64 {
        self.at + self.bytes.len() as u64
    }

    pub(super) fn keys(&self) -> &[IdempotencyKey] {
        &self.keys
    }

    /// Adds the records to the index of the segment.
    pub(super) fn add_to(&self, index: &mut MemoryIndex) {
        let mut ends = self.ends.iter().peekable();
        for (number, (entry, place)) in self.entries.iter().zip(&self.places).enumerate() {
            while let Some(end) = ends.next_if(|end| end.after_entries <= number) {
                end.add_to(index);
            }
            index.push(entry, place.at, place.end, place.is_keyed);
        }
        ends.for_each(|end| end.add_to(index));
    }

    /// Takes the entries.
    pub(super) fn take_entries(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.entries)
    }

    /// Takes what cannot be known of a step of a copy.
    pub(super) fn take_lost(&mut self) -> Vec<Lost> {
        self.ends.iter_mut().flat_map(|end| std::mem::take(&mut end.lost)).collect()
    }
}

fn into_entry(
    submission: Submission,
    sequence: Sequence,
    time: Time,
) -> (Entry, Option<IdempotencyKey>) {
    match submission {
        Submission::Event(draft) => {
            let content = Content::Event(draft.event);
            let mut entry = Entry::new(sequence, time, draft.topics, content);
            (entry.private, entry.via) = (draft.private, draft.via);
            (entry, draft.idempotency)
        }
        Submission::Close(topic) => {
            (Entry::new(sequence, time, topic.into(), Content::Close), None)
        }
        Submission::Stream(topic, mark) => {
            (Entry::new(sequence, time, topic.into(), Content::Stream(mark)), None)
        }
    }
}

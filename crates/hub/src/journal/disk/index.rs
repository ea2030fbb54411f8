//! The index of an unsealed segment, in memory.

use hashbrown::HashTable;
use smallvec::SmallVec;

use super::bytes::Identity;
use super::damage::Lost;
use super::trailer::Counts;
use crate::cursor::Sequence;
use crate::journal::copied::CopiedTo;
use crate::journal::{Content, Entry};
use crate::time::Time;
use crate::topic::Topic;

/// The name under which the records of all topics that are no events are listed: the marks of streams and the ends of
/// topics' streams. Earlier programs listed the marks alone. Events of a topic of this name may come with them.
pub(super) const NO_EVENTS: Topic = Topic::from_static("tidings:streams");

/// The positions of a segment's records, and the records by topic, ID and idempotency key.
///
/// Records are numbered from zero within their segment.
pub(super) struct MemoryIndex {
    identity: Identity,
    base: Sequence,
    records: Vec<Placed>,
    /// The end of the last record.
    end: u32,
    /// The sequence after the last record or loss.
    next: Sequence,
    topics: Vec<TopicRecords>,
    topic_numbers: HashTable<u32>,
    ids: HashTable<(u64, u32)>,
    keyed: Vec<u32>,
    lost: Vec<Lost>,
    postings: usize,
    name_bytes: usize,
    times: Option<(Time, Time)>,
    /// Whether ends of topics' streams are listed among the records that are no events.
    lists_ends: bool,
}

/// A record's sequence, relative to the segment's first one, and its position in the file.
#[derive(Clone, Copy)]
pub(super) struct Placed {
    pub(super) delta: u32,
    pub(super) at: u32,
}

struct TopicRecords {
    hash: u64,
    name: Topic,
    records: SmallVec<[u32; 4]>,
}

impl MemoryIndex {
    pub(super) fn new(identity: Identity, base: Sequence, end: u64) -> Self {
        Self {
            identity,
            base,
            records: Vec::new(),
            end: end as u32,
            next: base,
            topics: Vec::new(),
            topic_numbers: HashTable::new(),
            ids: HashTable::new(),
            keyed: Vec::new(),
            lost: Vec::new(),
            postings: 0,
            name_bytes: 0,
            times: None,
            lists_ends: true,
        }
    }

    /// The index that an earlier program made, which did not list the ends of topics' streams.
    pub(super) fn of_earlier_program(mut self) -> Self {
        self.lists_ends = false;
        self
    }

    /// Adds the next record, at `at` to `end` in the file.
    pub(super) fn push(&mut self, entry: &Entry, at: u64, end: u64, is_keyed: bool) {
        let number = self.records.len() as u32;
        self.push_unknown(entry.sequence, at, end);
        for topic in entry.topics.as_slice() {
            self.push_topic(topic, number);
        }
        let is_listed = match &entry.content {
            Content::Event(_) => false,
            Content::Stream(_) => true,
            Content::Close => self.lists_ends,
        };
        if is_listed {
            self.push_topic(&NO_EVENTS, number);
        }
        if let Content::Event(event) = &entry.content
            && let Some(id) = event.id()
        {
            let hash = self.identity.hash(id.as_str());
            self.ids.insert_unique(hash, (hash, number), |&(hash, _)| hash);
        }
        if is_keyed {
            self.keyed.push(number);
        }
        let first = self.times.map_or(entry.time, |(first, _)| first);
        self.times = Some((first, entry.time));
    }

    /// Adds the next record, of an unknown kind.
    pub(super) fn push_unknown(&mut self, sequence: Sequence, at: u64, end: u64) {
        let delta = (sequence.get() - self.base.get()) as u32;
        self.records.push(Placed { delta, at: at as u32 });
        self.end = end as u32;
        self.next = sequence.next();
    }

    /// Adds the end of a step of a copy, and what cannot be known up to there.
    pub(super) fn push_end(&mut self, copied: &CopiedTo, lost: &[Lost], (at, end): (u64, u64)) {
        lost.iter().for_each(|lost| self.push_lost(*lost));
        self.push_unknown(copied.through, at, end);
        let first = self.times.map_or(copied.time, |(first, _)| first);
        self.times = Some((first, copied.time));
    }

    fn push_topic(&mut self, topic: &Topic, number: u32) {
        let hash = self.identity.hash(topic.as_str());
        self.postings += 1;
        let topics = &mut self.topics;
        let found = self.topic_numbers.find(hash, |&at| topics[at as usize].name == *topic);
        if let Some(&at) = found {
            topics[at as usize].records.push(number);
            return;
        }
        self.name_bytes += topic.as_str().len();
        let at = topics.len() as u32;
        let records = SmallVec::from_slice(&[number]);
        topics.push(TopicRecords { hash, name: topic.clone(), records });
        self.topic_numbers.insert_unique(hash, at, |&at| topics[at as usize].hash);
    }

    /// Adds a loss.
    pub(super) fn push_lost(&mut self, lost: Lost) {
        self.lost.push(lost);
        self.next = self.next.max(lost.last.next());
    }

    /// Passes over sequences without records, up to the next record's.
    pub(super) fn pass(&mut self, next: Sequence) {
        self.next = self.next.max(next);
    }

    /// Sets the commit times of the first and the last record, where those have been left out.
    pub(super) fn set_times(&mut self, times: (Time, Time)) {
        self.times = Some(times);
    }

    /// Returns the number of records.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Passes the name of each topic and the numbers of its records to `visit`.
    pub(super) fn each_topic(&self, visit: &mut dyn FnMut(&str, &[u32])) {
        self.topics.iter().for_each(|topic| visit(topic.name.as_str(), &topic.records));
    }

    /// Returns the number of elements, which determines the memory the index takes.
    pub(super) fn weight(&self) -> usize {
        self.records.len() + self.postings + self.ids.len()
    }

    /// Returns the newest sequence, or the place before the segment.
    pub(super) fn last(&self) -> Sequence {
        self.next.before()
    }

    pub(super) fn times(&self) -> Option<(Time, Time)> {
        self.times
    }

    pub(super) fn lost(&self) -> &[Lost] {
        &self.lost
    }

    /// Returns the numbers of the records with an idempotency key.
    pub(super) fn keyed(&self) -> &[u32] {
        &self.keyed
    }

    /// Finds the first record after a sequence.
    pub(super) fn position_after(&self, after: Sequence) -> u32 {
        let Some(delta) = (after.get() + 1).checked_sub(self.base.get()) else { return 0 };
        self.records.partition_point(|placed| u64::from(placed.delta) < delta) as u32
    }

    /// Returns the positions of up to `max` records from `from`, and an upper bound of the last one's end.
    pub(super) fn records(&self, from: u32, max: usize) -> (&[Placed], u32) {
        let from = (from as usize).min(self.records.len());
        let until = from.saturating_add(max).min(self.records.len());
        (&self.records[from..until], self.records.get(until).map_or(self.end, |placed| placed.at))
    }

    /// Appends the numbers of up to `max` records of a topic from `from`.
    pub(super) fn records_of(&self, topic: &Topic, from: u32, max: usize, out: &mut Vec<u32>) {
        let hash = self.identity.hash(topic.as_str());
        let is_it = |&at: &u32| self.topics[at as usize].name == *topic;
        let Some(&at) = self.topic_numbers.find(hash, is_it) else { return };
        let records = &self.topics[at as usize].records;
        let start = records.partition_point(|&number| number < from);
        out.extend(records[start..].iter().take(max));
    }

    /// Returns the numbers of the records whose ID has the same hash, in order.
    pub(super) fn records_with_id(&self, id: &str) -> Vec<u32> {
        let hash = self.identity.hash(id);
        let found = self.ids.iter_hash(hash).filter(|(other, _)| *other == hash);
        let mut records: Vec<u32> = found.map(|(_, record)| *record).collect();
        records.sort_unstable();
        records
    }

    /// Encodes the sections of the footer, and counts their elements. Equal records give equal bytes.
    pub(super) fn to_sections(&self, keys: &[u8]) -> (Vec<u8>, Counts) {
        let counts = Counts {
            records: self.records.len() as u32,
            topics: self.topics.len() as u32,
            name_bytes: (self.name_bytes + 2 * self.topics.len()) as u32,
            postings: self.postings as u32,
            ids: self.ids.len() as u32,
            key_bytes: keys.len() as u32,
            lost: self.lost.len() as u32,
        };
        let mut out = Vec::with_capacity(counts.data_bytes() as usize);
        for placed in &self.records {
            out.extend_from_slice(&placed.delta.to_le_bytes());
            out.extend_from_slice(&placed.at.to_le_bytes());
        }
        let mut topics: Vec<&TopicRecords> = self.topics.iter().collect();
        topics.sort_unstable_by(|a, b| a.hash.cmp(&b.hash).then_with(|| a.name.cmp(&b.name)));
        let (mut name_at, mut posting) = (0_u32, 0_u32);
        for topic in &topics {
            out.extend_from_slice(&topic.hash.to_le_bytes());
            out.extend_from_slice(&name_at.to_le_bytes());
            out.extend_from_slice(&posting.to_le_bytes());
            name_at += 2 + topic.name.as_str().len() as u32;
            posting += topic.records.len() as u32;
        }
        for topic in &topics {
            let name = topic.name.as_str().as_bytes();
            out.extend_from_slice(&(name.len() as u16).to_le_bytes());
            out.extend_from_slice(name);
        }
        for record in topics.iter().flat_map(|topic| &topic.records) {
            out.extend_from_slice(&record.to_le_bytes());
        }
        let mut ids: Vec<(u64, u32)> = self.ids.iter().copied().collect();
        ids.sort_unstable();
        for (hash, record) in ids {
            out.extend_from_slice(&hash.to_le_bytes());
            out.extend_from_slice(&record.to_le_bytes());
        }
        out.extend_from_slice(keys);
        for lost in &self.lost {
            out.extend_from_slice(&lost.first.get().to_le_bytes());
            out.extend_from_slice(&lost.last.get().to_le_bytes());
        }
        (out, counts)
    }
}

//! Blocks: pieces of history, each event encoded once.
//!
//! A block grows as long as history alone has it; what is shared never changes.
//!
//! An event lies in its block as one chunk of HTTP/1.1's chunked coding (RFC 9112, section 7.1):
//!
//! ```text
//! 8f CR LF | id: urn:uuid:… LF | event: … LF | data: … LF | LF | CR LF
//! ^ chunk                                                       ^
//!            ^ frame                                           ^
//! ```
//!
//! so that any selection of chunks, put together, is a valid chunked body, and of frames a valid event
//! stream.

mod builder;

use std::fmt;
use std::ops::Range;

use smallvec::SmallVec;
use tidings_proto::EventId;

pub(crate) use self::builder::BlockBuilder;
use crate::cursor::{Cursor, Epoch, Sequence};
use crate::history::TopicKey;
use crate::time::Time;

/// A piece of history. A shared block never changes.
pub struct Block {
    bytes: Vec<u8>,
    /// One lies in place: where readers hold on to blocks, most are of one event at first.
    slots: SmallVec<[Slot; 1]>,
    /// The topics of entries that have more than one.
    more_topics: Vec<Box<[TopicKey]>>,
    /// How many those are.
    more_topics_len: u32,
    first: Sequence,
    base_time: Time,
}

/// An entry's place in its block. Small, because every event held pays for one.
#[derive(Clone, Copy)]
struct Slot {
    start: u32,
    sequence_offset: u32,
    time_offset: u32,
    topics: SlotTopics,
    kind: Kind,
    private: bool,
    given_id: bool,
}

#[derive(Clone, Copy)]
enum SlotTopics {
    One(TopicKey),
    More(u32),
}

/// The kind of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Event,
    Close,
    /// A mark of a stream that readers do not see.
    Mark,
    /// The end of a stream, which its readers are sent.
    End,
    /// The end of a stream of which its readers are sent nothing.
    SilentEnd,
}

/// Minimum growth of a block: a few small events.
const GROWTH_BYTES_MIN: usize = 1024;
const GROWTH_ENTRIES_MIN: usize = 7;

const CRLF: &[u8] = b"\r\n";
/// How the line of an event ID begins.
const ID_LINE: &[u8] = b"id: ";

impl Block {
    /// Maximum size of a block, unless a single event is larger. Eviction drops a block at a time.
    pub(crate) const BYTES_MAX: usize = 64 * 1024;

    /// Returns the number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns whether the block has no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The sequence of the first entry.
    #[must_use]
    pub fn first(&self) -> Sequence {
        self.first
    }

    /// The sequence of the last entry.
    #[must_use]
    pub fn last(&self) -> Sequence {
        match self.slots.len() {
            0 => self.first,
            len => self.sequence(len - 1),
        }
    }

    /// The sequence of the entry at `index`.
    ///
    /// # Panics
    ///
    /// If there is no such entry, like every method here that takes an index.
    #[must_use]
    pub fn sequence(&self, index: usize) -> Sequence {
        let number = self.first.get() + u64::from(self.slots[index].sequence_offset);
        Sequence::new(number).expect("a block holds sequences that a journal made")
    }

    /// When the entry was committed.
    #[must_use]
    pub fn time(&self, index: usize) -> Time {
        let offset = u64::from(self.slots[index].time_offset);
        Time::from_unix_millis(self.base_time.unix_millis() + offset)
    }

    /// The entry as one chunk of HTTP/1.1's chunked coding; empty for an entry without bytes.
    #[must_use]
    pub fn chunk(&self, index: usize) -> &[u8] {
        &self.bytes[self.range(index)]
    }

    /// The entry as event stream text; empty for an entry without bytes.
    #[must_use]
    pub fn frame(&self, index: usize) -> &[u8] {
        let chunk = self.chunk(index);
        match chunk.iter().position(|&byte| byte == b'\n') {
            Some(head_end) => &chunk[head_end + 1..chunk.len() - 2],
            None => chunk,
        }
    }

    /// The size of the text in the block.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes that the block costs, including unused room.
    pub(crate) fn cost(&self) -> usize {
        // The block itself, its reference counts, the heads of three allocations, and its place in the
        // history's list, which may be half full.
        const BLOCK_BYTES: usize = size_of::<Block>() + 16 + 3 * 16 + 2 * 16;
        let slots = if self.slots.spilled() { self.slots.capacity() } else { 0 };
        BLOCK_BYTES
            + self.bytes.capacity()
            + slots * size_of::<Slot>()
            + self.more_topics.capacity() * size_of::<Box<[TopicKey]>>()
            + self.more_topics_len as usize * size_of::<TopicKey>()
    }

    /// Returns whether a following run fits, so that the block has at most `bytes_max` bytes.
    pub(crate) fn has_room(&self, run: &BlockBuilder, bytes_max: usize) -> bool {
        let Some(last) = run.slots.last() else { return true };
        let offset = |base: u64, run_base: u64, offset: u32| {
            u32::try_from(run_base - base + u64::from(offset)).is_ok()
        };
        self.bytes.len() + run.bytes.len() <= bytes_max
            && offset(self.first.get(), run.first.get(), last.sequence_offset)
            && offset(self.base_time.unix_millis(), run.base_time.unix_millis(), last.time_offset)
    }

    /// Adds a run for which there [is room](Block::has_room).
    pub(crate) fn extend(&mut self, run: &mut BlockBuilder, bytes_max: usize) {
        let bytes = self.bytes.len();
        // A small block is joined with others later. A large one that is being read at that time keeps
        // its unused room, which is a third at most.
        let more = |len: usize| if bytes < bytes_max / 4 { len } else { len / 2 };
        if self.bytes.capacity() - bytes < run.bytes.len() {
            let more = more(bytes).max(GROWTH_BYTES_MIN).min(bytes_max - bytes);
            self.bytes.reserve_exact(more.max(run.bytes.len()));
        }
        if self.slots.capacity() - self.slots.len() < run.slots.len() {
            let more = more(self.slots.len()).max(GROWTH_ENTRIES_MIN);
            self.slots.reserve_exact(more.max(run.slots.len()));
        }
        let sequences = (run.first.get() - self.first.get()) as u32;
        let times = (run.base_time.unix_millis() - self.base_time.unix_millis()) as u32;
        let more_topics = self.more_topics.len() as u32;
        self.bytes.extend_from_slice(&run.bytes);
        self.more_topics.append(&mut run.more_topics);
        self.more_topics_len += std::mem::take(&mut run.more_topics_len);
        for slot in &run.slots {
            self.slots.push(Slot {
                start: slot.start + bytes as u32,
                sequence_offset: slot.sequence_offset + sequences,
                time_offset: slot.time_offset + times,
                topics: match slot.topics {
                    SlotTopics::One(topic) => SlotTopics::One(topic),
                    SlotTopics::More(at) => SlotTopics::More(at + more_topics),
                },
                ..*slot
            });
        }
    }

    /// Frees unused room.
    pub(crate) fn trim(&mut self) {
        self.bytes.shrink_to_fit();
        self.slots.shrink_to_fit();
        self.more_topics.shrink_to_fit();
    }

    pub(crate) fn kind(&self, index: usize) -> Kind {
        self.slots[index].kind
    }

    pub(crate) fn is_private(&self, index: usize) -> bool {
        self.slots[index].private
    }

    pub(crate) fn topics(&self, index: usize) -> &[TopicKey] {
        match &self.slots[index].topics {
            SlotTopics::One(topic) => std::slice::from_ref(topic),
            SlotTopics::More(at) => &self.more_topics[*at as usize],
        }
    }

    /// The publisher-given ID of the entry, read back from its frame.
    pub(crate) fn given_id(&self, index: usize) -> Option<&str> {
        if !self.slots[index].given_id {
            return None;
        }
        let mut lines = self.frame(index).split(|&byte| byte == b'\n');
        // The comment that shows the hops of a relayed event comes before its fields.
        let line = lines.find(|line| !line.starts_with(b":"))?;
        std::str::from_utf8(line.strip_prefix(ID_LINE)?).ok()
    }

    /// The event ID that the entry's readers see.
    pub(crate) fn id(&self, index: usize, epoch: Epoch) -> EventId {
        match self.given_id(index) {
            Some(id) => EventId::new(id).expect("it was an event ID when it was encoded"),
            None => Cursor { epoch, sequence: self.sequence(index) }.to_event_id(),
        }
    }

    /// The index of the first entry at or above `sequence`, or the number of entries.
    pub(crate) fn index_at(&self, sequence: Sequence) -> usize {
        let Some(offset) = sequence.get().checked_sub(self.first.get()) else { return 0 };
        // Sequences are dense in most blocks, so that the offset is the index.
        let guess = usize::try_from(offset).unwrap_or(usize::MAX);
        if self.slots.get(guess).is_some_and(|slot| u64::from(slot.sequence_offset) == offset) {
            return guess;
        }
        self.slots.partition_point(|slot| u64::from(slot.sequence_offset) < offset)
    }

    fn range(&self, index: usize) -> Range<usize> {
        let end = match self.slots.get(index + 1) {
            Some(next) => next.start as usize,
            None => self.bytes.len(),
        };
        self.slots[index].start as usize..end
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block").field("first", &self.first).field("len", &self.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use tidings_proto::{Event, encode};

    use super::*;
    use crate::draft::Topics;
    use crate::journal::{Content, Entry};
    use crate::topic::Topic;

    fn entry(sequence: u64, millis: u64, topics: &[&str], data: String) -> Entry {
        Entry {
            sequence: Sequence::new(sequence).unwrap(),
            time: Time::from_unix_millis(millis),
            topics: Topics::new(topics.iter().map(|name| Topic::new(name).unwrap())).unwrap(),
            private: false,
            via: None,
            content: Content::Event(Event::new(data)),
        }
    }

    #[test]
    fn a_chunk_says_its_length_whatever_its_event_is_of() {
        let mut run = BlockBuilder::default();
        let lines = |n: usize| "x\n".repeat(n);
        let around = [16, 256, 4096, 65_536].into_iter().flat_map(|n: usize| {
            // The lengths at which the number gets a digit more, and line ends, which make more of data.
            let lens = n.saturating_sub(70)..=n.saturating_sub(50).max(16);
            lens.map(|len| "x".repeat(len)).chain([lines(n / 8), lines(n)])
        });
        for (number, data) in around.enumerate() {
            let typed = tidings_proto::EventType::new("t".repeat(number % 300)).unwrap();
            let id = EventId::new(number.to_string()).unwrap();
            for event in [
                Event::new(data.as_str()),
                Event::new(data.as_str()).with_type(typed),
                Event::new(data.as_str()).with_id(id),
            ] {
                run.clear();
                let mut entry = entry(7, 0, &["a"], String::new());
                entry.content = Content::Event(event.clone());
                let epoch = Epoch::new(5).unwrap();
                run.push(&entry, epoch);
                let block = run.take();
                let cursor = Cursor { epoch, sequence: entry.sequence }.to_event_id();
                let mut frame = Vec::new();
                encode(&event.clone().with_id(event.id().unwrap_or(&cursor).clone()), &mut frame);
                assert!(block.frame(0) == frame, "the frame of {number}");
                let mut chunk = format!("{:x}\r\n", frame.len()).into_bytes();
                chunk.extend_from_slice(&frame);
                chunk.extend_from_slice(b"\r\n");
                assert!(block.chunk(0) == chunk, "the chunk of {number}");
            }
        }
    }

    #[test]
    fn a_block_that_was_extended_has_what_both_had() {
        let epoch = Epoch::new(5).unwrap();
        let entries = [
            entry(3, 10, &["a"], "one".to_owned()),
            entry(4, 11, &["a", "b"], "two".to_owned()),
            entry(9, 500, &["b"], "three".to_owned()),
            entry(12, 501, &["c", "b", "a"], "four".to_owned()),
        ];
        let keys = |entry: &Entry| vec![TopicKey::default(); entry.topics.as_slice().len()];
        let gather = |entries: &[Entry]| {
            let mut run = BlockBuilder::default();
            for (index, entry) in entries.iter().enumerate() {
                run.push(entry, epoch);
                run.set_topics(index, &keys(entry));
            }
            run
        };
        let whole = gather(&entries).build();
        for cut in 1..entries.len() {
            let mut block = gather(&entries[..cut]).take();
            let mut run = gather(&entries[cut..]);
            assert!(block.has_room(&run, Block::BYTES_MAX));
            assert!(!block.has_room(&run, whole.bytes() - 1));
            block.extend(&mut run, Block::BYTES_MAX);
            assert_eq!(block.len(), whole.len());
            for (index, entry) in entries.iter().enumerate() {
                assert_eq!(block.sequence(index), entry.sequence);
                assert_eq!(block.time(index), entry.time);
                assert_eq!(block.topics(index), keys(entry));
                assert_eq!(block.chunk(index), whole.chunk(index));
                assert_eq!(block.index_at(entry.sequence), index);
            }
        }
        let late = gather(&[entry(13, 500 + (1 << 32), &["a"], String::new())]);
        assert!(!whole.has_room(&late, Block::BYTES_MAX), "times are counted in 32 bits");
    }
}

//! Blocks: immutable runs of history, each event encoded once.
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

use std::fmt;
use std::ops::Range;

use tidings_proto::{Event, EventId, EventIdRef, encode_with_id, encoded_len_with_id};

use crate::cursor::{Cursor, Epoch, Sequence};
use crate::history::TopicKey;
use crate::journal::{Content, Entry};
use crate::time::Time;

/// An immutable piece of history, shared by everybody who reads it.
pub struct Block {
    bytes: Box<[u8]>,
    slots: Box<[Slot]>,
    /// The topics of entries that have more than one.
    more_topics: Box<[Box<[TopicKey]>]>,
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

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Event,
    End,
}

/// What holding one entry costs beside its bytes and its places in lists.
pub(crate) const SLOT_BYTES: usize = size_of::<Slot>();
/// What a block costs beside its entries: itself, its counts, three allocations' heads.
pub(crate) const BLOCK_BYTES: usize = size_of::<Block>() + 16 + 3 * 16;

const CRLF: &[u8] = b"\r\n";

impl Block {
    /// Bytes of a block at most, one larger event excepted: what eviction lets go of at once.
    pub(crate) const BYTES_MAX: usize = 64 * 1024;

    /// How many entries the block has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether the block has no entries.
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

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
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
        let line = self.frame(index).split(|&byte| byte == b'\n').next()?;
        std::str::from_utf8(line.strip_prefix(b"id: ")?).ok()
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

/// Gathers entries into a block.
#[derive(Default)]
pub(crate) struct BlockBuilder {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
    more_topics: Vec<Box<[TopicKey]>>,
    first: Sequence,
    base_time: Time,
}

impl BlockBuilder {
    /// A builder with room for so many entries, and so many bytes of them if that is known.
    pub(crate) fn with_room(entries: usize, bytes: usize) -> Self {
        let (bytes, slots) = (Vec::with_capacity(bytes), Vec::with_capacity(entries));
        Self { bytes, slots, ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Whether an entry of this sequence and time still fits beside the ones there are.
    pub(crate) fn fits(&self, sequence: Sequence, time: Time) -> bool {
        self.slots.is_empty()
            || (self.bytes.len() < Block::BYTES_MAX
                && u32::try_from(sequence.get() - self.first.get()).is_ok()
                && u32::try_from(time.unix_millis() - self.base_time.unix_millis()).is_ok())
    }

    /// Encodes a journal's entry. Its topics are filled in later, by [`BlockBuilder::set_topics`].
    pub(crate) fn push(&mut self, entry: &Entry, epoch: Epoch) {
        let start = self.begin(entry.sequence, entry.time);
        let (kind, given_id) = match &entry.content {
            Content::Event(event) => {
                self.encode(event, Cursor { epoch, sequence: entry.sequence });
                (Kind::Event, event.id().is_some())
            }
            Content::End => (Kind::End, false),
        };
        self.slots.push(Slot {
            start,
            sequence_offset: self.sequence_offset(entry.sequence),
            time_offset: self.time_offset(entry.time),
            topics: SlotTopics::One(TopicKey::default()),
            kind,
            private: entry.private,
            given_id,
        });
    }

    pub(crate) fn set_topics(&mut self, index: usize, topics: &[TopicKey]) {
        self.slots[index].topics = match topics {
            [topic] => SlotTopics::One(*topic),
            _ => {
                self.more_topics.push(topics.into());
                SlotTopics::More((self.more_topics.len() - 1) as u32)
            }
        };
    }

    /// Copies an entry of another block.
    pub(crate) fn copy(&mut self, block: &Block, index: usize) {
        let (sequence, time) = (block.sequence(index), block.time(index));
        let start = self.begin(sequence, time);
        self.bytes.extend_from_slice(block.chunk(index));
        let slot = Slot {
            start,
            sequence_offset: self.sequence_offset(sequence),
            time_offset: self.time_offset(time),
            ..block.slots[index]
        };
        self.slots.push(slot);
        self.set_topics(self.slots.len() - 1, block.topics(index));
    }

    pub(crate) fn build(self) -> Block {
        Block {
            bytes: self.bytes.into_boxed_slice(),
            slots: self.slots.into_boxed_slice(),
            more_topics: self.more_topics.into_boxed_slice(),
            first: self.first,
            base_time: self.base_time,
        }
    }

    fn begin(&mut self, sequence: Sequence, time: Time) -> u32 {
        if self.slots.is_empty() {
            (self.first, self.base_time) = (sequence, time);
        }
        u32::try_from(self.bytes.len())
            .expect("a block ends at 64 KiB, and an event is far below 4 GiB")
    }

    fn sequence_offset(&self, sequence: Sequence) -> u32 {
        (sequence.get() - self.first.get()) as u32
    }

    fn time_offset(&self, time: Time) -> u32 {
        (time.unix_millis() - self.base_time.unix_millis()) as u32
    }

    fn encode(&mut self, event: &Event, cursor: Cursor) {
        let spelled = cursor.spell();
        let id = match event.id() {
            Some(id) => id.as_id_ref(),
            None => cursor_id(&spelled),
        };
        let frame_len = encoded_len_with_id(event, id);
        let digits = (usize::BITS - frame_len.leading_zeros()).div_ceil(4);
        // Most blocks are one event at first: then nothing is left over, and nothing has to move.
        self.bytes.reserve(digits as usize + 2 * CRLF.len() + frame_len);
        let digit = |at| b"0123456789abcdef"[frame_len >> (4 * at) & 0xf];
        self.bytes.extend((0..digits).rev().map(digit));
        self.bytes.extend_from_slice(CRLF);
        encode_with_id(event, id, &mut self.bytes);
        self.bytes.extend_from_slice(CRLF);
    }
}

fn cursor_id(spelled: &[u8]) -> EventIdRef<'_> {
    let text = std::str::from_utf8(spelled).expect("a cursor is spelled in ASCII");
    EventIdRef::new(text).expect("hexadecimal digits and hyphens end no field")
}

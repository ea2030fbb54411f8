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

pub(super) mod builder;

use std::fmt;
use std::ops::Range;

use smallvec::SmallVec;
use tidings_proto::EventId;

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

const CRLF: &[u8] = b"\r\n";
/// How the line of an event ID begins.
const ID_LINE: &[u8] = b"id: ";

impl Block {
    /// Maximum size of a block, unless a single event is larger. Eviction drops a block at a time.
    pub(crate) const BYTES_MAX: usize = 64 * 1024;

    /// The event stream text of a stream's end for a reader of exactly its topic, who need not be told the topic; `None` for
    /// all other entries, which all readers are sent alike. Few readers are sent an end, so that it is made for each.
    #[must_use]
    pub fn end_for_one(&self, index: usize) -> Option<Vec<u8>> {
        if self.kind(index) != Kind::End {
            return None;
        }
        // Nothing before the topic is a publisher's text.
        const TOPIC: &[u8] = br#","topic":"#;
        let frame = self.frame(index);
        let at = frame.windows(TOPIC.len()).position(|text| text == TOPIC)?;
        let mut text = frame[..at].to_vec();
        text.extend_from_slice(b"}\n\n");
        Some(text)
    }

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

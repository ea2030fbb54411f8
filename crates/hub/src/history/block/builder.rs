//! Gathering entries into a block: each event is encoded once, here.

use smallvec::SmallVec;
use tidings_proto::{Event, encode};

use super::{Block, CRLF, ID_LINE, Kind, Slot, SlotTopics};
use crate::cursor::{Cursor, Epoch, Sequence};
use crate::history::TopicKey;
use crate::journal::{Content, Entry};
use crate::streams::{EndNotice, StreamMark};
use crate::time::Time;
use crate::via::Via;

/// A part of what a new topic costs beside its name, and less than what an event costs: a run of usual
/// events is as long as its bytes let it be, and one of small events with many new topics each is cut.
const NEW_TOPIC_BYTES: usize = 64;

/// Gathers entries into a block.
#[derive(Default)]
pub(crate) struct BlockBuilder {
    pub(super) bytes: Vec<u8>,
    pub(super) slots: Vec<Slot>,
    pub(super) more_topics: Vec<Box<[TopicKey]>>,
    pub(super) more_topics_len: u32,
    /// Bytes that the topics of the entries may cost if all of them are new.
    topic_bytes: usize,
    pub(super) first: Sequence,
    pub(super) base_time: Time,
}

impl BlockBuilder {
    /// Bytes and entries whose room is kept for the next run: some hundred events come together but
    /// for a batch.
    const BYTES_KEPT: usize = 16 * 1024;
    const ENTRIES_KEPT: usize = 64;

    /// A builder with room for so many entries and bytes of them.
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

    /// Returns whether an entry of this sequence and time still fits beside the ones there are.
    pub(crate) fn fits(&self, sequence: Sequence, time: Time) -> bool {
        self.slots.is_empty()
            || (self.bytes.len() < Block::BYTES_MAX
                && self.topic_bytes < Block::BYTES_MAX
                && u32::try_from(sequence.get() - self.first.get()).is_ok()
                && u32::try_from(time.unix_millis() - self.base_time.unix_millis()).is_ok())
    }

    /// Encodes a journal's entry. Its topics are filled in later, by [`BlockBuilder::set_topics`].
    pub(crate) fn push(&mut self, entry: &Entry, epoch: Epoch) {
        let start = self.begin(entry.sequence, entry.time);
        for topic in entry.topics.as_slice() {
            self.topic_bytes += topic.as_str().len() + NEW_TOPIC_BYTES;
        }
        let (kind, given_id) = match &entry.content {
            Content::Event(event) => {
                let via = entry.via.as_ref();
                self.encode(event, Cursor { epoch, sequence: entry.sequence }, via);
                (Kind::Event, event.id().is_some())
            }
            Content::Close => (Kind::Close, false),
            Content::Stream(StreamMark::End(close)) if close.notice == EndNotice::Event => {
                // A stream is of one topic.
                if let Some(topic) = entry.topics.as_slice().first() {
                    let cursor = Cursor { epoch, sequence: entry.sequence };
                    self.encode(&close.to_event(topic), cursor, None);
                }
                (Kind::End, false)
            }
            Content::Stream(StreamMark::End(_)) => (Kind::SilentEnd, false),
            Content::Stream(_) => (Kind::Mark, false),
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
                self.more_topics_len += topics.len() as u32;
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
        let mut block = Block {
            bytes: self.bytes,
            slots: self.slots.into(),
            more_topics: self.more_topics,
            more_topics_len: self.more_topics_len,
            first: self.first,
            base_time: self.base_time,
        };
        block.trim();
        block
    }

    /// A block of what was gathered; the builder keeps its room unless there is much in it.
    pub(crate) fn take(&mut self) -> Block {
        if self.bytes.len() > Self::BYTES_KEPT {
            return std::mem::take(self).build();
        }
        Block {
            bytes: self.bytes.as_slice().into(),
            slots: SmallVec::from_slice(&self.slots),
            more_topics: std::mem::take(&mut self.more_topics),
            more_topics_len: std::mem::take(&mut self.more_topics_len),
            first: self.first,
            base_time: self.base_time,
        }
    }

    /// Clears the builder, and keeps room of a usual size.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(Self::BYTES_KEPT);
        self.slots.clear();
        self.slots.shrink_to(Self::ENTRIES_KEPT);
        self.more_topics.clear();
        self.more_topics_len = 0;
        self.topic_bytes = 0;
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

    fn encode(&mut self, event: &Event, cursor: Cursor, via: Option<&Via>) {
        // What an event is beside its data, more or less: it saves a second look at the data.
        const BESIDE: usize = ID_LINE.len() + Cursor::ID_BYTES + b"\ndata: \n\n".len();
        let head = self.bytes.len();
        let guess = digits_of(BESIDE + event.data().len());
        self.bytes.reserve(BESIDE + event.data().len() + guess + 2 * CRLF.len());
        self.bytes.extend_from_slice(&[b'0'; 16 + CRLF.len()][..guess + CRLF.len()]);
        let frame = self.bytes.len();
        if let Some(via) = via {
            via.write_comment(&mut self.bytes);
        }
        if event.id().is_none() {
            self.bytes.extend_from_slice(ID_LINE);
            self.bytes.extend_from_slice(&cursor.spell());
            self.bytes.push(b'\n');
        }
        encode(event, &mut self.bytes);
        let frame_len = self.bytes.len() - frame;
        let digits = digits_of(frame_len);
        if digits != guess {
            let moved = head + digits + CRLF.len();
            self.bytes.resize(self.bytes.len().max(moved + frame_len), 0);
            self.bytes.copy_within(frame..frame + frame_len, moved);
            self.bytes.truncate(moved + frame_len);
        }
        let (number, end) = self.bytes[head..].split_at_mut(digits);
        let mut left = frame_len;
        for digit in number.iter_mut().rev() {
            *digit = b"0123456789abcdef"[left & 0xf];
            left >>= 4;
        }
        end[..CRLF.len()].copy_from_slice(CRLF);
        self.bytes.extend_from_slice(CRLF);
    }
}

/// How many hexadecimal digits a number has that is not zero.
fn digits_of(number: usize) -> usize {
    (usize::BITS - number.leading_zeros()).div_ceil(4) as usize
}

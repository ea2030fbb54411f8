//! Gathering entries into blocks, and adding to them: each event is encoded once, here.

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

/// Minimum growth of a block: a few small events.
const GROWTH_BYTES_MIN: usize = 1024;
const GROWTH_ENTRIES_MIN: usize = 7;

impl Block {
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
}

/// Gathers entries into a block.
#[derive(Default)]
pub(crate) struct BlockBuilder {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
    more_topics: Vec<Box<[TopicKey]>>,
    more_topics_len: u32,
    /// Bytes that the topics of the entries may cost if all of them are new.
    topic_bytes: usize,
    first: Sequence,
    base_time: Time,
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
            Content::Stream(StreamMark::End(close, _)) if close.notice == EndNotice::Event => {
                // A stream is of one topic.
                if let Some(topic) = entry.topics.as_slice().first() {
                    let cursor = Cursor { epoch, sequence: entry.sequence };
                    self.encode(&close.to_event(topic), cursor, None);
                }
                (Kind::End, false)
            }
            Content::Stream(StreamMark::End(..)) => (Kind::SilentEnd, false),
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
        // About the size of an event without its data: it saves a second look at the data.
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

#[cfg(test)]
mod tests {
    use tidings_proto::EventId;

    use super::*;
    use crate::draft::Topics;
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

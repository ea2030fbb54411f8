//! Events as history holds them, on their way to a program.

use std::sync::Arc;

use tidings_proto::{Decoder, Event, EventId, Item};

use crate::cursor::{Epoch, Sequence};
use crate::history::Block;
use crate::seen::Seen;
use crate::time::Time;
use crate::topic::Topic;
use crate::via::Via;

/// An event that history holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldEvent {
    /// The event's ID, with which a reader that has seen it resumes.
    pub id: EventId,
    /// Its position in the hub's history.
    pub sequence: Sequence,
    /// When it was committed.
    pub time: Time,
    /// Its canonical topic, or the first of its topics that still holds anything.
    pub topic: Topic,
    /// Whether it is for readers whose grant names its topic.
    pub is_private: bool,
    /// The hops that it came by, if it was read from another hub.
    pub via: Option<Via>,
    /// Type, data and reconnection time; the ID too.
    pub event: Event,
}

/// An event as history holds it, to be decoded or written outside the history's lock.
///
/// A large event is not copied but shared: it stays in memory as long as this does.
#[derive(Debug)]
pub struct RawEvent {
    frame: Frame,
    id: EventId,
    sequence: Sequence,
    time: Time,
    topic: Topic,
    is_private: bool,
    index: Option<u64>,
}

#[derive(Debug)]
enum Frame {
    Copied(Box<[u8]>),
    /// In a block, at an index.
    Shared(Arc<Block>, usize),
}

/// The fields of an event beside its ID and its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RawFields<'a> {
    /// The event's type.
    pub event_type: &'a str,
    /// The hops that it came by, if it was read from another hub.
    pub via: Option<&'a str>,
    /// Where its data begins, for [`RawEvent::data`].
    pub data_at: usize,
}

/// A part of an event's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DataPart<'a> {
    /// Text without line ends.
    pub text: &'a str,
    /// True if a line ends after the text and another one begins.
    pub ends_line: bool,
}

/// Events of at least this size are shared with history. That keeps a block of at most 64 KiB in memory, or
/// the event alone if it is larger. Smaller events are cheaper to copy.
const SHARED_BYTES_MIN: usize = 16 * 1024;

/// How the lines of a frame begin.
const TYPE_LINE: &str = "event: ";
const DATA_LINE: &str = "data: ";

impl RawEvent {
    /// `None` for an entry that no topic holds any more, which no reader finds.
    pub(crate) fn copy(seen: Seen<'_>, epoch: Epoch) -> Option<Self> {
        let (block, index) = (seen.block(), seen.index());
        let frame = block.frame(index);
        Some(Self {
            frame: match frame.len() < SHARED_BYTES_MIN {
                true => Frame::Copied(frame.into()),
                false => Frame::Shared(Arc::clone(block), index),
            },
            id: block.id(index, epoch),
            sequence: block.sequence(index),
            time: block.time(index),
            topic: seen.topic()?.clone(),
            is_private: block.is_private(index),
            index: None,
        })
    }

    /// The same for a reader of exactly one topic.
    pub(crate) fn copy_for_one(seen: Seen<'_>, epoch: Epoch) -> Option<Self> {
        let copied = Self::copy(seen, epoch)?;
        Some(match seen.block().end_for_one(seen.index()) {
            Some(text) => Self { frame: Frame::Copied(text.into()), ..copied },
            None => copied,
        })
    }

    /// Its index within the stream of its topic, as a [page](crate::engine::Paging) tells it.
    #[must_use]
    pub fn index(&self) -> Option<u64> {
        self.index
    }

    pub(crate) fn set_index(&mut self, index: u64) {
        self.index = Some(index);
    }

    /// The ID that its readers see.
    #[must_use]
    pub fn id(&self) -> &EventId {
        &self.id
    }

    /// When it was committed.
    #[must_use]
    pub fn time(&self) -> Time {
        self.time
    }

    /// Its canonical topic, or the first of its topics that still holds anything.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// The block of history that a large event keeps in memory.
    #[must_use]
    pub fn shared(&self) -> Option<&Arc<Block>> {
        match &self.frame {
            Frame::Copied(_) => None,
            Frame::Shared(block, _) => Some(block),
        }
    }

    /// The fields before its data.
    #[must_use]
    pub fn fields(&self) -> RawFields<'_> {
        let frame = self.frame();
        let mut fields = RawFields { event_type: "message", via: None, data_at: frame.len() };
        let mut at = 0;
        for line in frame.split(|&byte| byte == b'\n') {
            if line.starts_with(DATA_LINE.as_bytes()) {
                fields.data_at = at + DATA_LINE.len();
                break;
            }
            at += line.len() + 1;
            let line = text(line);
            if let Some(event_type) = line.strip_prefix(TYPE_LINE) {
                fields.event_type = event_type;
            } else if let Some(comment) = line.strip_prefix(':') {
                fields.via = Via::text_of_comment(comment);
            }
        }
        fields
    }

    /// The part of its data from a place on, at most about `bytes_max` bytes; `None` at the end. Moves the
    /// place to the next part.
    #[must_use]
    pub fn data(&self, place: &mut usize, bytes_max: usize) -> Option<DataPart<'_>> {
        /// No character is longer.
        const CHARACTER_BYTES_MAX: usize = 4;
        let frame = self.frame();
        let rest = frame.get(*place..).filter(|rest| !rest.is_empty())?;
        let some = &rest[..rest.len().min(bytes_max.max(CHARACTER_BYTES_MAX))];
        let Some(end) = some.iter().position(|&byte| byte == b'\n') else {
            let is_start = |at: usize| rest.get(at).is_none_or(|byte| byte & 0xc0 != 0x80);
            let cut = (0..=some.len()).rev().find(|&at| is_start(at)).unwrap_or(some.len());
            *place += cut;
            return Some(DataPart { text: text(&some[..cut]), ends_line: false });
        };
        let next = &rest[end + 1..];
        let ends_line = next.starts_with(DATA_LINE.as_bytes());
        *place = if ends_line { *place + end + 1 + DATA_LINE.len() } else { frame.len() };
        Some(DataPart { text: text(&some[..end]), ends_line })
    }

    /// Returns whether there is data at a place, be it the empty text after a last line end.
    #[must_use]
    pub fn has_data_at(&self, place: usize) -> bool {
        place < self.frame().len()
    }

    pub(crate) fn sequence(&self) -> Sequence {
        self.sequence
    }

    pub(crate) fn decode(self) -> Option<HeldEvent> {
        let mut decoder = Decoder::with_limits(crate::unlimited());
        let (mut input, mut via, mut retry, mut event) = (self.frame(), None, None, None);
        while let Ok(Some(item)) = decoder.decode(&mut input) {
            match item {
                Item::Comment(text) => via = Via::of_comment(text),
                Item::Retry(time) => retry = Some(time),
                Item::Event(found) => event = found.to_event().ok(),
                _ => {}
            }
        }
        let mut event = event?;
        if let Some(retry) = retry {
            event = event.with_retry(retry);
        }
        let Self { id, sequence, time, topic, is_private, .. } = self;
        let event = event.with_id(id.clone());
        Some(HeldEvent { id, sequence, time, topic, is_private, via, event })
    }

    fn frame(&self) -> &[u8] {
        match &self.frame {
            Frame::Copied(frame) => frame,
            Frame::Shared(block, index) => block.frame(*index),
        }
    }
}

/// A piece of a frame, cut between characters.
fn text(piece: &[u8]) -> &str {
    std::str::from_utf8(piece).expect("frames are made of text")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::Draft;
    use crate::history::{ReadMax, Steps};
    use crate::hub::{Hub, Wait};
    use crate::reader::Reader;
    use crate::start::Start;
    use tidings_proto::EventType;

    /// Publishes an event, and returns it as history holds it.
    fn raw(event: Event) -> RawEvent {
        let (hub, topic) = (Hub::default(), Topic::from_static("a"));
        drop(hub.publish(Draft::new(topic.clone(), event)));
        let mut reader = Reader::begin(&hub, &topic.into(), Start::Oldest, None);
        let mut max = ReadMax { bytes: usize::MAX, entries: 1, steps: Steps::default() };
        let mut found = None;
        let epoch = hub.epoch();
        reader.read_seen(&mut max, Wait::Never, |seen| found = RawEvent::copy(seen, epoch));
        found.unwrap()
    }

    /// The data, read in parts of at most so many bytes, and the largest of these.
    fn data(raw: &RawEvent, bytes_max: usize) -> (String, usize) {
        let (mut data, mut largest) = (String::new(), 0);
        let mut place = raw.fields().data_at;
        while let Some(part) = raw.data(&mut place, bytes_max) {
            data.push_str(part.text);
            if part.ends_line {
                data.push('\n');
            }
            largest = largest.max(part.text.len());
        }
        (data, largest)
    }

    #[test]
    fn data_is_read_in_parts_as_it_is_decoded() {
        for text in ["", "x", "\n", "a\n\nb\n", "data: x\ndata: ", "zwölf Grüße\n😀😀😀", " x"]
        {
            for bytes_max in [0, 1, 4, 5, 7, 100] {
                let raw = raw(Event::new(text));
                let (data, largest) = data(&raw, bytes_max);
                assert_eq!(data, text, "{bytes_max}");
                assert!(largest <= bytes_max.max(4));
                assert_eq!(raw.decode().unwrap().event.data(), text);
            }
        }
    }

    #[test]
    fn fields_are_those_that_are_decoded() {
        let score = EventType::from_static("score");
        let raw = raw(Event::new("1:0").with_type(score).with_retry(std::time::Duration::ZERO));
        let fields = raw.fields();
        assert_eq!((fields.event_type, fields.via), ("score", None));
        assert_eq!(data(&raw, 100).0, "1:0");
    }

    #[test]
    fn a_large_event_is_shared_and_a_small_one_is_copied() {
        assert!(raw(Event::new("x".repeat(1000))).shared().is_none());
        let large = raw(Event::new("x".repeat(SHARED_BYTES_MIN)));
        assert!(large.shared().is_some());
        assert_eq!(data(&large, 1000), ("x".repeat(SHARED_BYTES_MIN), 1000));
    }
}

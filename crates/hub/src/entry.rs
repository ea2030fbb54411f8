//! Events as history holds them, on their way to a program.

use tidings_proto::{Decoder, Event, EventId, Item};

use crate::cursor::{Epoch, Sequence};
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

/// An event copied out of history, to be decoded outside its lock.
#[derive(Debug)]
pub(crate) struct Raw {
    frame: Box<[u8]>,
    id: EventId,
    sequence: Sequence,
    time: Time,
    topic: Topic,
    is_private: bool,
}

impl Raw {
    /// `None` for an entry that no topic holds any more, which no reader finds.
    pub(crate) fn copy(seen: Seen<'_>, epoch: Epoch) -> Option<Self> {
        let (block, index) = (seen.block(), seen.index());
        Some(Self {
            frame: block.frame(index).into(),
            id: block.id(index, epoch),
            sequence: block.sequence(index),
            time: block.time(index),
            topic: seen.topic()?.clone(),
            is_private: block.is_private(index),
        })
    }

    pub(crate) fn decode(self) -> Option<HeldEvent> {
        let mut decoder = Decoder::with_limits(crate::unlimited());
        let (mut input, mut via, mut retry, mut event) = (&self.frame[..], None, None, None);
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
}

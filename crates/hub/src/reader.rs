//! A cursor in a history: what subscribers and the slots of shards are made of.

use std::fmt;

use tidings_proto::EventId;

use crate::cursor::{Cursor, Sequence};
use crate::filter::View;
use crate::history::{
    Block, Held, History, Mark, Place, ReadMax, Resolved, ShardIndex, Stop, TopicKey,
};
use crate::hub::Hub;
use crate::start::Start;
use crate::topic::Topic;

/// A cursor in a hub's history, with the view it reads.
///
/// It has no queue: reading copies what history holds. Dropping it lets go of its topics.
pub struct Reader {
    hub: Hub,
    resolved: Resolved,
    place: Place,
    /// What was asked for, if it led nowhere and the gap is still to be told.
    asked: Option<Box<str>>,
    started_after: Option<EventId>,
    shard: Option<ShardIndex>,
}

/// What one [`Reader::read`] came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// The cursor stands at the tail.
    Tail,
    /// The read took as much as it may; there may be more.
    Full,
    /// The stream of this topic was ended; nothing comes after.
    Ended,
    /// Events that should have come next are no longer held. Told once; the next read goes on with
    /// what is.
    Gap(Gap),
}

/// Events that a subscriber should have had and that are no longer held.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// The place it asked for: a last event ID as it was sent, or the cursor that was overtaken.
    pub asked: Box<str>,
    /// The oldest event still held for its view after that place; none if nothing is, or if its stream
    /// ended before.
    pub oldest: Option<EventId>,
    /// The place after the gap: who comes back with it is not told of this gap again.
    pub place: Cursor,
}

impl Gap {
    /// Bytes of [`Gap::asked`] at most: whatever a client sends, its answer stays small.
    pub const ASKED_BYTES_MAX: usize = 256;
}

impl Reader {
    pub(crate) fn open(hub: &Hub, view: &View, start: Start, shard: Option<ShardIndex>) -> Self {
        let mut history = hub.write();
        let resolved = history.resolve(view);
        if let Some(shard) = shard {
            history.mark(shard, &resolved, Mark::Set);
        }
        let (place, asked) = locate(&history, &start);
        let started_after = match asked {
            Some(_) => None,
            None => history.last_id(&resolved, place.after),
        };
        drop(history);
        Self { hub: hub.clone(), resolved, place, asked, started_after, shard }
    }

    /// Reads what comes next, in rising order, about `bytes_max` bytes at most, one event at least.
    ///
    /// `visit` is called with each event as a chunk of HTTP/1.1's chunked coding, under the history's
    /// lock: it should copy and nothing else.
    pub fn read(&mut self, bytes_max: usize, mut visit: impl FnMut(&Block, usize)) -> Read {
        let max = ReadMax { bytes: bytes_max, entries: usize::MAX };
        self.read_held(max, |_, held| visit(held.block, held.index))
    }

    pub(crate) fn read_held(
        &mut self,
        max: ReadMax,
        mut visit: impl FnMut(&History, Held<'_>),
    ) -> Read {
        let history = self.hub.read();
        let cursor = |place: Place| Cursor { epoch: history.epoch(), sequence: place.after };
        let asked = match self.asked.take() {
            Some(asked) => asked,
            None => {
                let before = self.place;
                let visit = |held: Held<'_>| visit(&history, held);
                match history.read(&self.resolved, &mut self.place, max, visit) {
                    Stop::Tail => return Read::Tail,
                    Stop::Full => return Read::Full,
                    Stop::Ended => return Read::Ended,
                    Stop::Gap => cursor(before).to_string().into(),
                }
            }
        };
        let told = history.tell(&self.resolved, &mut self.place);
        self.hub.count_gap();
        Read::Gap(Gap { asked, oldest: told.oldest, place: cursor(self.place) })
    }

    /// Moves back to before the view's latest events, `events_max` at most; what was evicted before
    /// them is no gap.
    pub(crate) fn rewind(&mut self, events_max: usize) {
        let history = self.hub.read();
        let after = history.before_latest(&self.resolved, events_max);
        self.place = Place { after, ..self.place };
    }

    /// Reads on over the ends of the topic's streams: for readers that have no stream to end.
    pub(crate) fn read_past_ends(&mut self) {
        self.place.joined = Sequence::MAX;
    }

    /// The cursor: everything of the view up to here has been read, or told as lost.
    #[must_use]
    pub fn after(&self) -> Sequence {
        self.place.after
    }

    /// The cursor as an event ID spells it.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor { epoch: self.hub.epoch(), sequence: self.place.after }
    }

    /// Moves the cursor on to the end of a run that it has [met](crate::tap::Run::meet).
    pub fn advance(&mut self, to: Sequence) {
        self.place.after = self.place.after.max(to);
    }

    /// Puts the cursor where the last event that was really sent left it: what was read and could not be
    /// written is read again.
    pub fn stand_after(&mut self, sequence: Sequence) {
        self.place.after = sequence;
    }

    /// The exact topics of the view; none if it has a pattern.
    #[must_use]
    pub fn topics(&self) -> &[TopicKey] {
        self.resolved.keys()
    }

    /// Whether the view has a pattern.
    #[must_use]
    pub fn has_pattern(&self) -> bool {
        matches!(self.resolved, Resolved::Scan(_))
    }

    /// The last event before the first one to be read that the reader may know of, at the start.
    #[must_use]
    pub fn started_after(&self) -> Option<&EventId> {
        self.started_after.as_ref()
    }

    /// Whether a gap is to be told before anything else is read.
    #[must_use]
    pub fn has_gap(&self) -> bool {
        self.asked.is_some() || self.hub.read().is_lost(&self.resolved, self.place)
    }

    /// Whether the stream at this place was ended while its reader was away.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.hub.read().is_ended(&self.resolved, self.place)
    }

    /// Whether the streams of another topic were ended after this place: a topic that stands for
    /// something else the stream belongs to, such as its subject.
    #[must_use]
    pub fn is_ended_by(&self, topic: &Topic) -> bool {
        self.hub.read().is_topic_ended(topic, self.place)
    }

    /// What it reads, by name: for those who list subscribers.
    #[must_use]
    pub fn to_view(&self) -> View {
        self.hub.read().view_of(&self.resolved)
    }

    /// Whether events of the topic are in its view.
    #[must_use]
    pub fn reads(&self, topic: &Topic) -> bool {
        self.hub.read().is_in_view(topic, &self.resolved)
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut history = self.hub.write();
        if let Some(shard) = self.shard {
            history.mark(shard, &self.resolved, Mark::Clear);
        }
        history.release(&self.resolved);
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("after", &self.place.after).finish_non_exhaustive()
    }
}

/// Finds the place a subscription starts at, and what was asked if it leads nowhere.
pub(crate) fn locate(history: &History, start: &Start) -> (Place, Option<Box<str>>) {
    let tail = Place { after: history.tail(), told_at: history.stamp(), joined: history.tail() };
    let oldest = Place { after: Sequence::ZERO, ..tail };
    let id = match start {
        Start::Tail => return (tail, None),
        Start::Oldest => return (oldest, None),
        Start::After(id) => id,
    };
    let own = Cursor::parse(id).filter(|cursor| cursor.epoch == history.epoch());
    let found = match own {
        Some(cursor) => Some(cursor.sequence).filter(|sequence| *sequence <= history.tail()),
        None => history.find_id(id),
    };
    match found {
        Some(after) => (Place { after, joined: after, ..Place::default() }, None),
        None => (oldest, Some(cut(id, Gap::ASKED_BYTES_MAX).into())),
    }
}

/// The start of a text, `bytes_max` bytes at most, cut between characters.
fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

//! Readers: the cursors behind subscribers and the slots of shards.

use std::fmt;
use std::sync::Arc;

use tidings_proto::EventId;

use crate::cursor::{Cursor, Sequence};
use crate::gap::Gap;
use crate::grant::Grant;
use crate::history::{
    Block, EvictionStamp, Held, History, Mark, ReadMax, ReadPosition, Resolved, ShardIndex, Stop,
    TopicKey,
};
use crate::hub::Hub;
use crate::start::Start;
use crate::topic::Topic;
use crate::view::View;

/// A cursor in a hub's history, with the view it reads.
///
/// It has no queue: reading copies what history holds. Dropping it lets go of its topics.
pub struct Reader {
    hub: Hub,
    after: Sequence,
    /// There until the reader is dropped or [taken apart](Reader::into_state).
    state: Option<ReaderState>,
    // Boxed, because it is needed once.
    started_after: Option<Box<EventId>>,
    shard: Option<ShardIndex>,
}

/// The state of a [`Reader`] without its cursor and hub, which a shard keeps for each slot.
///
/// Its [`Tap`](crate::engine::Tap) reads with it, and must [release](crate::engine::Tap::release) it.
#[derive(Debug)]
pub struct ReaderState {
    resolved: Resolved,
    /// Evictions up to here have been told.
    told_at: EvictionStamp,
    /// Ends of the topic's streams up to here are other streams' ends.
    joined: Sequence,
    /// The last event ID of the start, if it led nowhere and the gap is not yet told. Boxed twice to
    /// take a pointer's width, because it is rare.
    asked: Option<Box<Box<str>>>,
}

/// The outcome of one [`Reader::read`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// The cursor stands at the tail.
    Tail,
    /// The read took as much as it may; there may be more.
    Full,
    /// The stream of this topic was ended; nothing comes after.
    Closed,
    /// Events that should have come next are no longer held. Told once; the next read goes on with
    /// what is.
    Gap(Gap),
}

impl Reader {
    pub(crate) fn open(hub: &Hub, view: &View, start: Start, shard: Option<ShardIndex>) -> Self {
        let mut history = hub.write();
        let resolved = history.resolve(view);
        if let Some(shard) = shard {
            history.mark(shard, &resolved, Mark::Set);
        }
        let (position, asked) = locate(&history, resolved.grant(), &start);
        let started_after = match asked {
            Some(_) => None,
            None => history.last_id(&resolved, position.after).map(Box::new),
        };
        drop(history);
        let ReadPosition { after, told_at, joined } = position;
        let asked = asked.map(Box::new);
        let state = Some(ReaderState { resolved, told_at, joined, asked });
        Self { hub: hub.clone(), after, state, started_after, shard }
    }

    /// Takes the reader apart for a shard: its cursor, and its state.
    #[must_use]
    pub fn into_state(mut self) -> (Sequence, ReaderState) {
        (self.after, self.state.take().expect(WHOLE))
    }

    /// Reads what comes next, in rising order, about `bytes_max` bytes at most, one event at least.
    ///
    /// `visit` is called with the block and the index of each event, under the history's lock: it should
    /// copy the event, or share the block of a large one, and nothing else.
    pub fn read(&mut self, bytes_max: usize, mut visit: impl FnMut(&Arc<Block>, usize)) -> Read {
        let max = ReadMax { bytes: bytes_max, entries: usize::MAX };
        self.read_held(max, |_, held| visit(held.block, held.index))
    }

    pub(crate) fn read_held(
        &mut self,
        max: ReadMax,
        visit: impl FnMut(&History, Held<'_>),
    ) -> Read {
        let state = self.state.as_mut().expect(WHOLE);
        state.read(&self.hub, &mut self.after, max, visit)
    }

    /// Moves back to before the view's latest events, `events_max` at most; what was evicted before
    /// them is no gap.
    pub(crate) fn rewind(&mut self, events_max: usize) {
        self.after = self.hub.read().before_latest(&self.state().resolved, events_max);
    }

    /// Reads on over the ends of the topic's streams: for readers that have no stream to end.
    pub(crate) fn read_past_closes(&mut self) {
        self.state.as_mut().expect(WHOLE).joined = Sequence::MAX;
    }

    /// The cursor: everything of the view up to here has been read, or told as lost.
    #[must_use]
    pub fn after(&self) -> Sequence {
        self.after
    }

    /// The cursor as an event ID spells it.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor { epoch: self.hub.epoch(), sequence: self.after }
    }

    /// Moves the cursor on to the end of a run that it has [met](crate::engine::Run::meet).
    pub fn advance(&mut self, to: Sequence) {
        self.after = self.after.max(to);
    }

    /// The exact topics of the view; none if it has a pattern.
    #[must_use]
    pub fn topics(&self) -> &[TopicKey] {
        self.state().topics()
    }

    /// Returns whether the view has a pattern.
    #[must_use]
    pub fn has_pattern(&self) -> bool {
        self.state().has_pattern()
    }

    /// The last event before the first one to be read that the reader may know of, at the start.
    #[must_use]
    pub fn started_after(&self) -> Option<&EventId> {
        self.started_after.as_deref()
    }

    /// Takes [`Reader::started_after`], which is needed once.
    pub(crate) fn take_started_after(&mut self) -> Option<Box<EventId>> {
        self.started_after.take()
    }

    /// Returns whether a gap is to be told before anything else is read.
    #[must_use]
    pub fn has_gap(&self) -> bool {
        let state = self.state();
        let position = state.position(self.after);
        state.asked.is_some() || self.hub.read().is_lost(&state.resolved, position)
    }

    /// Returns whether the stream at this place was closed while its reader was away.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let state = self.state();
        self.hub.read().is_closed(&state.resolved, state.position(self.after))
    }

    /// Returns whether the streams of another topic were closed after this place: a topic that stands for
    /// something else to which the stream belongs, such as its subject.
    #[must_use]
    pub fn is_closed_by(&self, topic: &Topic) -> bool {
        self.hub.read().is_topic_ended(topic, self.state().position(self.after))
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    fn state(&self) -> &ReaderState {
        self.state.as_ref().expect(WHOLE)
    }
}

/// The invariant that a reader has its state.
const WHOLE: &str = "a reader is whole until it is consumed";

impl ReaderState {
    /// The exact topics of the view; none if it has a pattern.
    #[must_use]
    pub fn topics(&self) -> &[TopicKey] {
        self.resolved.keys()
    }

    /// Returns whether the view has a pattern.
    #[must_use]
    pub fn has_pattern(&self) -> bool {
        self.resolved.has_pattern()
    }

    /// Returns whether the view's grant is limited. Such a slot must read private events from history,
    /// which checks them, and takes no run that contains one.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.resolved.grant().is_some()
    }

    pub(crate) fn read(
        &mut self,
        hub: &Hub,
        after: &mut Sequence,
        max: ReadMax,
        mut visit: impl FnMut(&History, Held<'_>),
    ) -> Read {
        let history = hub.read();
        let cursor =
            |position: ReadPosition| Cursor { epoch: history.epoch(), sequence: position.after };
        let mut position = self.position(*after);
        let asked = match self.asked.take() {
            Some(asked) => *asked,
            None => {
                let visit = |held: Held<'_>| visit(&history, held);
                let stop = history.read(&self.resolved, &mut position, max, visit);
                let before = std::mem::replace(after, position.after);
                match stop {
                    Stop::Tail => return Read::Tail,
                    Stop::Full => return Read::Full,
                    Stop::Closed => return Read::Closed,
                    Stop::Gap => Cursor { sequence: before, ..cursor(position) }.to_string().into(),
                }
            }
        };
        let oldest = history.pass_lost(&self.resolved, &mut position);
        (*after, self.told_at) = (position.after, position.told_at);
        hub.count_gap();
        Read::Gap(Gap { asked, oldest, place: cursor(position) })
    }

    pub(crate) fn resolved(&self) -> &Resolved {
        &self.resolved
    }

    /// Lets go of the view's topics, and of a shard's marks on them.
    pub(crate) fn release(&self, hub: &Hub, shard: Option<ShardIndex>) {
        let mut history = hub.write();
        if let Some(shard) = shard {
            history.mark(shard, &self.resolved, Mark::Clear);
        }
        history.release(&self.resolved);
    }

    fn position(&self, after: Sequence) -> ReadPosition {
        ReadPosition { after, told_at: self.told_at, joined: self.joined }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(state) = self.state.take() {
            state.release(&self.hub, self.shard);
        }
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("after", &self.after).finish_non_exhaustive()
    }
}

impl Hub {
    /// The cursor at the tail: all that is published from now on comes after it.
    pub(crate) fn tail(&self) -> Cursor {
        Cursor { epoch: self.epoch(), sequence: self.read().tail() }
    }

    /// Returns whether the topic's streams were closed after a start.
    pub(crate) fn is_closed(&self, topic: &Topic, start: &Start) -> bool {
        let history = self.read();
        // An emitter's reader may read all of its topic.
        let (position, _) = locate(&history, None, start);
        history.is_topic_ended(topic, position)
    }
}

/// Finds the position at which a subscription starts, and the last event ID if it leads nowhere.
fn locate(
    history: &History,
    grant: Option<&Grant>,
    start: &Start,
) -> (ReadPosition, Option<Box<str>>) {
    let tail =
        ReadPosition { after: history.tail(), told_at: history.stamp(), joined: history.tail() };
    let oldest = ReadPosition { after: Sequence::ZERO, ..tail };
    let id = match start {
        Start::Tail => return (tail, None),
        Start::Oldest => return (oldest, None),
        Start::After(id) => id,
    };
    let own = Cursor::parse(id).filter(|cursor| cursor.epoch == history.epoch());
    let found = match own {
        Some(cursor) => Some(cursor.sequence).filter(|sequence| *sequence <= history.tail()),
        None => history.find_id(id, grant),
    };
    match found {
        Some(after) => (ReadPosition { after, joined: after, ..ReadPosition::default() }, None),
        None => (oldest, Some(Gap::asked(id).into())),
    }
}

//! Readers: the cursors behind subscribers and the slots of shards.

use std::fmt;
use std::sync::Arc;

use tidings_proto::EventId;

use crate::cursor::{Cursor, Sequence};
use crate::gap::Gap;
use crate::history::{
    Block, EvictionStamp, Held, History, IdSearch, Latest, LookBack, Mark, ReadMax, ReadPosition,
    Resolved, ShardIndex, Steps, Stop, TopicKey,
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
    /// The read took as much as it may, or looked at as much; there may be more.
    Full,
    /// The stream of this topic was ended; nothing comes after.
    Closed,
    /// Events that should have come next are no longer held. Told once; the next read goes on with
    /// what is.
    Gap(Gap),
}

impl Reader {
    pub(crate) fn open(hub: &Hub, view: &View, start: Start, shard: Option<ShardIndex>) -> Self {
        let mut reader = Self::begin(hub, view, start, shard);
        if reader.state().asked.is_none() {
            reader.started_after = reader.last_id().map(Box::new);
        }
        reader
    }

    /// Opens a reader that nobody asks for the event before its first.
    pub(crate) fn begin(hub: &Hub, view: &View, start: Start, shard: Option<ShardIndex>) -> Self {
        // Before history is locked for the marks: it may take several looks.
        let found = Origin::find(hub, view, start);
        let mut history = hub.write();
        let resolved = history.resolve(view);
        if let Some(shard) = shard {
            history.mark(shard, &resolved, Mark::Set);
        }
        let (position, asked) = found.locate(&history);
        drop(history);
        let ReadPosition { after, told_at, joined } = position;
        let asked = asked.map(Box::new);
        let state = Some(ReaderState { resolved, told_at, joined, asked });
        Self { hub: hub.clone(), after, state, started_after: None, shard }
    }

    /// The ID of the view's last event up to the cursor, if it is held.
    fn last_id(&self) -> Option<EventId> {
        let mut back = LookBack::from(self.after);
        loop {
            // Locked anew for each look.
            if let Some(found) = self.hub.read().last_id(&self.state().resolved, &mut back) {
                return found;
            }
        }
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
        let mut max = ReadMax { bytes: bytes_max, entries: usize::MAX, steps: Steps::default() };
        self.read_held(&mut max, |_, held| visit(held.block, held.index))
    }

    pub(crate) fn read_held(
        &mut self,
        max: &mut ReadMax,
        visit: impl FnMut(&History, Held<'_>),
    ) -> Read {
        let state = self.state.as_mut().expect(WHOLE);
        state.read(&self.hub, &mut self.after, max, visit)
    }

    /// Moves back to before the view's latest events; what was evicted before them is no gap. `false` if
    /// that takes another look.
    pub(crate) fn rewind(&mut self, latest: &mut Latest) -> bool {
        let is_over = self.hub.read().find_latest(&self.state().resolved, latest);
        self.after = latest.after;
        is_over
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
    pub fn has_gap(&mut self) -> bool {
        let state = self.state.as_mut().expect(WHOLE);
        if state.asked.is_some() {
            return true;
        }
        loop {
            // Locked anew for each look.
            let history = self.hub.read();
            let mut position = state.position(self.after);
            let mut steps = Steps::default();
            let looked = history.look_for_loss(&state.resolved, &mut position, &mut steps);
            state.told_at = position.told_at;
            if let Some(is_lost) = looked {
                return is_lost;
            }
        }
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
        max: &mut ReadMax,
        mut visit: impl FnMut(&History, Held<'_>),
    ) -> Read {
        let history = hub.read();
        let cursor = |sequence: Sequence| Cursor { epoch: history.epoch(), sequence };
        let mut position = self.position(*after);
        if self.asked.is_none() {
            let visit = |held: Held<'_>| visit(&history, held);
            let stop = history.read(&self.resolved, &mut position, max, visit);
            let before = std::mem::replace(after, position.after);
            self.told_at = position.told_at;
            match stop {
                Stop::Tail => return Read::Tail,
                Stop::Full => return Read::Full,
                Stop::Closed => return Read::Closed,
                Stop::Gap => self.asked = Some(Box::new(cursor(before).to_string().into())),
            }
        }
        // What is asked for is kept until the oldest event is found, however many looks that takes.
        let passed = history.pass_lost(&self.resolved, &mut position, &mut max.steps);
        (*after, self.told_at) = (position.after, position.told_at);
        let Some(oldest) = passed else { return Read::Full };
        let Some(asked) = self.asked.take() else { return Read::Full };
        hub.count_gap();
        Read::Gap(Gap { asked: *asked, oldest, place: cursor(position.after) })
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
        // An emitter's reader may read all of its topic.
        let found = Origin::find(self, &topic.clone().into(), start.clone());
        let history = self.read();
        let (position, _) = found.locate(&history);
        history.is_topic_ended(topic, position)
    }
}

/// Where a subscription starts, with the last event ID looked up.
enum Origin {
    Tail,
    Oldest,
    /// A place in this history, and the ID that spells or has it.
    After(Sequence, Box<str>),
    /// The ID leads nowhere.
    Unknown(Box<str>),
}

impl Origin {
    /// Looks up the last event ID: what it spells, or the earliest held event of the view that has it.
    fn find(hub: &Hub, view: &View, start: Start) -> Self {
        let id = match start {
            Start::Tail => return Self::Tail,
            Start::Oldest => return Self::Oldest,
            Start::After(id) => id,
        };
        match Cursor::parse(&id).filter(|cursor| cursor.epoch == hub.epoch()) {
            Some(cursor) => Self::After(cursor.sequence, id),
            None => match find_given(hub, view, &id) {
                Some(sequence) => Self::After(sequence, id),
                None => Self::Unknown(id),
            },
        }
    }

    /// The position at which the subscription starts, and the last event ID if it leads nowhere.
    fn locate(self, history: &History) -> (ReadPosition, Option<Box<str>>) {
        let tail = ReadPosition {
            after: history.tail(),
            told_at: history.stamp(),
            joined: history.tail(),
        };
        let oldest = ReadPosition { after: Sequence::ZERO, ..tail };
        match self {
            Self::Tail => (tail, None),
            Self::Oldest => (oldest, None),
            Self::After(after, _) if after <= history.tail() => {
                (ReadPosition { after, joined: after, ..ReadPosition::default() }, None)
            }
            Self::After(_, id) | Self::Unknown(id) => (oldest, Some(Gap::asked(&id).into())),
        }
    }
}

/// Finds the earliest held event of a view with a publisher-given ID.
fn find_given(hub: &Hub, view: &View, id: &str) -> Option<Sequence> {
    let mut after = Sequence::ZERO;
    loop {
        // Locked anew for each look.
        match hub.read().find_id(id, view, after, &mut Steps::default()) {
            IdSearch::Found(sequence) => return Some(sequence),
            IdSearch::Unknown => return None,
            IdSearch::More(through) => after = through,
        }
    }
}

//! Readers: the cursors behind subscribers and the slots of shards.

mod behind;
mod latest;

use std::fmt;
use std::sync::Arc;

use tidings_proto::EventId;

pub(crate) use self::latest::{Rewind, Rewound};
use crate::cursor::{Cursor, Sequence};
use crate::gap::Gap;
use crate::history::{
    Block, EvictionStamp, GroupKey, Held, LookBack, Mark, OwnEnds, Passed, Patience, ReadMax,
    ReadPosition, Resolved, ShardIndex, Steps, Stop, Told, TopicKey,
};
use crate::hub::{Hub, Locating, Ticket, Wait};
use crate::origin::{Located, Origin, wanted};
use crate::seen::Seen;
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
    /// The ends of the topic's streams that end the response to this reader.
    ends: OwnEnds,
    /// Boxed, because few readers have it at a time.
    unsettled: Option<Box<Unsettled>>,
}

/// The state of a reader that is not at its place, or not where history is held.
#[derive(Default)]
struct Unsettled {
    /// A start that is not settled, or a gap that is not yet told.
    asked: Option<Asked>,
    /// The ticket with which it waits for the journal.
    ticket: Option<Arc<Ticket>>,
    /// The losses after its place that it knows of, until it is at the tail.
    told: Option<Box<Told>>,
    /// The count of a topic as of the moment when it was told.
    counting: Option<(Topic, Locating)>,
}

/// A place that a reader asks for and does not stand at.
enum Asked {
    /// It led nowhere, or something after it is lost: a gap is to be told.
    Lost(Box<str>),
    /// The journal is looking it up.
    Locating(Locating),
    /// Everything held; the journal is counting how much that is.
    Oldest,
}

impl fmt::Debug for Unsettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { asked, ticket, told, .. } = self;
        let waits = &ticket.is_some();
        let mut debug = f.debug_struct("Unsettled");
        debug.field("asked", asked).field("waits", waits).field("told", told).finish()
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(id) => f.debug_tuple("Lost").field(id).finish(),
            Self::Locating(locating) => f.debug_tuple("Locating").field(&locating.id()).finish(),
            Self::Oldest => f.write_str("Oldest"),
        }
    }
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
    /// The journal is reading what comes next. The reader is woken when it can go on.
    Waiting,
}

impl Reader {
    pub(crate) fn open(hub: &Hub, view: &View, start: Start, shard: Option<ShardIndex>) -> Self {
        let asked = match &start {
            Start::After(id) => EventId::new(&**id).ok(),
            Start::Located(located) => EventId::new(located.id()).ok(),
            Start::Tail | Start::Oldest => None,
        };
        let mut reader = Self::begin(hub, view, start, shard);
        if !reader.is_unsettled() {
            reader.started_after = reader.last_id(asked).map(Box::new);
        }
        reader
    }

    /// Opens a reader that nobody asks for the event before its first.
    pub(crate) fn begin(hub: &Hub, view: &View, start: Start, shard: Option<ShardIndex>) -> Self {
        hub.note_oldest();
        // Before history is locked for the marks: it may take several looks.
        let found = Origin::find(hub, view, start);
        let mut history = hub.write();
        let resolved = history.resolve(view);
        if let Some(shard) = shard {
            history.mark(shard, &resolved, Mark::Set);
        }
        let is_oldest = matches!(found, Origin::Oldest);
        let (position, located) = found.locate(&history);
        let is_uncounted = history.uncounted(&resolved, Patience::Patient).is_some();
        let ReadPosition { after, told_at, ends } = position;
        let told = if is_oldest { history.told_now(&resolved, hub.time()) } else { None };
        drop(history);
        let asked = match located {
            Located::Here if is_oldest && is_uncounted => Some(Asked::Oldest),
            Located::Here => None,
            Located::Nowhere(id) => Some(Asked::Lost(Gap::asked(&id).into())),
            Located::Asked { id, spelled } => {
                let locating = hub.begin_locating(wanted(id, view, spelled));
                Some(Asked::Locating(locating))
            }
        };
        let mut state = ReaderState { resolved, told_at, ends, unsettled: None };
        state.set_asked(asked);
        state.set_told(told);
        let state = Some(state);
        Self { hub: hub.clone(), after, state, started_after: None, shard }
    }

    /// The ID of the view's last event up to the cursor, if it is held. If the journal alone may have it,
    /// the answer is the ID that was asked for, or one that spells the place.
    fn last_id(&self, asked: Option<EventId>) -> Option<EventId> {
        let mut back = LookBack::from(self.after);
        loop {
            // Locked anew for each look.
            let history = self.hub.read();
            if let Some(found) = history.last_id(&self.state().resolved, &mut back) {
                let is_kept =
                    self.after > history.floor() && history.is_kept_alone(&self.state().resolved);
                let place = || asked.unwrap_or_else(|| self.cursor().to_event_id());
                return found.or_else(|| is_kept.then(place));
            }
            self.hub.count_cut_look();
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
    ///
    /// It never waits: [`Read::Waiting`] means that the journal would have to read what comes next.
    pub fn read(&mut self, bytes_max: usize, visit: impl FnMut(&Arc<Block>, usize)) -> Read {
        self.read_or_wait(bytes_max, Wait::Never, visit)
    }

    pub(crate) fn read_or_wait(
        &mut self,
        bytes_max: usize,
        wait: Wait<'_>,
        mut visit: impl FnMut(&Arc<Block>, usize),
    ) -> Read {
        let mut max = ReadMax { bytes: bytes_max, entries: usize::MAX, steps: Steps::default() };
        self.read_seen(&mut max, wait, |seen| visit(seen.block(), seen.index()))
    }

    pub(crate) fn read_seen(
        &mut self,
        max: &mut ReadMax,
        wait: Wait<'_>,
        visit: impl FnMut(Seen<'_>),
    ) -> Read {
        let state = self.state.as_mut().expect(WHOLE);
        state.read(&self.hub, &mut self.after, (max, wait), visit)
    }

    /// Returns whether the place of the reader is still to be found, or a gap to be told.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.state().is_unsettled()
    }

    /// Returns whether the journal alone may have what comes next.
    pub(crate) fn is_behind(&self) -> bool {
        let history = self.hub.read();
        history.keeps() && history.is_behind(self.resolved(), self.after)
    }

    /// Reads on over the ends of the topic's streams: for readers that have no stream to end.
    pub(crate) fn read_past_closes(&mut self) {
        self.state.as_mut().expect(WHOLE).ends = OwnEnds::NONE;
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

    pub(crate) fn resolved(&self) -> &Resolved {
        self.state().resolved()
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
        match state.asked() {
            Some(Asked::Lost(_)) => return true,
            Some(Asked::Locating(_) | Asked::Oldest) => return false,
            None => {}
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
            self.hub.count_cut_look();
        }
    }

    /// Returns whether the stream at this place was closed while its reader was away.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let state = self.state();
        self.hub.read().is_closed(&state.resolved, state.position(self.after))
    }

    /// Returns whether the reader has come back to a topic whose stream has ended, and was sent all of it.
    pub(crate) fn is_over(&mut self) -> bool {
        let state = self.state();
        let may_be = state.ends.are_after_place() && state.only_topic().is_some();
        if !may_be || !self.hub.has_streams() || self.is_unsettled() || self.has_gap() {
            return false;
        }
        let view = self.hub.read().view_of(self.resolved());
        self.hub.is_stream_over(&view, self.after)
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
    /// The topics that the view names.
    #[must_use]
    pub fn topics(&self) -> &[TopicKey] {
        self.resolved.keys()
    }

    /// The groups of the view's patterns.
    #[must_use]
    pub fn groups(&self) -> &[GroupKey] {
        self.resolved.groups()
    }

    /// The topic of a view that has nothing else.
    #[must_use]
    pub fn only_topic(&self) -> Option<TopicKey> {
        self.resolved.only_topic()
    }

    /// Returns whether the view's grant is limited. Such a slot takes private events, and, if the view has
    /// patterns, which may be wider than the grant, all events only as far as the grant
    /// [allows](ReaderState::allows) them. The topics that the view names must be
    /// [allowed](crate::Grant::allows_topic).
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.resolved.grant().is_some()
    }

    /// Returns whether the view's grant allows the events of a topic, private ones or the others. An event
    /// of several topics may be allowed for another one of them.
    #[must_use]
    pub fn allows(&self, topic: &Topic, is_private: bool) -> bool {
        let mut grant = self.resolved.grant().into_iter();
        grant.all(|grant| grant.allows(std::iter::once(topic.as_str()), is_private))
    }

    /// Returns whether the place is still to be found, or a gap to be told: until then, a client cannot be
    /// given a place.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.asked().is_some()
    }

    fn asked(&self) -> Option<&Asked> {
        self.unsettled.as_ref()?.asked.as_ref()
    }

    fn set_asked(&mut self, asked: Option<Asked>) {
        if asked.is_some() || self.unsettled.is_some() {
            self.unsettled.get_or_insert_default().asked = asked;
        }
        self.settle();
    }

    /// Forgets the losses that the reader knows of, since it has been sent everything: none of them comes after the tail.
    pub fn forget_told(&mut self) {
        self.set_told(None);
    }

    fn set_told(&mut self, told: Option<Box<Told>>) {
        if told.is_some() || self.unsettled.is_some() {
            let unsettled = self.unsettled.get_or_insert_default();
            (unsettled.told, unsettled.counting) = (told, None);
        }
        self.settle();
    }

    /// Gives back the room of what a reader at its place does not have.
    fn settle(&mut self) {
        if let Some(unsettled) = &self.unsettled
            && unsettled.asked.is_none()
            && unsettled.ticket.is_none()
            && unsettled.told.is_none()
        {
            self.unsettled = None;
        }
    }

    pub(crate) fn read(
        &mut self,
        hub: &Hub,
        after: &mut Sequence,
        (max, wait): (&mut ReadMax, Wait<'_>),
        mut visit: impl FnMut(Seen<'_>),
    ) -> Read {
        if self.is_unsettled() && !self.settle_start(hub, after, wait) {
            return Read::Waiting;
        }
        let history = hub.read();
        let mut position = self.position(*after);
        if !self.is_unsettled() {
            let visit_held = |held: Held<'_>| visit(Seen::Held(&history, held));
            let stop = history.read(&self.resolved, &mut position, max, visit_held);
            let before = std::mem::replace(after, position.after);
            (self.told_at, self.ends) = (position.told_at, position.ends);
            match stop {
                Stop::Tail => {
                    // Of what was read now, a slot may have to be given some again.
                    if before == *after {
                        self.forget_told();
                    }
                    return Read::Tail;
                }
                Stop::Full => return Read::Full,
                Stop::Closed => return Read::Closed,
                Stop::Behind => {
                    drop(history);
                    return self.read_kept(hub, after, (max, wait), visit);
                }
                Stop::Gap => {
                    let before = Cursor { epoch: history.epoch(), sequence: before };
                    self.set_asked(Some(Asked::Lost(before.to_string().into())));
                }
            }
        }
        // The place that was asked for is kept until the oldest event is found, however many looks that takes.
        let passed = history.pass_lost(&self.resolved, &mut position, &mut max.steps);
        (*after, self.told_at) = (position.after, position.told_at);
        if let Passed::To(_) = passed {
            let told = history.told_now(&self.resolved, hub.time());
            self.set_told(told);
        }
        drop(history);
        match passed {
            Passed::To(oldest) => self.tell_gap(hub, *after, oldest),
            Passed::Looking => Read::Full,
            Passed::Behind => self.pass_kept(hub, after, (max, wait)),
        }
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
        ReadPosition { after, told_at: self.told_at, ends: self.ends }
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

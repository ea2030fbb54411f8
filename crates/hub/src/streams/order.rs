//! The streams of a shared journal, as its order decides them.
//!
//! A pure machine over the messages of the store: what it makes of a message depends on the messages that came after
//! those which the writer had read, and on what the message itself says of the streams before. Every hub that has
//! read these messages comes to the same verdicts, whenever it started.
//!
//! A writer puts the [state](StreamState) of a topic's stream before the first entry that is about it. A reader that
//! has read nothing newer of the stream takes that state; else it goes by its own. Of a topic without either there is
//! no stream.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Found;

use super::ask::{Ask, SeenStream, StreamDates, StreamState};
use super::decided::Decided;
use super::deciding::{Accepted, Declined, Turns, decide};
use super::mark::StreamMark;
use super::parts::{EndNotice, StreamClose, StreamReason};
use super::request::{Append, StreamRefused};
use crate::cursor::Sequence;
use crate::journal::shared::{end_of, message_of};
use crate::journal::{Content, Entry, NotCommitted, Outcome};
use crate::time::Time;
use crate::topic::Topic;

/// The latest streams of all topics, and the request that is being read.
#[derive(Default)]
pub(crate) struct Order {
    topics: HashMap<Topic, Known>,
    /// Ended streams are looked through for those to forget when there are so many.
    sweep_at: usize,
    unit: Option<Unit>,
    /// Topics of records that could not be decided, and the newest message of such a record. Messages whose writers
    /// had not read that one cannot be decided either.
    unsure: HashMap<Topic, u64>,
    /// Streams of which it was told when they began, and whose beginnings were not read.
    found: Vec<(Topic, StreamState)>,
    /// Bytes that the topics' names and the states have allocated, but for the tables.
    heap_bytes: usize,
}

struct Known {
    state: StreamState,
    /// The message that has told the state last.
    told_by: u64,
    /// The message that has told last when the stream began.
    dated_by: u64,
    /// Bytes that it has allocated, as they were charged.
    charged: usize,
}

/// The message that is being read.
#[derive(Clone, Copy)]
pub(crate) struct Reader {
    pub(crate) message: u64,
    /// When the store took it, in milliseconds.
    pub(crate) time: u64,
    pub(crate) writer: u64,
    /// The end of what its writer had read.
    pub(crate) read: Sequence,
}

/// The fate of a record.
pub(crate) enum Taken {
    /// It is this entry.
    Entry(Entry, Outcome),
    /// It is no entry.
    Void(Outcome),
}

/// The rest of a request to append.
struct Unit {
    left: usize,
    fate: Fate,
}

enum Fate {
    /// Its marks: the one that goes before the events, and the end.
    Accepted {
        begun: Option<Box<Decided>>,
        room: Option<StreamMark>,
        end: Option<StreamMark>,
        place: Sequence,
    },
    /// Nothing of it is an entry.
    Void(Outcome),
    /// It was accepted before: its next event, the last one of the stream, and its end.
    Repeated { begun: Outcome, next: Sequence, last: Sequence, end: Outcome },
}

/// Streams that are known before ended ones are looked through.
const SWEEP_MIN: usize = 1024;
/// A slot of the table of topics, and of those that cannot be decided.
const SLOT_BYTES: usize = size_of::<(Topic, Known)>() + 1;
const UNSURE_BYTES: usize = size_of::<(Topic, u64)>() + 1;

impl Order {
    pub(crate) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Bytes that all of it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.topics.capacity() * SLOT_BYTES
            + self.unsure.capacity() * UNSURE_BYTES
            + self.heap_bytes
    }

    /// The streams that are not over, and of which no message after one tells when they began.
    pub(crate) fn untold_since(
        &self,
        message: u64,
        time: u64,
    ) -> impl Iterator<Item = (&Topic, StreamDates)> {
        let is_untold =
            move |known: &Known| known.dated_by <= message && !known.state.is_forgotten(time);
        let untold = self.topics.iter().filter(move |(_, known)| is_untold(known));
        untold.filter_map(|(topic, known)| Some((topic, known.state.dates?)))
    }

    /// Returns whether there are streams to [take](Self::take_found).
    pub(crate) fn has_found(&self) -> bool {
        !self.found.is_empty()
    }

    /// Takes the streams that others have told of, and whose beginnings were not read.
    pub(crate) fn take_found(&mut self) -> Vec<(Topic, StreamState)> {
        std::mem::take(&mut self.found)
    }

    /// The state of a topic's stream as of everything that was read.
    pub(crate) fn state(&self, topic: &Topic) -> Option<&StreamState> {
        self.topics.get(topic).map(|known| &known.state)
    }

    /// The open streams whose producers have not left, and whose newest entry came by a hub for which `is_gone` holds.
    pub(crate) fn left_by(
        &self,
        is_gone: impl Fn(u64) -> bool,
    ) -> impl Iterator<Item = (&Topic, Ask)> {
        let is_left = move |state: &StreamState| {
            let Decided { is_open, is_stopped, .. } = state.decided;
            let is_known = state.writer != StreamState::UNKNOWN;
            is_open && !is_stopped && !state.has_left && is_known && is_gone(state.writer)
        };
        let states = self.topics.iter().map(|(topic, known)| (topic, &known.state));
        states.filter(move |(_, state)| is_left(state)).map(|(topic, state)| {
            let begin = Sequence::new(state.decided.turn.begun).unwrap_or_default();
            let seen = SeenStream { begin, last: state.last };
            (topic, Ask::Left(state.decided.turn, Some(seen)))
        })
    }

    /// Adds what is known of streams from before the first message that was read.
    pub(crate) fn restore(&mut self, states: Vec<(Topic, StreamState)>) {
        for (topic, state) in states {
            let begin = Sequence::new(state.decided.turn.begun).unwrap_or_default();
            let known = Known { dated_by: message_of(begin), ..Known::new(state, 0) };
            if let Found::Vacant(vacant) = self.topics.entry(topic.clone()) {
                vacant.insert(known);
                self.charge(&topic);
            }
        }
    }

    /// Ends what the message before has begun: a request is in one message. No writer of a message that counts is
    /// behind `oldest`.
    pub(crate) fn begin_message(&mut self, oldest: u64) {
        self.unit = None;
        self.unsure.retain(|_, message| *message > oldest);
    }

    /// Returns whether a record cannot be decided.
    pub(crate) fn is_unsure(&self, entry: &Entry, by: Reader) -> bool {
        let is_unread = |message: &u64| end_of(*message) > by.read;
        !self.unsure.is_empty()
            && entry.topics.as_slice().iter().any(|it| self.unsure.get(it).is_some_and(is_unread))
    }

    /// Notes a record that was not decided.
    pub(crate) fn lose(&mut self, entry: &Entry, message: u64) {
        for topic in entry.topics.as_slice() {
            self.unsure.insert(topic.clone(), message);
        }
    }

    /// Decides a record of a message.
    pub(crate) fn take(&mut self, mut entry: Entry, by: Reader) -> Taken {
        let in_unit = self.unit.as_mut().is_some_and(|unit| {
            let is_in = unit.left > 0;
            unit.left = unit.left.saturating_sub(1);
            is_in
        });
        let mark = match &mut entry.content {
            Content::Stream(mark) => mark,
            Content::Event(_) if in_unit => return self.event_of_unit(entry, by),
            Content::Event(_) => return self.event(entry, by),
            Content::Close => return Taken::committed(entry),
        };
        match std::mem::replace(mark, StreamMark::Room) {
            StreamMark::State(state) => {
                self.adopt(&entry, *state, by);
                Taken::Void(Outcome::Unknown)
            }
            StreamMark::Dates(dates) => {
                self.date(&entry, *dates, by);
                Taken::Void(Outcome::Void)
            }
            StreamMark::Ask(ask) => match *ask {
                Ask::Append(request, count) => {
                    let topic = entry.topics.as_slice().first().cloned();
                    let taken = self.append(entry, &request, count as usize, by);
                    topic.iter().for_each(|topic| self.charge(topic));
                    taken
                }
                ask => self.ask(entry, &ask, by),
            },
            StreamMark::Room if in_unit => self.room(entry, by),
            _ => Taken::Void(Outcome::Unknown),
        }
    }

    fn adopt(&mut self, entry: &Entry, state: StreamState, by: Reader) {
        let Some(topic) = entry.topics.as_slice().first() else { return };
        let told_by = by.message;
        match self.topics.entry(topic.clone()) {
            Found::Vacant(vacant) => drop(vacant.insert(Known::new(state, told_by))),
            Found::Occupied(mut found) => {
                let known = found.get_mut();
                if known.state.last <= by.read {
                    let dates = known.state.dates.filter(|dates| dates.is_of(&state));
                    known.state = StreamState { dates, ..state };
                }
                known.told_by = told_by;
            }
        }
        self.charge(topic);
        self.sweep(by.time);
    }

    /// Notes when a stream began, and how it ended: the state was told before it in the same message.
    fn date(&mut self, entry: &Entry, dates: StreamDates, by: Reader) {
        let Some(topic) = entry.topics.as_slice().first() else { return };
        let Some(known) = self.topics.get_mut(topic) else { return };
        if known.told_by != by.message || !dates.is_of(&known.state) {
            return;
        }
        known.dated_by = by.message;
        if known.state.dates.is_none() {
            known.state.dates = Some(dates);
            self.found.push((topic.clone(), known.state.clone()));
        }
    }

    /// Charges what a topic's stream has allocated.
    fn charge(&mut self, topic: &Topic) {
        let Some(known) = self.topics.get_mut(topic) else { return };
        let bytes = topic.as_str().len() + known.state.decided.heap_bytes();
        self.heap_bytes = self.heap_bytes - known.charged + bytes;
        known.charged = bytes;
    }

    /// The state that a record is decided by.
    fn effective(&mut self, topic: &Topic, by: Reader) -> Option<&mut StreamState> {
        let known = self.topics.get_mut(topic)?;
        known.is_effective(by).then_some(&mut known.state)
    }

    /// Checks that an event of no producer belongs to the streams of its topics.
    pub(crate) fn check_event(&self, entry: &Entry, by: Reader) -> Result<(), StreamRefused> {
        if self.topics.is_empty() {
            return Ok(());
        }
        let known = entry.topics.as_slice().iter().filter_map(|topic| self.topics.get(topic));
        let mut effective = known.filter(|known| known.is_effective(by));
        effective.try_for_each(|known| known.state.decided.check_event())
    }

    /// An event of no request: of no producer.
    fn event(&mut self, entry: Entry, by: Reader) -> Taken {
        if self.topics.is_empty() {
            return Taken::committed(entry);
        }
        if let Err(why) = self.check_event(&entry, by) {
            return Taken::Void(Outcome::Refused(why));
        }
        self.count(&entry, by);
        Taken::committed(entry)
    }

    fn count(&mut self, entry: &Entry, by: Reader) {
        for topic in entry.topics.as_slice() {
            let Some(state) = self.effective(topic, by) else { continue };
            state.decided.renew(by.time);
            state.decided.events += 1;
            state.note(entry.sequence, by);
            let first = state.held.map_or(entry.sequence, |(first, _)| first);
            state.held = Some((first, entry.sequence));
        }
    }

    fn event_of_unit(&mut self, entry: Entry, by: Reader) -> Taken {
        match self.unit.as_mut().map(|unit| &mut unit.fate) {
            Some(Fate::Void(outcome)) => Taken::Void(*outcome),
            Some(Fate::Repeated { next, last, .. }) => {
                let place = (*next).min(*last);
                *next = place.next();
                Taken::Void(Outcome::Duplicate(place))
            }
            _ => {
                self.count(&entry, by);
                Taken::committed(entry)
            }
        }
    }

    /// Decides a request to append, and what becomes of its own place.
    fn append(&mut self, mut entry: Entry, request: &Append, count: usize, by: Reader) -> Taken {
        let Some(topic) = entry.topics.as_slice().first().cloned() else {
            return Taken::Void(Outcome::Unknown);
        };
        let place = entry.sequence;
        let turns = Turns { begun: place.next().get(), turn: place.get() };
        let events = count.saturating_sub(1 + usize::from(request.end.is_some())) as u64;
        let found = self.effective(&topic, by);
        let repeated = found.as_ref().map(|state| state.repeated(request, events));
        let decided =
            decide(found.map(|state| &mut state.decided), (request, events), turns, by.time);
        let (taken, fate) = match decided {
            Err(Declined::Repeated) => {
                let fate = repeated.unwrap_or(Fate::Void(Outcome::Unknown));
                let turn = self.effective(&topic, by).map_or(0, |state| state.decided.turn.turn);
                let turn = Outcome::Duplicate(Sequence::new(turn).unwrap_or_default());
                match fate {
                    Fate::Void(outcome) => (Taken::Void(outcome), fate),
                    fate => (Taken::Void(turn), fate),
                }
            }
            Err(Declined::Refused(why)) => {
                let refused = Outcome::Refused(why);
                (Taken::Void(refused), Fate::Void(refused))
            }
            Err(Declined::Duplicate) => (Taken::Void(Outcome::Void), Fate::Void(Outcome::Void)),
            Ok(accepted) => {
                let (mark, outcome, fate) = self.accept(&topic, accepted, (place, events), by);
                let taken = match mark {
                    Some(mark) => {
                        entry.content = Content::Stream(mark);
                        Taken::Entry(entry, outcome)
                    }
                    None => Taken::Void(outcome),
                };
                (taken, fate)
            }
        };
        self.unit = Some(Unit { left: count, fate });
        taken
    }

    /// Takes the marks of an accepted request: the one for its own place, and the outcome of that. Its events are
    /// counted as they come.
    fn accept(
        &mut self,
        topic: &Topic,
        accepted: Accepted,
        (place, events): (Sequence, u64),
        by: Reader,
    ) -> (Option<StreamMark>, Outcome, Fate) {
        let Accepted { before, after: end, mut begun, is_in_stream } = accepted;
        let uncount = |decided: &mut Decided| decided.events -= events;
        begun.iter_mut().for_each(uncount);
        let mut marks = before.into_iter();
        let (own, room) = match begun {
            Some(_) if marks.len() > 1 => (marks.next(), marks.next()),
            Some(_) => (None, marks.next()),
            None => (marks.next(), None),
        };
        let (mut own, mut turn) = (own, place);
        if begun.is_none()
            && is_in_stream
            && let Some(state) = self.effective(topic, by)
        {
            uncount(&mut state.decided);
            turn = Sequence::new(state.decided.turn.turn).unwrap_or_default();
            if events == 0 && end.is_none() && own.is_none() {
                // The other hubs must know that somebody is there.
                own = Some(StreamMark::Continued);
            }
            if own.is_some() {
                state.note(place, by);
            }
        }
        let begun = begun.map(Box::new);
        (own, Outcome::Committed(turn), Fate::Accepted { begun, room, end, place })
    }

    /// Decides a place that a request has left for a mark: the first one for its beginning, the other for its end.
    fn room(&mut self, mut entry: Entry, by: Reader) -> Taken {
        let Some(topic) = entry.topics.as_slice().first().cloned() else {
            return Taken::Void(Outcome::Unknown);
        };
        let Some(unit) = &mut self.unit else { return Taken::Void(Outcome::Unknown) };
        let (begun, room, end, place) = match &mut unit.fate {
            Fate::Void(outcome) => return Taken::Void(*outcome),
            Fate::Repeated { begun, end, .. } => {
                let outcome = *begun;
                *begun = *end;
                return Taken::Void(outcome);
            }
            Fate::Accepted { begun, room, end, place } => (begun, room, end, *place),
        };
        if entry.sequence == place.next() {
            let (begun, mark) = (begun.take(), room.take());
            if let (Some(decided), Some(mark)) = (begun, mark) {
                entry.content = Content::Stream(mark);
                let state = StreamState::begun(*decided, entry.sequence, by);
                let charged = self.topics.get(&topic).map_or(0, |known| known.charged);
                let known =
                    Known { dated_by: by.message, charged, ..Known::new(state, by.message) };
                self.topics.insert(topic.clone(), known);
                self.charge(&topic);
                self.sweep(by.time);
                return Taken::committed(entry);
            }
            let begun = self.effective(&topic, by).map_or(0, |state| state.decided.turn.begun);
            return Taken::Void(Outcome::Committed(Sequence::new(begun).unwrap_or_default()));
        }
        let Some(StreamMark::End(mut close, key)) = end.take() else {
            return Taken::Void(Outcome::Unknown);
        };
        if let Some(state) = self.effective(&topic, by) {
            close.events = state.decided.events;
            state.note(entry.sequence, by);
            state.note_end(entry.sequence, by.time, close);
        }
        entry.content = Content::Stream(StreamMark::End(close, key));
        Taken::committed(entry)
    }

    /// Decides a request that is a mark of its own.
    fn ask(&mut self, mut entry: Entry, ask: &Ask, by: Reader) -> Taken {
        let found = entry.topics.as_slice().first().and_then(|topic| self.effective(topic, by));
        let Some(state) = found.filter(|state| state.decided.is_open) else {
            return Taken::Void(Outcome::Void);
        };
        let decided = &mut state.decided;
        let is_meant =
            |seen: &SeenStream| seen.begin.get() == decided.turn.begun && seen.last >= state.last;
        let mark = match ask {
            Ask::Stop(begin) if !decided.is_stopped => {
                if begin.is_some_and(|begin| begin.get() != decided.turn.begun) {
                    return Taken::Void(Outcome::Void);
                }
                decided.is_stopped = true;
                StreamMark::Stop
            }
            Ask::End { seen, is_expired } if is_meant(seen) => {
                let reason = match is_expired {
                    true => StreamReason::Expired,
                    false => decided.reason_without_producer(),
                };
                decided.close(by.time);
                let close = decided.closed_by(reason, EndNotice::Event);
                state.note_end(entry.sequence, by.time, close);
                StreamMark::End(close, None)
            }
            Ask::Left(turn, seen) if *turn == decided.turn && !state.has_left => {
                if seen.as_ref().is_some_and(|seen| !is_meant(seen)) {
                    return Taken::Void(Outcome::Void);
                }
                StreamMark::Left
            }
            _ => return Taken::Void(Outcome::Void),
        };
        // None of these is a sign of the producer.
        state.last = entry.sequence;
        state.has_left |= mark == StreamMark::Left;
        entry.content = Content::Stream(mark);
        Taken::committed(entry)
    }

    /// Passes over a record that is decided by its key.
    pub(crate) fn skip(&mut self) {
        if let Some(unit) = &mut self.unit {
            unit.left = unit.left.saturating_sub(1);
        }
    }

    /// Forgets the streams that ended long ago, now and then.
    fn sweep(&mut self, time: u64) {
        if self.topics.len() < self.sweep_at.max(SWEEP_MIN) {
            return;
        }
        let heap_bytes = &mut self.heap_bytes;
        self.topics.retain(|_, known| {
            let is_forgotten = known.state.is_forgotten(time);
            if is_forgotten {
                *heap_bytes -= known.charged;
            }
            !is_forgotten
        });
        self.sweep_at = 2 * self.topics.len();
    }
}

impl Taken {
    fn committed(entry: Entry) -> Self {
        let outcome = Outcome::Committed(entry.sequence);
        Self::Entry(entry, outcome)
    }
}

impl Known {
    fn new(state: StreamState, told_by: u64) -> Self {
        Self { state, told_by, dated_by: 0, charged: 0 }
    }

    /// Returns whether records of a message are decided by it.
    fn is_effective(&self, by: Reader) -> bool {
        let counts = self.state.last > by.read || self.told_by == by.message;
        counts && !self.state.is_forgotten(by.time)
    }
}

impl StreamDates {
    /// Returns whether they are those of a stream as it stands.
    fn is_of(&self, state: &StreamState) -> bool {
        self.begin.get() == state.decided.turn.begun && self.ended.is_some() == state.end.is_some()
    }
}

impl StreamState {
    fn begun(decided: Decided, sequence: Sequence, by: Reader) -> Self {
        let (held, end, has_left) = (None, None, false);
        let began = Time::from_unix_millis(by.time);
        let dates = Some(StreamDates { begin: sequence, began, ended: None });
        Self { decided, writer: by.writer, last: sequence, held, end, has_left, dates }
    }

    fn note_end(&mut self, sequence: Sequence, time: u64, close: StreamClose) {
        self.end = Some(sequence);
        if let Some(dates) = &mut self.dates {
            dates.ended = Some((Time::from_unix_millis(time), close));
        }
    }

    /// Notes the newest entry.
    fn note(&mut self, sequence: Sequence, by: Reader) {
        (self.last, self.writer, self.has_left) = (sequence, by.writer, false);
    }

    fn is_forgotten(&self, time: u64) -> bool {
        !self.decided.is_open && self.decided.expires_at < time
    }

    /// The fate of a request that has begun or ended the stream before.
    fn repeated(&self, request: &Append, events: u64) -> Fate {
        if request.end.is_some() && self.end.is_none() {
            // The first request is still under way.
            return Fate::Void(Outcome::NotCommitted(NotCommitted::Busy));
        }
        let begin = Sequence::new(self.decided.turn.begun).unwrap_or_default();
        let last = self.held.map_or(begin, |(_, last)| last);
        let next = request.repeated_event((begin, last, self.end), (0, events as usize));
        Fate::Repeated {
            begun: Outcome::Duplicate(begin),
            next,
            last,
            end: Outcome::Duplicate(self.end.unwrap_or(begin)),
        }
    }
}

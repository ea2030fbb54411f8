//! The streams of a shared journal, as its order decides them.
//!
//! A pure machine over the messages of the store: what it makes of a message depends on the messages that came after
//! those which the writer had read, and on what the message itself says of the streams before. Every hub that has
//! read these messages comes to the same verdicts, whenever it started.
//!
//! A writer puts the [state](StreamState) of a topic's stream before the first entry that is about it. A reader that
//! has read nothing newer of the stream takes that state; else it goes by its own. Of a topic without either there is
//! no stream.

mod known;

use std::collections::HashMap;

use self::known::KnownStreams;
pub(crate) use self::known::Reader;
use super::ask::{Ask, SeenStream, StreamDates, StreamState};
use super::decided::Decided;
use super::deciding::{Accepted, Declined, Turns, decide};
use super::mark::StreamMark;
use super::parts::{EndNotice, StreamReason};
use super::request::{Append, StreamRefused};
use crate::cursor::Sequence;
use crate::journal::shared::{CameBy, end_of};
use crate::journal::{Content, Entry, NotCommitted, Outcome};
use crate::topic::Topic;

/// The latest streams of all topics, and the request that is being read.
#[derive(Default)]
pub(crate) struct Order {
    streams: KnownStreams,
    unit: Option<Unit>,
    /// Topics of records that could not be decided, and the newest message of such a record. Messages whose writers
    /// had not read that one cannot be decided either.
    unsure: HashMap<Topic, u64>,
}

/// The fate of a record.
pub(crate) enum Taken {
    /// It is this entry.
    Entry(Entry, Outcome),
    /// It is no entry.
    Void(Outcome),
    /// It tells how a stream stands, which is an entry of copies alone: what they have is all that a hub reads again
    /// when it restarts.
    Told(Entry),
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

/// A slot of the table of topics that cannot be decided.
const UNSURE_BYTES: usize = size_of::<(Topic, u64)>() + 1;

impl Order {
    pub(crate) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Bytes that all of it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.streams.bytes() + self.unsure.capacity() * UNSURE_BYTES
    }

    /// The streams that are not over, and of which no message after one tells when they began.
    pub(crate) fn untold_since(
        &self,
        message: u64,
        time: u64,
    ) -> impl Iterator<Item = (&Topic, StreamDates)> {
        self.streams.untold_since(message, time)
    }

    /// Returns whether there are streams to [take](Self::take_found).
    pub(crate) fn has_found(&self) -> bool {
        self.streams.has_found()
    }

    /// Takes the streams that others have told of, and whose beginnings or latest entries were not read.
    pub(crate) fn take_found(&mut self) -> Vec<(Topic, StreamState)> {
        self.streams.take_found()
    }

    /// The state of a topic's stream as of everything that was read.
    pub(crate) fn state(&self, topic: &Topic) -> Option<&StreamState> {
        self.streams.state(topic)
    }

    /// The open streams whose producers have not left, and whose newest entry came by a hub for which `is_gone` holds.
    pub(crate) fn left_by(
        &self,
        is_gone: impl Fn(CameBy) -> bool,
    ) -> impl Iterator<Item = (&Topic, Ask)> {
        self.streams.left_by(is_gone)
    }

    /// Adds what is known of streams from before the first message that was read.
    pub(crate) fn restore(&mut self, states: Vec<(Topic, StreamState)>) {
        self.streams.restore(states);
    }

    /// Ends what the message before has begun: a request is in one message. No writer of a message that counts is
    /// behind `oldest`.
    pub(crate) fn begin_message(&mut self, oldest: u64) {
        self.unit = None;
        self.streams.begin_message(oldest);
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
                self.streams.adopt(&entry, *state, by);
                Taken::Void(Outcome::Unknown)
            }
            StreamMark::Dates(dates) => match self.streams.date(&entry, *dates, by) {
                Some(state) => {
                    entry.content = Content::Stream(StreamMark::Told(Box::new(state)));
                    Taken::Told(entry)
                }
                None => Taken::Void(Outcome::Void),
            },
            StreamMark::Ask(ask) => match *ask {
                Ask::Append(request, count) => {
                    let topic = entry.topics.as_slice().first().cloned();
                    let taken = self.append(entry, &request, count as usize, by);
                    topic.iter().for_each(|topic| self.streams.charge(topic));
                    taken
                }
                ask => self.ask(entry, &ask, by),
            },
            StreamMark::Room if in_unit => self.room(entry, by),
            _ => Taken::Void(Outcome::Unknown),
        }
    }

    /// Checks that an event of no producer belongs to the streams of its topics.
    pub(crate) fn check_event(&self, entry: &Entry, by: Reader) -> Result<(), StreamRefused> {
        self.streams.check_event(entry, by)
    }

    /// An event of no request: of no producer.
    fn event(&mut self, entry: Entry, by: Reader) -> Taken {
        if self.streams.is_empty() {
            return Taken::committed(entry);
        }
        if let Err(why) = self.check_event(&entry, by) {
            return Taken::Void(Outcome::Refused(why));
        }
        self.streams.count(&entry, by);
        Taken::committed(entry)
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
                self.streams.count(&entry, by);
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
        let found = self.streams.effective(&topic, by);
        let repeated = found.as_ref().map(|state| state.repeated(request, events));
        let decided =
            decide(found.map(|state| &mut state.decided), (request, events), turns, by.time);
        let (taken, fate) = match decided {
            Err(Declined::Repeated) => {
                let fate = repeated.unwrap_or(Fate::Void(Outcome::Unknown));
                let turn =
                    self.streams.effective(&topic, by).map_or(0, |state| state.decided.turn.turn);
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
            && let Some(state) = self.streams.effective(topic, by)
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
                self.streams.begin(&topic, state, by);
                return Taken::committed(entry);
            }
            let begun =
                self.streams.effective(&topic, by).map_or(0, |state| state.decided.turn.begun);
            return Taken::Void(Outcome::Committed(Sequence::new(begun).unwrap_or_default()));
        }
        let Some(StreamMark::End(mut close, key)) = end.take() else {
            return Taken::Void(Outcome::Unknown);
        };
        if let Some(state) = self.streams.effective(&topic, by) {
            close.events = state.decided.events;
            state.note(entry.sequence, by);
            state.note_end(entry.sequence, by.time, close);
        }
        entry.content = Content::Stream(StreamMark::End(close, key));
        Taken::committed(entry)
    }

    /// Decides a request that is a mark of its own.
    fn ask(&mut self, mut entry: Entry, ask: &Ask, by: Reader) -> Taken {
        let topic = entry.topics.as_slice().first();
        if let (Ask::Free { seen, last, end }, Some(topic)) = (ask, topic) {
            if !self.streams.free(topic, *seen, entry.sequence, by) {
                return Taken::Void(Outcome::Void);
            }
            let freed = StreamMark::Freed { last: *last, end: Some(*end) };
            entry.content = Content::Stream(freed);
            return Taken::committed(entry);
        }
        let found = topic.and_then(|topic| self.streams.effective(topic, by));
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
}

impl Taken {
    fn committed(entry: Entry) -> Self {
        let outcome = Outcome::Committed(entry.sequence);
        Self::Entry(entry, outcome)
    }
}

impl StreamState {
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

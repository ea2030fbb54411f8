//! The latest streams of all topics, as the order of a shared journal has them.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Found;

use crate::cursor::Sequence;
use crate::journal::Entry;
use crate::journal::shared::{CameBy, message_of};
use crate::streams::ask::{Ask, SeenStream, StreamDates, StreamState};
use crate::streams::decided::Decided;
use crate::streams::parts::StreamClose;
use crate::streams::request::StreamRefused;
use crate::time::Time;
use crate::topic::Topic;

/// The streams of topics, with the messages that have told of them last.
#[derive(Default)]
pub(super) struct KnownStreams {
    topics: HashMap<Topic, Known>,
    /// Ended streams are looked through for those to forget when there are so many.
    sweep_at: usize,
    /// No writer of a message that counts is behind this message.
    oldest: u64,
    /// Streams of which it was told when they began, and whose beginnings or latest entries were not read.
    found: Vec<(Topic, StreamState)>,
    /// Bytes that the topics' names and the states have allocated, but for the table.
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

/// Streams that are known before ended ones are looked through.
const SWEEP_MIN: usize = 1024;
/// A slot of the table of topics.
const SLOT_BYTES: usize = size_of::<(Topic, Known)>() + 1;

impl KnownStreams {
    pub(super) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Bytes that all of it takes.
    pub(super) fn bytes(&self) -> usize {
        self.topics.capacity() * SLOT_BYTES + self.heap_bytes
    }

    /// The streams that are not over, and of which no message after one tells when they began.
    pub(super) fn untold_since(
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
    pub(super) fn has_found(&self) -> bool {
        !self.found.is_empty()
    }

    /// Takes the streams that others have told of, and whose beginnings or latest entries were not read.
    pub(super) fn take_found(&mut self) -> Vec<(Topic, StreamState)> {
        std::mem::take(&mut self.found)
    }

    /// The state of a topic's stream as of everything that was read.
    pub(super) fn state(&self, topic: &Topic) -> Option<&StreamState> {
        self.topics.get(topic).map(|known| &known.state)
    }

    /// The open streams whose producers have not left, and whose newest entry came by a hub for which `is_gone` holds.
    pub(super) fn left_by(
        &self,
        is_gone: impl Fn(CameBy) -> bool,
    ) -> impl Iterator<Item = (&Topic, Ask)> {
        let is_left = move |state: &StreamState| {
            let Decided { is_open, is_stopped, .. } = state.decided;
            is_open && !is_stopped && !state.has_left && is_gone(state.came_by())
        };
        let states = self.topics.iter().map(|(topic, known)| (topic, &known.state));
        states.filter(move |(_, state)| is_left(state)).map(|(topic, state)| {
            let begin = Sequence::new(state.decided.turn.begun).unwrap_or_default();
            let seen = SeenStream { begin, last: state.last };
            (topic, Ask::Left(state.decided.turn, Some(seen)))
        })
    }

    /// Adds what is known of streams from before the first message that was read.
    pub(super) fn restore(&mut self, states: Vec<(Topic, StreamState)>) {
        for (topic, state) in states {
            let begin = Sequence::new(state.decided.turn.begun).unwrap_or_default();
            match self.topics.entry(topic.clone()) {
                Found::Vacant(vacant) => {
                    let known = Known { dated_by: message_of(begin), ..Known::new(state, 0) };
                    vacant.insert(known);
                    self.charge(&topic);
                }
                Found::Occupied(mut found) => {
                    // Its state was told since, without when it began.
                    let known = found.get_mut();
                    let dates = state.dates.filter(|dates| dates.is_of(&known.state));
                    if known.state.dates.is_none() && dates.is_some() {
                        known.state.dates = dates;
                        known.dated_by = known.dated_by.max(message_of(begin));
                    }
                }
            }
        }
    }

    /// Begins a message. No writer of one that counts is behind `oldest`.
    pub(super) fn begin_message(&mut self, oldest: u64) {
        self.oldest = oldest;
    }

    /// Decides whether a topic's ended stream is freed by an entry at a place. It is not if its topic has another one by
    /// then, or another hub was first. What is known from before this message counts only if its writer had not read
    /// that, or tells it: others may have forgotten it, or never known.
    pub(super) fn free(
        &mut self,
        topic: &Topic,
        seen: SeenStream,
        place: Sequence,
        by: Reader,
    ) -> bool {
        let known = self.topics.get_mut(topic).filter(|known| known.counts(by));
        let Some(Known { state, .. }) = known else { return true };
        let is_meant = seen.begin.get() == state.decided.turn.begun
            && seen.last >= state.last
            && !state.decided.is_open;
        if is_meant {
            // From here on its topic is as if it had never had one, whatever the store's clock says.
            state.decided.expires_at = 0;
            state.last = place;
        }
        is_meant
    }

    /// Notes a stream that begins.
    pub(super) fn begin(&mut self, topic: &Topic, state: StreamState, by: Reader) {
        let charged = self.topics.get(topic).map_or(0, |known| known.charged);
        let known = Known { dated_by: by.message, charged, ..Known::new(state, by.message) };
        self.topics.insert(topic.clone(), known);
        self.charge(topic);
        self.sweep(by.time);
    }

    /// Takes the state of a stream, as the writer of a message tells it.
    pub(super) fn adopt(&mut self, entry: &Entry, state: StreamState, by: Reader) {
        let Some(topic) = entry.topics.as_slice().first() else { return };
        let told_by = by.message;
        match self.topics.entry(topic.clone()) {
            Found::Vacant(vacant) => drop(vacant.insert(Known::new(state, told_by))),
            Found::Occupied(mut found) => {
                let known = found.get_mut();
                if known.state.last <= by.read {
                    let dates = known.state.dates.filter(|dates| dates.is_of(&state));
                    let is_behind = known.state.last < state.last;
                    known.state = StreamState { dates, ..state };
                    if is_behind && dates.is_some() {
                        // Entries of it were lost. Without its dates, it is found when they are told.
                        self.found.push((topic.clone(), known.state.clone()));
                    }
                }
                known.told_by = told_by;
            }
        }
        self.charge(topic);
        self.sweep(by.time);
    }

    /// Notes when a stream began, and how it ended: the state was told before it in the same message. Returns all
    /// that was told.
    pub(super) fn date(
        &mut self,
        entry: &Entry,
        dates: StreamDates,
        by: Reader,
    ) -> Option<StreamState> {
        let topic = entry.topics.as_slice().first()?;
        let known = self.topics.get_mut(topic)?;
        if known.told_by != by.message || !dates.is_of(&known.state) {
            return None;
        }
        known.dated_by = by.message;
        if known.state.dates.is_none() {
            known.state.dates = Some(dates);
            self.found.push((topic.clone(), known.state.clone()));
        }
        Some(known.state.clone())
    }

    /// Charges what a topic's stream has allocated.
    pub(super) fn charge(&mut self, topic: &Topic) {
        let Some(known) = self.topics.get_mut(topic) else { return };
        let bytes = topic.as_str().len() + known.state.decided.heap_bytes();
        self.heap_bytes = self.heap_bytes - known.charged + bytes;
        known.charged = bytes;
    }

    /// The state that a record is decided by.
    pub(super) fn effective(&mut self, topic: &Topic, by: Reader) -> Option<&mut StreamState> {
        let known = self.topics.get_mut(topic)?;
        known.is_effective(by).then_some(&mut known.state)
    }

    /// Checks that an event of no producer belongs to the streams of its topics.
    pub(super) fn check_event(&self, entry: &Entry, by: Reader) -> Result<(), StreamRefused> {
        if self.topics.is_empty() {
            return Ok(());
        }
        let known = entry.topics.as_slice().iter().filter_map(|topic| self.topics.get(topic));
        let mut effective = known.filter(|known| known.is_effective(by));
        effective.try_for_each(|known| known.state.decided.check_event())
    }

    /// Counts an event of the streams of its topics.
    pub(super) fn count(&mut self, entry: &Entry, by: Reader) {
        for topic in entry.topics.as_slice() {
            let Some(state) = self.effective(topic, by) else { continue };
            state.decided.renew(by.time);
            state.decided.events += 1;
            state.note(entry.sequence, by);
            let first = state.held.map_or(entry.sequence, |(first, _)| first);
            state.held = Some((first, entry.sequence));
        }
    }

    /// Forgets the streams that ended long ago, now and then.
    fn sweep(&mut self, time: u64) {
        if self.topics.len() < self.sweep_at.max(SWEEP_MIN) {
            return;
        }
        let Self { topics, heap_bytes, oldest, .. } = self;
        topics.retain(|_, known| {
            // One that a writer may not have read decides on its request to free the stream before.
            let is_read = message_of(known.state.last) <= *oldest;
            let is_forgotten = is_read && known.state.is_forgotten(time);
            if is_forgotten {
                *heap_bytes -= known.charged;
            }
            !is_forgotten
        });
        self.sweep_at = 2 * self.topics.len();
    }
}

impl Known {
    fn new(state: StreamState, told_by: u64) -> Self {
        Self { state, told_by, dated_by: 0, charged: 0 }
    }

    /// Returns whether records of a message are decided by it.
    fn is_effective(&self, by: Reader) -> bool {
        self.counts(by) && !self.state.is_forgotten(by.time)
    }

    /// Returns whether all hubs that can decide the records of a message know it.
    fn counts(&self, by: Reader) -> bool {
        self.state.last > by.read || self.told_by == by.message
    }
}

impl StreamDates {
    /// Returns whether they are those of a stream as it stands.
    fn is_of(&self, state: &StreamState) -> bool {
        self.begin.get() == state.decided.turn.begun && self.ended.is_some() == state.end.is_some()
    }
}

impl StreamState {
    /// The hub by which the newest entry came.
    fn came_by(&self) -> CameBy {
        match self.writer {
            Self::UNKNOWN => CameBy::HubBefore(message_of(self.last)),
            writer => CameBy::Writer(writer),
        }
    }

    pub(super) fn begun(decided: Decided, sequence: Sequence, by: Reader) -> Self {
        let (held, end, has_left) = (None, None, false);
        let began = Time::from_unix_millis(by.time);
        let dates = Some(StreamDates { begin: sequence, began, ended: None });
        Self { decided, writer: by.writer, last: sequence, held, end, has_left, dates }
    }

    pub(super) fn note_end(&mut self, sequence: Sequence, time: u64, close: StreamClose) {
        self.end = Some(sequence);
        if let Some(dates) = &mut self.dates {
            dates.ended = Some((Time::from_unix_millis(time), close));
        }
    }

    /// Notes the newest entry.
    pub(super) fn note(&mut self, sequence: Sequence, by: Reader) {
        (self.last, self.writer, self.has_left) = (sequence, by.writer, false);
    }

    pub(super) fn is_forgotten(&self, time: u64) -> bool {
        !self.decided.is_open && self.decided.expires_at < time
    }
}

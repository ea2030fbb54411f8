//! The streams of one topic.

use std::collections::VecDeque;
use std::task::Waker;

use super::ask::StreamState;
use super::committed::{Committed, Earlier, Extent};
use super::decided::Decided;
use super::failure::Failure;
use super::mark::EndNotice;
use super::places::Places;
use super::signal::StopSignal;
use crate::cursor::Sequence;
use crate::time::Time;
use crate::topic::Topic;

/// Streams of a topic before its latest one: the answers of a long conversation.
const EARLIER_MAX: usize = 256;

/// The latest stream of a topic, and those before it.
#[derive(Debug)]
pub(crate) struct TopicStream {
    /// Its state after the submitted requests, which may not be committed yet.
    pub(super) decided: Decided,
    /// Its state after the committed entries.
    pub(crate) committed: Option<Committed>,
    /// The streams before that one, of which indexes are still told.
    pub(super) earlier: VecDeque<Earlier>,
    /// Requests that were submitted and not answered.
    pub(super) under_way: u32,
    /// Beginnings among them that were not applied.
    pub(super) beginning: u32,
    /// Why one of them was not committed: what was decided is then to be settled.
    pub(super) failed: Option<Failure>,
    /// The newest entry that was answered as committed.
    pub(super) answered: Sequence,
    /// The newest entry that was applied.
    pub(super) applied: Sequence,
    /// The newest entry that tells its state, if a journal keeps it.
    pub(super) told: Option<Box<Told>>,
    /// Bytes that it has allocated, as they were charged.
    pub(super) charged: usize,
    /// Told of a stop, and of the end of the stream.
    pub(super) signal: Option<StopSignal>,
}

/// An entry that tells the state of a stream: its beginning, or a mark that tells it again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    pub(super) place: Sequence,
    pub(super) at: Time,
    /// The entry up to which the state is told.
    pub(super) as_of: Sequence,
    /// The events up to there.
    pub(super) events: u64,
    /// When a mark was submitted that tells it again, by the hub's steady clock; zero if none is under way.
    pub(super) submitted_at: u64,
}

/// Events after which a stream is told again: [cleaning](crate::journal::disk) leaves superseded events alone until
/// they are counted in what was told.
const TOLD_EVENTS: u64 = 16 * 1024;

impl Told {
    pub(super) fn begin(place: Sequence, at: Time) -> Self {
        Self { place, at, as_of: place, events: 0, submitted_at: 0 }
    }

    /// Returns whether a stream with so many events is to be told again.
    pub(super) fn is_old_at(&self, events: u64) -> bool {
        events >= self.events + TOLD_EVENTS
    }
}

/// A stream that is to be freed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Freed {
    pub(crate) topic: Topic,
    /// The last entry that its readers should have been sent.
    pub(crate) last: Sequence,
    /// Everything that the topic holds up to here is freed.
    pub(crate) through: Sequence,
}

impl TopicStream {
    pub(super) fn new(decided: Decided) -> Self {
        let (answered, applied) = (Sequence::ZERO, Sequence::ZERO);
        let (committed, earlier) = (None, VecDeque::new());
        let (under_way, beginning, failed, charged, signal) = (0, 0, None, 0, None);
        let told = None;
        Self {
            decided,
            committed,
            earlier,
            under_way,
            beginning,
            failed,
            answered,
            applied,
            told,
            charged,
            signal,
        }
    }

    /// Goes on with what was known of a topic's streams before some entries were lost.
    pub(super) fn succeed(&mut self, known: Self, woken: &mut Vec<Waker>) {
        let Self { committed: before, earlier, answered, charged, signal, .. } = known;
        (self.earlier, self.answered, self.charged, self.signal) =
            (earlier, answered, charged, signal);
        let (Some(committed), Some(before)) = (&mut self.committed, before) else { return };
        let begin = committed.begin;
        if begin != before.begin {
            self.keep_earlier(before, begin);
            return self.signal(false, woken);
        }
        let is_stopped = committed.is_stopped && !before.is_stopped;
        let is_over = committed.end.is_some();
        committed.keep_places(before);
        if is_stopped || is_over {
            self.signal(is_stopped, woken);
        }
    }

    /// Notes an entry that tells the state of the stream again.
    pub(super) fn note_told(&mut self, state: &StreamState, place: Sequence, at: Time) {
        let begin = self.committed.as_ref().map(|committed| committed.begin);
        if state.dates.is_some_and(|dates| Some(dates.begin) == begin) {
            let (as_of, events) = (state.last, state.decided.events);
            self.told = Some(Box::new(Told { place, at, as_of, events, submitted_at: 0 }));
        }
    }

    /// The last entry that the readers of an ended stream should have been sent, and its end.
    pub(super) fn ended(&self) -> Option<(Sequence, Sequence)> {
        let committed = self.committed.as_ref()?;
        let (end, _, close) = committed.end?;
        let is_told = close.notice == EndNotice::Event;
        Some((if is_told { end } else { committed.last() }, end))
    }

    pub(super) fn signal(&mut self, is_stopped: bool, woken: &mut Vec<Waker>) {
        if let Some(signal) = self.signal.take() {
            signal.tell(is_stopped, woken);
        }
    }

    /// Charges what it has allocated to a sum.
    pub(super) fn charge(&mut self, sum: &mut usize) {
        let earlier = self.earlier.capacity() * size_of::<Earlier>()
            + self.earlier.iter().map(Earlier::heap_bytes).sum::<usize>();
        let committed = self.committed.as_ref().map_or(0, Committed::heap_bytes);
        let told = self.told.as_ref().map_or(0, |_| size_of::<Told>());
        let bytes = self.decided.heap_bytes() + committed + earlier + told;
        *sum = *sum - self.charged + bytes;
        self.charged = bytes;
    }

    /// Remembers a stream when the next one begins at a place.
    pub(super) fn keep_earlier(&mut self, mut stream: Committed, next: Sequence) {
        self.earlier.push_back(stream.before(next));
        if self.earlier.len() > EARLIER_MAX {
            self.earlier.pop_front();
        }
    }

    /// The streams that are remembered, the latest one first.
    pub(super) fn extents(&self) -> impl Iterator<Item = Extent<'_>> {
        let earlier = self.earlier.iter().rev().map(Earlier::extent);
        self.committed.iter().map(Committed::extent).chain(earlier)
    }

    /// The places of the stream that begins at a place.
    pub(super) fn places_mut(&mut self, begin: Sequence) -> Option<&mut Places> {
        if let Some(latest) = self.committed.as_mut().filter(|latest| latest.begin == begin) {
            return Some(&mut latest.places);
        }
        self.earlier.iter_mut().find(|it| it.extent().begin == begin).map(Earlier::places_mut)
    }

    /// Lets the next requests be decided as the committed entries leave the stream, once everything that was
    /// submitted is among them. That changes something if a request was not committed, or if another node
    /// has committed one. Returns whether the stream is there.
    pub(super) fn settle(&mut self) -> bool {
        if self.under_way > 0 || self.applied < self.answered {
            return true;
        }
        self.beginning = 0;
        let Some(committed) = &self.committed else { return false };
        settle(&mut self.decided, committed);
        if self.failed.take().is_some() {
            self.decided.events = committed.events;
        }
        true
    }
}

/// Lets a stream be as its committed entries leave it.
pub(super) fn settle(decided: &mut Decided, committed: &Committed) {
    decided.options = committed.options.clone();
    decided.producer = committed.producer.clone();
    decided.end_key = committed.end_key.clone();
    decided.is_open = committed.end.is_none();
    decided.is_stopped = committed.is_stopped;
}

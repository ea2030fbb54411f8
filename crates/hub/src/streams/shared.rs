//! The streams of a hub, behind a lock.

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::{Mutex, MutexGuard};

use super::ask::StreamState;
use super::failure::Failure;
use super::state::Streams;
use crate::cursor::Sequence;
use crate::journal::{Committing, Entry, Journal, Outcome};
use crate::time::{Time, millis};
use crate::topic::Topic;

/// The streams of a hub's topics. A hub that never had one pays for a look at a flag.
#[derive(Debug, Default)]
pub(crate) struct SharedStreams {
    is_used: AtomicBool,
    /// Whether requests are decided by the journal.
    is_told: bool,
    /// Bytes that the streams took when entries were noted last.
    bytes: AtomicUsize,
    /// The older part of the journal when streams were last looked through for those to tell again.
    looked_through: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) streams: Streams,
    /// Requests that nobody waits for any more. Whether they were committed is still to be noted; there are no
    /// more than the journal has under way.
    pub(crate) left: Vec<(Topic, Committing)>,
}

impl SharedStreams {
    /// Streams that take about so many bytes at most, of a hub on a journal.
    pub(crate) fn new(bytes_max: usize, journal: &dyn Journal) -> Self {
        let streams = Self { is_told: journal.decides_streams(), ..Self::default() };
        streams.lock().streams.limit(bytes_max);
        if journal.oldest().is_some() {
            streams.lock().streams.free_by_marks();
        }
        streams
    }

    /// Returns whether requests are decided by the journal.
    pub(crate) fn is_told(&self) -> bool {
        self.is_told
    }

    /// Returns whether events are to be decided by this hub before they are submitted.
    pub(crate) fn decides(&self) -> bool {
        self.is_used() && !self.is_told
    }

    pub(crate) fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Acquire)
    }

    /// Bytes that the streams took when entries were noted last.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Returns whether the older part of the journal has grown since the streams were looked through.
    pub(crate) fn has_older(&self, through: Sequence) -> bool {
        through.get() > self.looked_through.load(Ordering::Relaxed)
    }

    /// Notes that they are looked through now; returns whether the older part of the journal has grown since they were.
    pub(crate) fn note_older(&self, through: Sequence) -> bool {
        self.looked_through.fetch_max(through.get(), Ordering::Relaxed) < through.get()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(crate) fn lock_to_use(&self) -> MutexGuard<'_, State> {
        let state = self.lock();
        self.is_used.store(true, Ordering::Release);
        state
    }

    /// Adds streams that other hubs tell of.
    pub(crate) fn tell(&self, told: Vec<(Topic, StreamState)>, time: Time, uptime: u64) {
        if told.is_empty() {
            return;
        }
        let mut state = self.lock_to_use();
        for told in told {
            state.streams.tell(told, time, uptime);
        }
        let woken = mem::take(&mut state.streams.woken);
        self.bytes.store(state.streams.bytes(), Ordering::Relaxed);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Notes entries that are being committed. Those up to `recovered` are of an earlier process.
    pub(crate) fn note(&self, entries: &mut [Entry], recovered: (Sequence, Time), uptime: u64) {
        let mut state = self.lock_to_use();
        let (through, opened_at) = recovered;
        for entry in entries {
            let is_old = entry.sequence <= through;
            match (self.is_told, is_old) {
                (true, _) => {
                    let age = if is_old { millis(opened_at.since(entry.time)) } else { 0 };
                    state.streams.follow(entry, age, uptime);
                }
                (false, true) => state.streams.restore(entry, opened_at, uptime),
                (false, false) => state.streams.apply(entry, uptime),
            }
        }
        let woken = mem::take(&mut state.streams.woken);
        self.bytes.store(state.streams.bytes(), Ordering::Relaxed);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }
}

impl State {
    /// Notes the answers that have come to requests nobody waits for.
    pub(crate) fn note_left(&mut self) {
        let Self { streams, left } = self;
        left.retain_mut(|(topic, committing)| {
            let answered = poll_outcomes(committing, &mut Context::from_waker(Waker::noop()));
            let Poll::Ready(outcomes) = answered else { return true };
            streams.note_answer(topic, answer_of(&outcomes));
            false
        });
    }
}

pub(crate) fn poll_outcomes(
    committing: &mut Committing,
    cx: &mut Context<'_>,
) -> Poll<Vec<Outcome>> {
    match committing {
        Committing::One(outcome) => Poll::Ready(vec![*outcome]),
        Committing::All(outcomes) => Poll::Ready(mem::take(outcomes)),
        Committing::Waiting(outcomes) => outcomes.as_mut().poll(cx),
    }
}

/// The newest entry of a request, or why it was not committed.
pub(crate) fn answer_of(outcomes: &[Outcome]) -> Result<Sequence, Failure> {
    outcomes.iter().try_fold(Sequence::ZERO, |newest, outcome| match *outcome {
        Outcome::Committed(sequence) => Ok(newest.max(sequence)),
        // Of an earlier request.
        Outcome::Duplicate(_) => Ok(newest),
        Outcome::NotCommitted(why) => Err(Failure::NotCommitted(why)),
        Outcome::Unknown | Outcome::Refused(_) | Outcome::Void => Err(Failure::Unknown),
    })
}

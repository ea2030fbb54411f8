//! The log: the queue, the reading and the feed of one hub, behind a lock.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use parking_lot::Mutex;

use super::came_by::CameBy;
use super::feed::Fed;
use super::opening::{SharedConfig, Stopped, Stored};
use super::place::{end_of, message_of};
use super::queue::{Group, Queue};
use super::reading::Reading;
use crate::cursor::Sequence;
use crate::journal::disk::shared::{Answered, answer_all};
use crate::journal::keys::Keys;
use crate::journal::{
    Committing, Copied, DiskJournal, Entry, Feed, JournalError, Lost, NotCommitted, Outcome,
    Submission,
};
use crate::streams::{StreamMark, StreamState};
use crate::time::Now;
use crate::topic::Topic;

/// The state of one hub's part in a shared journal. Clones share it.
#[derive(Clone)]
pub struct SharedLog(Arc<Mutex<State>>);

struct State {
    queue: Queue,
    reading: Reading,
    fed: Fed,
    stopped: Option<Stopped>,
    /// The code beside the transport, waiting for a group or for room.
    sender: Option<Waker>,
    reader: Option<Waker>,
}

/// Streams that are left at once; the others are left at the next call.
const LEFT_MAX: usize = 1_000;

/// Work for when the log is unlocked.
#[derive(Default)]
struct After {
    answered: Answered,
    wakers: Vec<Waker>,
}

impl After {
    fn finish(self) {
        answer_all(self.answered);
        self.wakers.into_iter().for_each(Waker::wake);
    }
}

impl SharedLog {
    /// A log that has read nothing and has nothing to write.
    #[must_use]
    pub fn new(config: SharedConfig) -> Self {
        let fed = Fed::new(config.oldest);
        Self::with(&config, Reading::new(&config, Keys::default()), fed)
    }

    /// A log that goes on after an open copy in the hub's own folder. What it reads is to be
    /// [copied](SharedLog::poll_copies), and its own feed has nothing.
    #[must_use]
    pub fn resume(mut config: SharedConfig, copy: &DiskJournal) -> Self {
        config.copied = copy.copied_to();
        let through = config.copied.map_or(config.oldest, |copied| message_of(copied.through));
        let fed = Fed::to_be_copied(through);
        Self::with(&config, Reading::new(&config, copy.take_keys()), fed)
    }

    fn with(config: &SharedConfig, reading: Reading, fed: Fed) -> Self {
        Self(Arc::new(Mutex::new(State {
            queue: Queue::new(config),
            reading,
            fed,
            stopped: None,
            sender: None,
            reader: None,
        })))
    }

    /// Submits drafts, as [`Journal::append`](crate::journal::Journal::append) does.
    pub fn append(&self, batch: &mut dyn Iterator<Item = Submission>, now: Now) -> Committing {
        let mut state = self.0.lock();
        let State { queue, reading, stopped, .. } = &mut *state;
        if stopped.is_some() {
            let refused = Outcome::NotCommitted(NotCommitted::Stopped);
            return Committing::All(batch.map(|_| refused).collect());
        }
        let committing = queue.submit(batch, now, |key| reading.find_key(key));
        let sender = state.sender.take();
        drop(state);
        sender.into_iter().for_each(Waker::wake);
        committing
    }

    /// Returns the feed: the entries of all messages that are read.
    #[must_use]
    pub fn follow(&self) -> Box<dyn Feed> {
        Box::new(SharedFeed(self.clone()))
    }

    /// Waits for the next group to be sent. Groups are sent one after the other: there is none while one is under way.
    pub fn poll_group(&self, cx: &mut Context<'_>, now: Instant) -> Poll<Group> {
        let mut after = After::default();
        let polled = {
            let mut state = self.0.lock();
            let State { queue, reading, stopped, sender, .. } = &mut *state;
            let group = match stopped {
                None => queue.next_group(reading, now, &mut after.answered),
                Some(_) => None,
            };
            if group.is_none() {
                *sender = Some(cx.waker().clone());
            }
            group.map_or(Poll::Pending, Poll::Ready)
        };
        after.finish();
        polled
    }

    /// Returns whether a group is to be sent until the store has it.
    #[must_use]
    pub fn is_under_way(&self, group: u64) -> bool {
        self.0.lock().queue.is_under_way(group)
    }

    /// Makes a message without entries, which tells all readers of this log's generation.
    #[must_use]
    pub fn marker(&self) -> Vec<u8> {
        let state = self.0.lock();
        state.queue.marker(&state.reading)
    }

    /// Submits that producers have left whose newest events came by hubs for which `is_gone` holds. Others may go on
    /// within the grace.
    pub fn leave_streams(&self, is_gone: impl Fn(CameBy) -> bool, now: Now) {
        let mut state = self.0.lock();
        let State { queue, reading, stopped, .. } = &mut *state;
        if stopped.is_some() || reading.order().is_empty() {
            return;
        }
        let left =
            reading.order().left_by(is_gone).take(LEFT_MAX).map(|(topic, ask)| {
                Submission::Stream(topic.clone(), StreamMark::Ask(Box::new(ask)))
            });
        let left: Vec<_> = left.collect();
        if left.is_empty() {
            return;
        }
        drop(queue.submit(&mut left.into_iter(), now, |_| None));
        let sender = state.sender.take();
        drop(state);
        sender.into_iter().for_each(Waker::wake);
    }

    /// Submits once more how the streams stand of which no message after a place tells when they began, so that a
    /// hub which starts when the beginning is gone lists them too. Returns whether there are more: call it again.
    pub fn tell_streams(&self, through: u64, now: Now) -> bool {
        let mut state = self.0.lock();
        let State { queue, reading, stopped, .. } = &mut *state;
        if stopped.is_some() || reading.order().is_empty() {
            return false;
        }
        let time = now.time.unix_millis();
        let untold = reading.order().untold_since(through, time).take(LEFT_MAX);
        let untold: Vec<_> = untold
            .map(|(topic, dates)| {
                Submission::Stream(topic.clone(), StreamMark::Dates(Box::new(dates)))
            })
            .collect();
        let count = untold.len();
        if count > 0 {
            drop(queue.submit(&mut untold.into_iter(), now, |_| None));
            let sender = state.sender.take();
            drop(state);
            sender.into_iter().for_each(Waker::wake);
        }
        count == LEFT_MAX
    }

    /// Takes the streams that other hubs have told of since the last call.
    #[must_use]
    pub fn take_streams(&self) -> Vec<(Topic, StreamState)> {
        self.0.lock().reading.take_streams()
    }

    /// Adds the states of streams whose marks the hub has read from elsewhere, since the log has not read their
    /// messages.
    pub fn restore_streams(&self, states: Vec<(Topic, StreamState)>) {
        self.0.lock().reading.restore_streams(states);
    }

    /// Has the hub's own copy keep how streams stand, with the next message that is read. Some may be left out: they
    /// have been kept when its feed has told so.
    pub fn keep_streams(&self, states: Vec<(Topic, StreamState)>) {
        self.0.lock().fed.keep_streams(states);
    }

    /// The newest message when the log was made: this hub has written none before it.
    #[must_use]
    pub fn opened_at(&self) -> u64 {
        self.0.lock().reading.opened_at()
    }

    /// The number of this writer.
    #[must_use]
    pub fn writer(&self) -> u64 {
        self.0.lock().queue.writer()
    }

    /// Notes that the store has a group, at this place or before it.
    pub fn acknowledged(&self, group: u64, place: u64) {
        let mut after = After::default();
        {
            let mut state = self.0.lock();
            let through = state.reading.through();
            state.queue.acknowledged(group, (place, through), &mut after.answered);
            after.wakers.extend(state.sender.take());
        }
        after.finish();
    }

    /// Notes that the store does not have a group, and will not have it.
    pub fn refused(&self, group: u64, why: NotCommitted) {
        let mut after = After::default();
        {
            let mut state = self.0.lock();
            state.queue.refused(group, why, &mut after.answered);
            after.wakers.extend(state.sender.take());
        }
        after.finish();
    }

    /// Answers the submissions that have waited too long. Call it some times a second.
    pub fn handle_timeout(&self, now: Instant) {
        let mut after = After::default();
        {
            let mut state = self.0.lock();
            state.queue.handle_timeout(now, &mut after.answered);
            after.wakers.extend(state.sender.take());
        }
        after.finish();
    }

    /// Reads the next message of the store. Messages may be given again; a place that is left out is a
    /// message that the store no longer has.
    ///
    /// # Errors
    ///
    /// [`Stopped`]: the log reads no further, and its feed fails.
    pub fn read(&self, stored: Stored<'_>) -> Result<(), Stopped> {
        let mut after = After::default();
        let result = {
            let mut state = self.0.lock();
            if let Some(stopped) = &state.stopped {
                return Err(stopped.clone());
            }
            let State { queue, reading, fed, .. } = &mut *state;
            let result = reading.read(stored, queue.writer(), fed);
            match &result {
                Ok(own) => {
                    queue.note_read(own.as_ref(), reading.through(), &mut after.answered);
                    fed.keep_back(&mut after.answered);
                }
                Err(stopped) => state.stop(stopped.clone(), &mut after),
            }
            after.wakers.extend(state.fed.take_wakers());
            after.wakers.extend(state.sender.take());
            result.map(drop)
        };
        after.finish();
        result
    }

    /// Notes that the store no longer has any message up to a place that has not been read.
    pub fn skip_through(&self, place: u64) {
        let wakers = {
            let mut state = self.0.lock();
            let State { reading, fed, .. } = &mut *state;
            reading.skip_through(place, fed);
            state.fed.take_wakers()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Stops the log: nothing is read or written from now on.
    pub fn stop(&self, why: Stopped) {
        let mut after = After::default();
        self.0.lock().stop(why, &mut after);
        after.finish();
    }

    /// Why the log was stopped, if it was.
    #[must_use]
    pub fn stopped(&self) -> Option<Stopped> {
        self.0.lock().stopped.clone()
    }

    /// The newest message that was read.
    #[must_use]
    pub fn through(&self) -> u64 {
        self.0.lock().reading.through()
    }

    /// The newest generation of a message that was read.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.lock().reading.generation()
    }

    /// How many messages were read, and how many entries they had.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        self.0.lock().reading.counts()
    }

    /// Messages that were passed over because they are no groups of a hub, or damaged.
    #[must_use]
    pub fn passed_over(&self) -> u64 {
        self.0.lock().reading.passed_over()
    }

    /// The bytes that the idempotency keys and the states of streams take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.lock().reading.bytes()
    }

    /// Waits until the feed has taken so much that more should be read.
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock();
        if state.fed.has_room() || state.stopped.is_some() {
            return Poll::Ready(());
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Waits for messages that are to be copied to the hub's own folder.
    ///
    /// # Errors
    ///
    /// [`JournalError`] if the log was stopped.
    pub fn poll_copies(&self, cx: &mut Context<'_>) -> Poll<Result<Vec<Copied>, JournalError>> {
        let (polled, reader) = {
            let mut state = self.0.lock();
            match state.fed.poll_copies() {
                Poll::Ready(steps) => (Poll::Ready(Ok(steps)), state.reader.take()),
                Poll::Pending => match &state.stopped {
                    Some(why) => (Poll::Ready(Err(JournalError::new(why.to_string(), None))), None),
                    None => {
                        state.fed.await_taken(cx.waker());
                        (Poll::Pending, None)
                    }
                },
            }
        };
        reader.into_iter().for_each(Waker::wake);
        polled
    }

    /// Notes that messages have been copied, up to the end of one.
    pub fn note_copied(&self, through: Sequence) {
        let mut after = After::default();
        {
            let mut state = self.0.lock();
            state.fed.note_copied(message_of(through), &mut after.answered);
            after.wakers = state.fed.take_wakers();
        }
        after.finish();
    }

    /// Waits until the hub has been fed everything up to a message, or could read it from its copy.
    ///
    /// # Errors
    ///
    /// [`JournalError`] if the log was stopped.
    pub fn poll_fed(&self, message: u64, cx: &mut Context<'_>) -> Poll<Result<(), JournalError>> {
        let mut state = self.0.lock();
        if state.fed.taken_through() >= message {
            return Poll::Ready(Ok(()));
        }
        if let Some(stopped) = &state.stopped {
            return Poll::Ready(Err(JournalError::new(stopped.to_string(), None)));
        }
        state.fed.await_taken(cx.waker());
        Poll::Pending
    }
}

impl State {
    fn stop(&mut self, why: Stopped, after: &mut After) {
        if self.stopped.is_some() {
            return;
        }
        self.stopped = Some(why);
        self.queue.stop(&mut after.answered);
        self.fed.stop(&mut after.answered);
        after.wakers.extend(self.fed.take_wakers());
        after.wakers.extend(self.sender.take());
        after.wakers.extend(self.reader.take());
    }
}

impl fmt::Debug for SharedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedLog").field("through", &self.through()).finish_non_exhaustive()
    }
}

/// The feed of a [`SharedLog`].
struct SharedFeed(SharedLog);

impl Feed for SharedFeed {
    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        entries: &mut Vec<Entry>,
    ) -> Poll<Result<(), JournalError>> {
        let (polled, wakers) = {
            let mut state = self.0.0.lock();
            let (has_some, mut wakers) = state.fed.take(entries);
            let polled = if has_some || state.reading.order().has_found() {
                Poll::Ready(Ok(()))
            } else if let Some(stopped) = &state.stopped {
                Poll::Ready(Err(JournalError::new(stopped.to_string(), None)))
            } else {
                state.fed.await_taken(cx.waker());
                Poll::Pending
            };
            wakers.extend(state.reader.take());
            (polled, wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
        polled
    }

    fn try_next(&mut self, entries: &mut Vec<Entry>) -> Result<(), JournalError> {
        let wakers = {
            let mut state = self.0.0.lock();
            let (_, mut wakers) = state.fed.take(entries);
            wakers.extend(state.reader.take());
            wakers
        };
        wakers.into_iter().for_each(Waker::wake);
        Ok(())
    }

    fn take_lost(&mut self) -> Vec<Lost> {
        self.0.0.lock().fed.take_lost()
    }

    fn take_streams(&mut self) -> Vec<(Topic, StreamState)> {
        self.0.take_streams()
    }

    fn through(&self) -> Sequence {
        end_of(self.0.0.lock().fed.taken_through())
    }
}

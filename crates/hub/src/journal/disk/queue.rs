//! The queue from publishers to the writer.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use smallvec::SmallVec;

use super::answer::{Answer, Giver, answer};
use crate::journal::copied::Copied;
use crate::journal::{Evict, JournalError, NotCommitted, Outcome, Submission};
use crate::time::Time;

/// Submissions that the writer has not taken yet.
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    bytes_max: usize,
}

#[derive(Default)]
struct State {
    work: Work,
    bytes: usize,
    /// The number of requests at which the writer is woken.
    wanted: usize,
    is_closed: bool,
}

/// How long the writer waits for more requests. This is less than a sync takes, and it is no wait at all
/// where publishers are few.
const GATHERING_MAX: Duration = Duration::from_micros(100);

/// All the work that the writer takes at once.
#[derive(Default)]
pub(super) struct Work {
    pub(super) requests: VecDeque<Request>,
    pub(super) evictions: Vec<(Evict, Giver<Result<(), JournalError>>)>,
    pub(super) copies: Vec<Copies>,
}

/// Steps of another store that are copied together.
pub(super) type Copies = (Vec<Copied>, Giver<Result<(), NotCommitted>>);

impl Work {
    fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.evictions.is_empty() && self.copies.is_empty()
    }
}

/// Submissions that one publisher made together.
pub(super) struct Request {
    pub(super) submissions: SmallVec<[Submission; 1]>,
    pub(super) now: Time,
    pub(super) giver: Giver<Vec<Outcome>>,
}

impl Queue {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), bytes_max }
    }

    /// Queues submissions for the writer.
    ///
    /// # Errors
    ///
    /// [`NotCommitted`] if the queue is full or closed.
    pub(super) fn submit(
        &self,
        submissions: SmallVec<[Submission; 1]>,
        now: Time,
    ) -> Result<Answer<Vec<Outcome>>, NotCommitted> {
        let bytes: usize = submissions.iter().map(bytes_of).sum();
        let mut state = self.state.lock();
        if state.is_closed {
            return Err(NotCommitted::Stopped);
        }
        // A request larger than the queue is accepted while the queue is empty.
        if state.bytes > 0 && state.bytes + bytes > self.bytes_max {
            return Err(NotCommitted::Busy);
        }
        let (giver, answer) = answer();
        state.bytes += bytes;
        state.work.requests.push_back(Request { submissions, now, giver });
        let is_enough = state.work.requests.len() >= state.wanted;
        drop(state);
        if is_enough {
            self.changed.notify_one();
        }
        Ok(answer)
    }

    pub(super) fn evict(&self, what: Evict) -> Answer<Result<(), JournalError>> {
        let (giver, answer) = answer();
        let mut state = self.state.lock();
        if !state.is_closed {
            state.work.evictions.push((what, giver));
            drop(state);
            self.changed.notify_one();
        }
        answer
    }

    pub(super) fn push_copy(&self, copies: Copies) {
        let mut state = self.state.lock();
        // Its publishers are elsewhere, so that it is bounded there.
        if !state.is_closed {
            state.work.copies.push(copies);
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Waits until the queue is closed, or for a time. Returns whether it is closed.
    pub(super) fn is_closed_within(&self, time: Duration) -> bool {
        let mut state = self.state.lock();
        if !state.is_closed {
            self.changed.wait_while_for(&mut state, |state| !state.is_closed, time);
        }
        state.is_closed
    }

    /// Takes all queued work, and waits while there is none. `None` once the queue is closed and empty.
    ///
    /// `before` is the number of requests taken before. Their publishers have just been answered and may
    /// submit again, so the writer waits a moment for half of them, rather than sync once for the first.
    pub(super) fn take(&self, before: usize) -> Option<Work> {
        let mut state = self.state.lock();
        state.wanted = 0;
        while state.work.is_empty() {
            if state.is_closed {
                return None;
            }
            self.changed.wait(&mut state);
        }
        state.wanted = before / 2;
        if state.work.requests.len() < state.wanted
            && state.work.evictions.is_empty()
            && state.work.copies.is_empty()
            && !state.is_closed
        {
            self.changed.wait_for(&mut state, GATHERING_MAX);
        }
        state.bytes = 0;
        Some(std::mem::take(&mut state.work))
    }

    /// Closes the queue to new submissions. Queued ones are still written.
    pub(super) fn close(&self) {
        self.state.lock().is_closed = true;
        self.changed.notify_all();
    }
}

/// Estimates the memory a submission takes.
fn bytes_of(submission: &Submission) -> usize {
    let data = match submission {
        Submission::Event(draft) => draft.event.data().len(),
        Submission::Close(_) | Submission::Stream(..) => 0,
    };
    size_of::<Submission>() + data
}

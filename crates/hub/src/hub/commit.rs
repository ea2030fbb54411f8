//! From the journal into history: submits, commits, and wakes the readers.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use crate::cursor::Sequence;
use crate::history::Appended;
use crate::hub::committer::Committed;
use crate::hub::reads::Source;
use crate::hub::{Hub, Inner};
use crate::journal::{Committing, JournalError, JournalFuture, Outcome, Submission};

/// Batches that are committed before others have their turn.
const BATCHES_OF_A_TURN: usize = 16;

impl Hub {
    /// Follows the journal into history, and lets it read for readers that are behind, for as long as the
    /// hub is to live. A hub in memory needs no follower: each publisher brings its events into history.
    ///
    /// # Errors
    ///
    /// [`JournalError`] when the journal's feed cannot go on. [`Hub::read_on`] goes on without it, which
    /// [`Hub::drive_with`] does by itself.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops following; a later call goes on where it stopped.
    pub async fn run(&self) -> Result<(), JournalError> {
        // Woken by each publish, it would find nothing left to do.
        if self.inner.committer.lock().is_in_step() {
            return pending().await;
        }
        poll_fn(|cx| {
            if let Poll::Ready(Err(error)) = self.poll_follow(cx) {
                return Poll::Ready(Err(error));
            }
            self.poll_reads(cx);
            Poll::Pending
        })
        .await
    }

    /// Lets the journal read for readers that are behind, after [`Hub::run`] has failed. The future never
    /// completes.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops reading; a later call goes on where it stopped.
    pub async fn read_on(&self) {
        poll_fn(|cx| {
            self.poll_reads(cx);
            Poll::Pending
        })
        .await
    }

    /// Brings committed entries from the feed into history, a few batches at a time, so that others have
    /// their turn. Ready only with an error.
    fn poll_follow(&self, cx: &mut Context<'_>) -> Poll<Result<(), JournalError>> {
        // Woken by what was committed, be it that a publisher has brought it in: the journal may have moved on.
        self.tell_streams_in_time();
        for _ in 0..BATCHES_OF_A_TURN {
            let polled = self.inner.committer.lock().poll_commit(cx, self.inner.committed());
            self.wake(ready!(polled)?);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Fills the history with the newest entries that the journal had when it was opened.
    pub(super) async fn warm(&self, tail: Sequence) -> Result<(), JournalError> {
        let committer = &self.inner.committer;
        poll_fn(|cx| {
            while self.read().tail() < tail {
                let mut committer = committer.lock();
                match committer.poll_commit(cx, self.inner.committed()) {
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending if committer.has_passed(tail) => break,
                    Poll::Pending => return Poll::Pending,
                }
            }
            self.write().count_published_from_here();
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Lets the journal read for readers that are behind.
    pub(super) fn poll_reads(&self, cx: &mut Context<'_>) {
        self.inner.reads.poll(self.inner.source(), cx);
    }

    pub(crate) fn submit(&self, submissions: &mut dyn Iterator<Item = Submission>) -> Committing {
        let committing = self.submit_only(submissions);
        self.commit_submitted();
        self.brought_in(committing)
    }

    /// Submits, and leaves the commit to [`Hub::commit_submitted`].
    pub(crate) fn submit_only(
        &self,
        submissions: &mut dyn Iterator<Item = Submission>,
    ) -> Committing {
        self.inner.journal.append(submissions, self.inner.clock.now())
    }

    /// Outcomes that are told once history has what was committed: who was answered finds it there. They are not
    /// to be polled with the streams locked.
    pub(crate) fn brought_in(&self, committing: Committing) -> Committing {
        match committing {
            Committing::Waiting(outcomes) => {
                Committing::Waiting(Box::pin(BroughtIn { hub: self.clone(), outcomes }))
            }
            at_once => at_once,
        }
    }

    /// Brings entries into history that the journal has committed, unless the follower has done so.
    pub(crate) fn bring_in(&self, outcomes: &[Outcome]) {
        let newest = outcomes.iter().filter_map(|outcome| match *outcome {
            Outcome::Committed(sequence) | Outcome::Duplicate(sequence) => Some(sequence),
            _ => None,
        });
        if newest.max() > Some(self.read().tail()) {
            self.commit_submitted();
        }
    }

    /// Brings into history what the journal has committed, and wakes its readers.
    pub(crate) fn commit_submitted(&self) {
        let appended = self.inner.committer.lock().try_commit(self.inner.committed());
        // `None` if another publisher has committed our entries. An error is reported to the follower of
        // the journal, whose next call fails as well.
        if let Ok(Some(appended)) = appended {
            self.wake(appended);
        }
    }

    /// Waits for the commit under way: entries that were handed over are then in history.
    pub(crate) fn await_commit(&self) {
        drop(self.inner.committer.lock());
    }

    /// Wakes the readers of the appended entries. No lock is held: a woken reader takes one at once, and
    /// other threads may publish meanwhile.
    fn wake(&self, mut appended: Appended) {
        appended.taps.into_iter().for_each(Waker::wake);
        if appended.watchers.len() > 1 {
            appended.watchers.sort_unstable_by_key(Arc::as_ptr);
            appended.watchers.dedup_by_key(|list| Arc::as_ptr(list));
        }
        appended.watchers.iter().for_each(|list| list.wake_all());
        if appended.concerns_all {
            self.inner.everybody.wake_all();
        }
    }
}

/// [`Hub::brought_in`].
struct BroughtIn {
    hub: Hub,
    outcomes: JournalFuture<'static, Vec<Outcome>>,
}

impl Future for BroughtIn {
    type Output = Vec<Outcome>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Vec<Outcome>> {
        let outcomes = ready!(self.outcomes.as_mut().poll(cx));
        self.hub.bring_in(&outcomes);
        Poll::Ready(outcomes)
    }
}

impl Inner {
    pub(super) fn source(&self) -> Source<'_> {
        let age_max = self.every_age_max();
        Source {
            journal: &*self.journal,
            history: &self.history,
            expired_before: age_max.map(|age_max| self.clock.time().saturating_sub(age_max)),
            uptime: self.clock.uptime(),
        }
    }

    fn committed(&self) -> Committed<'_> {
        let Self { history, clock, journal, streams, .. } = self;
        let (uptime, wall, journal_bytes) = (clock.uptime(), clock.time(), journal.bytes());
        Committed { history, uptime, wall, journal_bytes, streams }
    }
}

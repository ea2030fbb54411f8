//! From the journal into history: submits, commits, and wakes the readers.

use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::task::Waker;

use crate::history::Appended;
use crate::hub::committer::Committed;
use crate::hub::{Hub, Inner};
use crate::journal::{Committing, JournalError, Submission};

impl Hub {
    /// Follows the journal into history, for as long as the hub is to live. A hub in memory needs no
    /// follower: each publisher brings its events into history.
    ///
    /// # Errors
    ///
    /// [`JournalError`] when the journal cannot go on.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops following; a later call goes on where it stopped.
    pub async fn run(&self) -> Result<(), JournalError> {
        // Woken by each publish, it would find nothing left to do.
        if self.inner.committer.lock().is_in_step() {
            return pending().await;
        }
        loop {
            let committer = &self.inner.committer;
            let appended = poll_fn(|cx| committer.lock().poll_commit(cx, self.inner.committed()));
            self.wake(appended.await?);
        }
    }

    pub(crate) fn submit(&self, submissions: &mut dyn Iterator<Item = Submission>) -> Committing {
        let Inner { journal, committer, clock, .. } = &*self.inner;
        let committing = journal.append(submissions, clock.now());
        let appended = committer.lock().try_commit(self.inner.committed());
        // `None` if another publisher has committed our entries. An error is reported to the follower of
        // the journal, whose next call fails as well.
        if let Ok(Some(appended)) = appended {
            self.wake(appended);
        }
        committing
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
        if !appended.topics.is_empty() {
            self.inner.scans.wake_matching(&appended.topics);
        }
    }
}

impl Inner {
    fn committed(&self) -> Committed<'_> {
        let Self { history, scans, clock, journal, .. } = self;
        Committed { history, scans, uptime: clock.uptime(), journal_bytes: journal.bytes() }
    }
}

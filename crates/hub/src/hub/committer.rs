//! The committer: brings entries from the journal into history.

use std::task::{Context, Poll};

use parking_lot::RwLock;

use crate::cursor::{Epoch, Sequence};
use crate::history::{Appended, BlockBuilder, History};
use crate::journal::{Content, Entry, Feed, JournalError, Lost, Opened};
use crate::streams::SharedStreams;
use crate::time::{Time, millis};

/// The journal's feed, and buffers that are reused from commit to commit.
pub(super) struct Committer {
    epoch: Epoch,
    feed: Box<dyn Feed>,
    entries: Vec<Entry>,
    run: BlockBuilder,
    /// The newest commit time.
    time: Time,
    /// The newest entry of an earlier process, and the wall clock's time when the journal was opened.
    recovered: (Sequence, Time),
}

/// Everything that a commit is made with beside the entries.
#[derive(Clone, Copy)]
pub(super) struct Committed<'a> {
    pub(super) history: &'a RwLock<History>,
    /// The hub's steady clock, in milliseconds.
    pub(super) uptime: u64,
    /// The wall clock's time.
    pub(super) wall: Time,
    /// Bytes that the journal has in memory.
    pub(super) journal_bytes: usize,
    pub(super) streams: &'a SharedStreams,
}

/// Maximum room kept for entries, about 10 KB: only batches have more at once.
const ENTRIES_KEPT: usize = 64;

impl Committer {
    pub(super) fn new(opened: &Opened, feed: Box<dyn Feed>, now: Time) -> Self {
        let (entries, run) = (Vec::new(), BlockBuilder::default());
        let recovered = (opened.tail, now);
        Self { epoch: opened.epoch, feed, entries, run, time: Time::default(), recovered }
    }

    /// Returns whether the feed has handed over everything up to `tail`, the newest entry when the journal
    /// was opened.
    pub(super) fn has_passed(&self, tail: Sequence) -> bool {
        self.feed.through() >= tail
    }

    /// Returns the feed's [`Feed::is_in_step`].
    pub(super) fn is_in_step(&self) -> bool {
        self.feed.is_in_step()
    }

    /// Commits the entries that the feed has, if any. The caller wakes the readers, with no lock held.
    pub(super) fn try_commit(
        &mut self,
        with: Committed<'_>,
    ) -> Result<Option<Appended>, JournalError> {
        self.feed.try_next(&mut self.entries)?;
        let lost = self.feed.take_lost();
        let has_some = !self.entries.is_empty() || !lost.is_empty();
        Ok(has_some.then(|| self.commit_fed(&lost, with)))
    }

    /// Waits for entries, and commits them.
    pub(super) fn poll_commit(
        &mut self,
        cx: &mut Context<'_>,
        with: Committed<'_>,
    ) -> Poll<Result<Appended, JournalError>> {
        let polled = self.feed.poll_next(cx, &mut self.entries);
        polled.map_ok(|()| {
            let lost = self.feed.take_lost();
            self.commit_fed(&lost, with)
        })
    }

    /// Commits what the feed has handed over, after the losses.
    fn commit_fed(&mut self, lost: &[Lost], with: Committed<'_>) -> Appended {
        let lost = lost.iter().map(|lost| lost.last).max();
        let mut appended = Appended::default();
        with.streams.tell(self.feed.take_streams(), with.wall, with.uptime);
        // First, so that no reader passes the loss with an entry after it.
        if let Some(last) = lost {
            with.history.write().lose_next(last, &mut appended);
        }
        self.commit(with, &mut appended);
        if let Some(last) = lost {
            with.history.write().pass_lost_next(last);
        }
        appended
    }

    fn commit(&mut self, with: Committed<'_>, appended: &mut Appended) {
        let mut has_streams = with.streams.is_used();
        // A journal's clock may have been set back.
        for entry in &mut self.entries {
            entry.time = entry.time.max(self.time);
            self.time = entry.time;
            has_streams |= matches!(entry.content, Content::Stream(_));
        }
        if has_streams {
            with.streams.note(&mut self.entries, self.recovered, with.uptime);
        }
        let streams_bytes = if has_streams { with.streams.bytes() } else { 0 };
        let mut rest = self.entries.as_slice();
        while !rest.is_empty() {
            // Encoded before history is locked, so that readers wait only while it is copied.
            for entry in rest {
                if !self.run.fits(entry.sequence, entry.time) {
                    break;
                }
                self.run.push(entry, self.epoch);
            }
            let (entries, after) = rest.split_at(self.run.len());
            let mut history = with.history.write();
            self.note_times(&mut history, entries, with.uptime);
            history.charge(with.journal_bytes + streams_bytes);
            history.append(entries, &mut self.run, appended);
            drop(history);
            self.run.clear();
            rest = after;
        }
        self.entries.clear();
        self.entries.shrink_to(ENTRIES_KEPT);
    }

    /// Entries are as old as the steady clock says. Those of an earlier process were as old at the start as
    /// the wall clock said then.
    fn note_times(&self, history: &mut History, entries: &[Entry], uptime: u64) {
        let (recovered_through, opened_at) = self.recovered;
        for entry in entries {
            if entry.sequence > recovered_through {
                return history.note_time(entry.sequence, uptime as i64);
            }
            let age = opened_at.since(entry.time);
            history.note_time(entry.sequence, -(millis(age) as i64));
        }
    }
}

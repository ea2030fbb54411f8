//! The committer: brings entries from the journal into history.

use std::task::{Context, Poll};

use parking_lot::RwLock;

use crate::cursor::Epoch;
use crate::history::{Appended, BlockBuilder, History};
use crate::journal::{Entry, Feed, JournalError};
use crate::watch::WatchList;

/// The journal's feed, and buffers that are reused from commit to commit.
pub(super) struct Committer {
    epoch: Epoch,
    feed: Box<dyn Feed>,
    entries: Vec<Entry>,
    run: BlockBuilder,
}

/// Maximum room kept for entries, about 10 KB: only batches have more at once.
const ENTRIES_KEPT: usize = 64;

impl Committer {
    pub(super) fn new(epoch: Epoch, feed: Box<dyn Feed>) -> Self {
        Self { epoch, feed, entries: Vec::new(), run: BlockBuilder::default() }
    }

    /// Returns the feed's [`Feed::is_in_step`].
    pub(super) fn is_in_step(&self) -> bool {
        self.feed.is_in_step()
    }

    /// Commits the entries that the feed has, if any. The caller wakes the readers, with no lock held.
    pub(super) fn try_commit(
        &mut self,
        history: &RwLock<History>,
        scans: &WatchList,
    ) -> Result<Option<Appended>, JournalError> {
        self.feed.try_next(&mut self.entries)?;
        Ok(if self.entries.is_empty() { None } else { Some(self.commit(history, scans)) })
    }

    /// Waits for entries, and commits them.
    pub(super) fn poll_commit(
        &mut self,
        cx: &mut Context<'_>,
        history: &RwLock<History>,
        scans: &WatchList,
    ) -> Poll<Result<Appended, JournalError>> {
        self.feed.poll_next(cx, &mut self.entries).map_ok(|()| self.commit(history, scans))
    }

    fn commit(&mut self, history: &RwLock<History>, scans: &WatchList) -> Appended {
        let mut appended = Appended::default();
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
            history.write().append(entries, &mut self.run, &mut appended);
            self.run.clear();
            rest = after;
        }
        if !scans.is_empty() {
            let topics = self.entries.iter().flat_map(|entry| entry.topics.as_slice());
            appended.topics.extend(topics.cloned());
        }
        self.entries.clear();
        self.entries.shrink_to(ENTRIES_KEPT);
        appended
    }
}

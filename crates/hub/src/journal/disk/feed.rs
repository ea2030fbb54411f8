//! The feed: committed entries for the hub, from memory or from files.

use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use parking_lot::Mutex;

use super::answer::Answer;
use super::catalog::Catalog;
use super::read::entries;
use super::readers::Readers;
use super::segment::Selection;
use super::survey::failed;
use crate::cursor::Sequence;
use crate::journal::{Content, Entry, Feed, JournalError, JournalPage, Lost, PageMax};

/// Committed entries that no feed has taken.
///
/// Taking moves the entries, so only one feed gets them. A feed whose place is older reads files.
pub(super) struct Fed {
    state: Mutex<State>,
    bytes_max: usize,
}

struct State {
    /// All entries committed after `after`, and what is lost.
    entries: Vec<Entry>,
    lost: Vec<Lost>,
    after: Sequence,
    /// Everything up to here has been pushed.
    through: Sequence,
    bytes: usize,
    waker: Option<Waker>,
}

/// Committed entries, once they can be read.
pub(super) struct Written {
    pub(super) entries: Vec<Entry>,
    /// Entries of another store that cannot be known.
    pub(super) lost: Vec<Lost>,
    /// Everything up to here is there.
    pub(super) through: Sequence,
}

impl Fed {
    pub(super) fn new(tail: Sequence, bytes_max: usize) -> Self {
        let (entries, lost) = Default::default();
        let state = State { entries, lost, after: tail, through: tail, bytes: 0, waker: None };
        Self { state: Mutex::new(state), bytes_max }
    }

    /// Adds committed entries. If too many have not been taken, all are dropped, and the feed reads them
    /// from files.
    pub(super) fn push(&self, written: Written) {
        let Written { entries, lost, through } = written;
        let waker = {
            let mut state = self.state.lock();
            state.through = through;
            state.lost.extend(lost);
            state.bytes += entries.iter().map(bytes_of).sum::<usize>();
            if state.bytes > self.bytes_max {
                state.entries = Vec::new();
                state.lost = Vec::new();
                state.bytes = 0;
                state.after = through;
            } else if state.entries.is_empty() {
                state.entries = entries;
            } else {
                state.entries.extend(entries);
            }
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Estimates the memory an entry takes.
fn bytes_of(entry: &Entry) -> usize {
    let data = match &entry.content {
        Content::Event(event) => event.data().len(),
        Content::Close | Content::Stream(_) => 0,
    };
    size_of::<Entry>() + data
}

/// A reader of committed entries.
pub(super) struct DiskFeed {
    pub(super) fed: Arc<Fed>,
    pub(super) catalog: Arc<Catalog>,
    pub(super) readers: Arc<Readers>,
    pub(super) after: Sequence,
    /// The page being read from files, if the place is older than the entries in memory.
    pub(super) reading: Option<Answer<std::io::Result<JournalPage>>>,
    /// Losses found that the hub has not taken.
    pub(super) lost: Vec<Lost>,
}

/// The size of a page: about a millisecond of work for the reader and for the hub.
const PAGE_MAX: PageMax =
    PageMax { entries: 4096, bytes: 1024 * 1024, counted_through: Sequence::MAX };

impl DiskFeed {
    /// Takes the entries in memory. Returns `false` if the place is older than they are.
    fn take(&mut self, entries: &mut Vec<Entry>, waker: Option<&Waker>) -> bool {
        let mut state = self.fed.state.lock();
        if self.after < state.after {
            return false;
        }
        let taken = std::mem::take(&mut state.entries);
        let lost = std::mem::take(&mut state.lost);
        self.lost.extend(lost.into_iter().filter(|lost| lost.last > self.after));
        state.bytes = 0;
        state.after = state.through;
        let before = entries.len();
        let is_new = |entry: &Entry| entry.sequence > self.after;
        if before == 0 && taken.first().is_some_and(is_new) {
            // Nearly always, so that entries are not copied.
            *entries = taken;
        } else {
            entries.extend(taken.into_iter().filter(is_new));
        }
        self.after = self.after.max(state.after);
        if entries.len() == before && self.lost.is_empty() {
            state.waker = waker.cloned().or(state.waker.take());
        }
        true
    }
}

impl Feed for DiskFeed {
    fn take_lost(&mut self) -> Vec<Lost> {
        std::mem::take(&mut self.lost)
    }

    fn through(&self) -> Sequence {
        self.after
    }

    fn try_next(&mut self, entries: &mut Vec<Entry>) -> Result<(), JournalError> {
        if self.reading.is_none() {
            self.take(entries, None);
        }
        Ok(())
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        fed: &mut Vec<Entry>,
    ) -> Poll<Result<(), JournalError>> {
        let before = fed.len();
        loop {
            if let Some(reading) = &mut self.reading {
                let read = ready!(std::pin::Pin::new(reading).poll(cx));
                self.reading = None;
                let page = match read {
                    Some(Ok(page)) => page,
                    Some(Err(error)) => {
                        return Poll::Ready(Err(failed("the journal", error)));
                    }
                    None => return Poll::Ready(Err(closed())),
                };
                self.after = self.after.max(page.through);
                self.lost.extend(page.lost);
                if !page.entries.is_empty() || !self.lost.is_empty() {
                    fed.extend(page.entries);
                    return Poll::Ready(Ok(()));
                }
            }
            if self.take(fed, Some(cx.waker())) {
                return match fed.len() > before || !self.lost.is_empty() {
                    true => Poll::Ready(Ok(())),
                    false => Poll::Pending,
                };
            }
            let (catalog, after) = (Arc::clone(&self.catalog), self.after);
            self.reading =
                Some(self.readers.ask(move || entries(&catalog, Selection::All, after, PAGE_MAX)));
        }
    }
}

/// The error of a journal that is not open.
pub(super) fn closed() -> JournalError {
    JournalError::new("the journal is closed", None)
}

/// The feed of a journal that has not been opened.
pub(super) struct Unopened;

impl Feed for Unopened {
    fn poll_next(
        &mut self,
        _cx: &mut Context<'_>,
        _entries: &mut Vec<Entry>,
    ) -> Poll<Result<(), JournalError>> {
        Poll::Ready(Err(closed()))
    }
}

//! The source of reads: a journal, and the history above it.

use parking_lot::RwLock;

use crate::cursor::Sequence;
use crate::history::History;
use crate::journal::{Journal, JournalPage};
use crate::time::Time;

/// Everything that reads are made with.
#[derive(Clone, Copy)]
pub(in crate::hub) struct Source<'a> {
    pub(in crate::hub) journal: &'a dyn Journal,
    pub(in crate::hub) history: &'a RwLock<History>,
    /// Entries that were committed before this time are too old.
    pub(in crate::hub) expired_before: Option<Time>,
    /// The hub's steady clock, in milliseconds.
    pub(in crate::hub) uptime: u64,
}

impl Source<'_> {
    /// Notes the place before the oldest entry that the journal keeps.
    pub(in crate::hub) fn note_oldest(&self) {
        if let Some(oldest) = self.journal.oldest()
            && self.history.read().floor() < oldest
        {
            self.history.write().drop_through(oldest, self.journal.dropped());
        }
    }

    /// Notes the losses that a page reports, so that the readers concerned are told before they read it.
    pub(super) fn check(&self, after: Sequence, mut page: JournalPage) -> JournalPage {
        self.note_oldest();
        if let Some(time) = self.expired_before {
            let old = page.entries.iter().take_while(|entry| entry.time < time).last();
            if let Some(old) = old {
                self.history.write().raise_floor(old.sequence);
            }
        }
        for lost in &page.lost {
            self.history.write().lose(lost.last);
        }
        if page.through <= after {
            // The journal has none of the entries that the history has let go of.
            let mut history = self.history.write();
            page.through = history.tail().max(after.next());
            history.lose(page.through);
        }
        page
    }
}

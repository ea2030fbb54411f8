//! Logs the state of the journal on disk for operators.

use std::time::Duration;

use tidings_hub::journal::DiskJournal;
use tidings_hub::journal::disk::Damage;
use tokio::time::Instant;
use tracing::{error, info, warn};

/// The least time between two warnings that the disk is full: publishers repeat their requests.
const FULL_EVERY: Duration = Duration::from_secs(60);

/// Logs what an operator must know of the journal, once each.
#[derive(Debug)]
pub(crate) struct JournalWatch {
    journal: DiskJournal,
    told_opened: bool,
    told_damage: usize,
    told_failure: bool,
    refused: u64,
    told_refused: Option<Instant>,
}

impl JournalWatch {
    /// Begins to watch. Damage that was found while the journal was opened is logged at the first
    /// look.
    pub(crate) fn new(journal: DiskJournal) -> Self {
        Self {
            journal,
            told_opened: false,
            told_damage: 0,
            told_failure: false,
            refused: 0,
            told_refused: None,
        }
    }

    /// Logs what is new.
    pub(crate) fn look(&mut self, now: Instant) {
        let stats = self.journal.stats();
        if !std::mem::replace(&mut self.told_opened, true) {
            let (entries, bytes) = (stats.entries, stats.bytes);
            info!(entries, bytes, cut_bytes = self.journal.cut_bytes(), "journal opened");
        }
        for damage in self.journal.damage().iter().skip(self.told_damage) {
            self.told_damage += 1;
            tell(damage);
        }
        if !self.told_failure
            && let Some(reason) = self.journal.failure()
        {
            self.told_failure = true;
            error!(%reason, "journal stopped writing");
        }
        let refused = stats.refused;
        let is_due = self.told_refused.is_none_or(|told| now >= told + FULL_EVERY);
        if refused > self.refused && is_due {
            warn!(commits = refused - self.refused, "journal refused commits: the disk is full");
            (self.refused, self.told_refused) = (refused, Some(now));
        }
    }
}

fn tell(damage: &Damage) {
    warn!(
        file = damage.file.as_str(),
        byte = damage.at,
        lost = damage.lost.map_or(0, |lost| lost.entries()),
        "journal damaged"
    );
}

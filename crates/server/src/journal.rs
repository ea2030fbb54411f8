//! The journal that the hub was opened with, and what operators are told of it.

use std::sync::Arc;
use std::time::Duration;

use tidings_hub::Time;
use tidings_hub::journal::DiskJournal;
use tidings_hub::journal::disk::Damage;
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::engine::ended_within::EndedWithin;
use crate::engine::subject::Subject;
#[cfg(feature = "nats")]
use crate::nats::NatsJournal;
use crate::notices::Revoked;

/// The journal of a hub that is served. A journal in memory has nothing to tell.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ServedJournal {
    /// One on disk.
    Disk(DiskJournal),
    /// One that several hubs share.
    #[cfg(feature = "nats")]
    Nats(NatsJournal),
}

/// How far a hub has read what others have committed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lag {
    /// The newest message that was read.
    pub(crate) read: u64,
    /// The number of events that were not read yet.
    pub(crate) events: u64,
    pub(crate) time: Duration,
}

impl ServedJournal {
    /// Why it commits nothing any more, if that is so.
    pub(crate) fn failure(&self) -> Option<Arc<str>> {
        match self {
            Self::Disk(journal) => journal.failure(),
            #[cfg(feature = "nats")]
            Self::Nats(journal) => journal.stopped().map(|why| why.to_string().into()),
        }
    }

    /// The damage that was found in it.
    pub(crate) fn damage(&self) -> Vec<Damage> {
        self.on_disk().map(DiskJournal::damage).unwrap_or_default()
    }

    /// Returns whether the hub is far behind what other hubs have committed.
    pub(crate) fn is_behind(&self) -> bool {
        match self {
            Self::Disk(_) => false,
            #[cfg(feature = "nats")]
            Self::Nats(journal) => journal.stats().is_behind(),
        }
    }

    /// Returns whether other hubs read what is committed to it.
    pub(crate) fn has_others(&self) -> bool {
        !matches!(self, Self::Disk(_))
    }

    /// The ends of streams that hubs have committed since the last call.
    pub(crate) fn take_ended(&self) -> Vec<EndedWithin> {
        match self {
            Self::Disk(_) => Vec::new(),
            #[cfg(feature = "nats")]
            Self::Nats(journal) => journal.take_ended(),
        }
    }

    /// How far the hub has read what other hubs have committed; `None` if there are no others.
    pub(crate) fn lag(&self) -> Option<Lag> {
        match self {
            Self::Disk(_) => None,
            #[cfg(feature = "nats")]
            Self::Nats(journal) => {
                let stats = journal.stats();
                Some(Lag { read: stats.read, events: stats.lag_events, time: stats.lag })
            }
        }
    }

    /// The newest place whose entries the journal drops before long; `None` while that is not known.
    #[cfg(feature = "nats")]
    pub(crate) fn aged(&self) -> Option<u64> {
        match self {
            Self::Disk(_) => None,
            Self::Nats(journal) => journal.aged(),
        }
    }

    /// Leaves revocations to the journal that is opened next, since its past may not have their entries.
    pub(crate) fn hand_on(&self, revoked: Vec<(Subject, Time)>) {
        match self {
            Self::Disk(_) => drop(revoked),
            #[cfg(feature = "nats")]
            Self::Nats(journal) => journal.hand_on(revoked),
        }
    }

    /// The revocations that hubs have committed since the last call.
    pub(crate) fn take_revoked(&self) -> Vec<Revoked> {
        match self {
            Self::Disk(_) => Vec::new(),
            #[cfg(feature = "nats")]
            Self::Nats(journal) => journal.take_revoked(),
        }
    }

    pub(crate) fn on_disk(&self) -> Option<&DiskJournal> {
        match self {
            Self::Disk(journal) => Some(journal),
            #[cfg(feature = "nats")]
            Self::Nats(journal) => journal.copy(),
        }
    }
}

impl From<DiskJournal> for ServedJournal {
    fn from(journal: DiskJournal) -> Self {
        Self::Disk(journal)
    }
}

#[cfg(feature = "nats")]
impl From<NatsJournal> for ServedJournal {
    fn from(journal: NatsJournal) -> Self {
        Self::Nats(journal)
    }
}

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

//! The hub's own copy of the stream, in a folder: a restart reads from NATS only what is new, and what is
//! older than memory is read from the folder.

use std::future::poll_fn;
use std::path::PathBuf;

use tidings_hub::journal::disk::{Folder, copy_epoch};
use tidings_hub::journal::shared::{SharedLog, Stopped};
use tidings_hub::journal::{CopyOf, DiskConfig, DiskJournal, Journal as _, JournalError, Opened};
use tidings_hub::{Epoch, Sequence};
use tracing::{info, warn};

/// Where a hub copies the stream to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CopyConfig {
    /// The folder. It is made if it is not there.
    pub folder: PathBuf,
    /// Its bounds.
    pub disk: DiskConfig,
}

impl CopyConfig {
    /// A copy in a folder.
    #[must_use]
    pub fn new(folder: PathBuf, disk: DiskConfig) -> Self {
        Self { folder, disk }
    }

    fn storage(&self) -> Folder {
        Folder::new(self.folder.clone())
    }

    /// The epoch of the copy that is there; `None` if there is none.
    pub(super) fn epoch(&self) -> Result<Option<Epoch>, JournalError> {
        copy_epoch(&self.storage())
    }

    /// Opens the copy, and begins it anew if it is one of something else.
    pub(super) async fn open(&self, copy: CopyOf) -> Result<(DiskJournal, Opened), JournalError> {
        let journal = DiskJournal::copy_of(self.storage(), self.disk.clone(), copy);
        let opened = journal.open().await?;
        let folder = self.folder.display().to_string();
        if let Some(reason) = journal.begun_anew() {
            warn!(folder, reason, "copy of the stream begun anew");
        }
        let entries = journal.stats().entries;
        info!(folder, entries, "copy of the stream opened");
        Ok((journal, opened))
    }

    /// Opens the copy as it is, while the stream cannot be reached.
    pub(super) async fn open_alone(
        &self,
        epoch: Epoch,
    ) -> Result<(DiskJournal, Opened), JournalError> {
        self.open(CopyOf::new(epoch, Sequence::ZERO)).await
    }
}

/// Copies what the log reads until the log stops.
pub(super) async fn keep(log: SharedLog, copy: DiskJournal) {
    while let Ok(steps) = poll_fn(|cx| log.poll_copies(cx)).await {
        let through = steps.last().map(|step| step.end.through);
        if copy.copy(steps).await.is_err() {
            let why = match copy.failure() {
                Some(why) => format!("the copy of the stream cannot be written: {why}"),
                None => "the copy of the stream was closed".to_owned(),
            };
            return log.stop(Stopped::Failed(why.into()));
        }
        through.into_iter().for_each(|through| log.note_copied(through));
    }
}

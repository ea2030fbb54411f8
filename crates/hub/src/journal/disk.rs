//! The journal on disk: acknowledged events survive the process and the machine.
//!
//! A folder of segments, each a file of about 16 MiB that holds records in groups. Submissions that
//! arrive during a sync are written and synced together by the next one, and answered after it. A full
//! segment gets a footer, an index by topic and ID. `docs/journal.md` draws every byte.
//!
//! From the bottom up: `storage` and `folder` are the edge to the file system; `bytes`, `mark`, `record`,
//! `group`, `scan`, `blocks`, `trailer`, `footer` and `head` are the format; `index` and `segment` find
//! records; `catalog` holds all segments; `portion`, `room`, `appender` and `seal` write, `cleaning` and
//! `cleaned` write again; `survey`, `torn` and `recovery` open; `fetch`, `lookup`, `read`, `newest`, `limits` and `totals` read;
//! `notes` and `dropped` keep what outlives entries, `freed` says which are gone before that; `opening` begins and `seam` is what the hub sees; `queue`, `writer`, `readers`, `cleaner` and `feed` connect threads.
//! Only these last five use threads, so the rest behaves the same in every run.
//!
//! A hub follows this journal from its newest entries on, and reads older ones by pages.

mod answer;
mod appender;
mod asked;
mod blocks;
mod bytes;
mod catalog;
mod check;
mod cleaned;
mod cleaner;
mod cleaning;
mod config;
mod copying;
mod create;
mod damage;
mod dropped;
mod feed;
mod fetch;
mod folder;
mod footer;
mod freed;
mod group;
mod head;
mod index;
mod keyspans;
mod limits;
mod lookup;
mod mark;
mod newest;
mod notes;
mod opening;
mod portion;
mod queue;
mod read;
mod readers;
mod record;
mod recovery;
mod room;
mod scan;
mod seal;
mod seam;
mod segment;
#[cfg(feature = "shared")]
pub(super) mod shared;
mod stats;
mod storage;
mod survey;
mod torn;
mod totals;
mod trailer;
mod writer;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use parking_lot::Mutex;

use self::catalog::Catalog;
pub use self::check::{Checked, Dumped, check, copy_epoch, dump, epoch, new_epoch};
pub use self::config::DiskConfig;
pub use self::damage::{Damage, Damaged, Lost};
use self::feed::Fed;
pub use self::folder::Folder;
pub use self::notes::{FoundNotes, Notes};
use self::queue::Queue;
use self::readers::Readers;
use self::stats::Tally;
pub use self::stats::{DiskStats, Histogram};
pub use self::storage::{Access, Storage, StorageFile, StorageLock};
use self::writer::Broken;
use super::keys::Keys;
use super::{Copied, CopiedTo, CopyOf, JournalFuture, NotCommitted};
use crate::cursor::Sequence;

/// A journal in a folder. Clones share it. Dropping the last clone writes pending submissions and
/// releases the folder.
///
/// Only one process can open a folder at a time.
///
/// If a write or a sync fails, the contents of the disk are uncertain, so the journal stops writing: the
/// append is answered with [`Outcome::Unknown`](super::Outcome::Unknown) and every later one with [`NotCommitted::Stopped`], reading
/// continues, and [`DiskJournal::failure`] returns the reason. Opening the journal again determines what is
/// on the disk. A full disk is the exception: the append is undone and answered with
/// [`NotCommitted::Full`], and the next append is attempted.
///
/// # Examples
///
/// ```no_run
/// use tidings_hub::journal::{DiskConfig, DiskJournal};
/// use tidings_hub::Hub;
///
/// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
/// let journal = DiskJournal::new("data", DiskConfig::default());
/// let hub = Hub::builder().open(Box::new(journal.clone())).await?;
/// for damage in journal.damage() {
///     eprintln!("{damage}");
/// }
/// # drop(hub);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct DiskJournal {
    owner: Arc<Owner>,
}

/// State that ends with the last clone.
struct Owner {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// State shared with the writer's thread.
struct Shared {
    storage: Arc<dyn Storage>,
    config: DiskConfig,
    copy: Option<CopyOf>,
    queue: Arc<Queue>,
    broken: Arc<Broken>,
    tally: Arc<Tally>,
    open: OnceLock<Open>,
}

struct Open {
    catalog: Arc<Catalog>,
    readers: Arc<Readers>,
    fed: Arc<Fed>,
    cut_bytes: u64,
    begun_anew: Option<&'static str>,
    copied_to: Option<CopiedTo>,
    /// The idempotency keys of a copy, until they are taken.
    #[cfg_attr(not(feature = "shared"), expect(dead_code, reason = "the shared log takes them"))]
    keys: Mutex<Keys>,
}

impl DiskJournal {
    /// Makes a journal for the folder at a path. Opening it creates the folder, for its owner alone, if it
    /// does not exist; before that, the file system is not touched.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, config: DiskConfig) -> Self {
        Self::with_storage(Folder::new(path), config)
    }

    /// Makes a journal on a storage other than the file system.
    #[must_use]
    pub fn with_storage(storage: impl Storage, config: DiskConfig) -> Self {
        Self::of(Arc::new(storage), config, None)
    }

    /// Makes a journal that is a copy of another store. Entries come to it by [`DiskJournal::copy`] alone, with
    /// the sequences that they have there; it refuses all others.
    ///
    /// The store is the truth: the copy is synced when a segment is full and when it is closed. A crash of the
    /// machine costs the newest entries, which are to be copied again.
    #[must_use]
    pub fn copy_of(storage: impl Storage, config: DiskConfig, copy: CopyOf) -> Self {
        Self::of(Arc::new(storage), config, Some(copy))
    }

    fn of(storage: Arc<dyn Storage>, config: DiskConfig, copy: Option<CopyOf>) -> Self {
        let shared = Shared {
            storage,
            copy,
            queue: Arc::new(Queue::new(config.queue_bytes_max)),
            config,
            broken: Arc::default(),
            tally: Arc::default(),
            open: OnceLock::new(),
        };
        Self { owner: Arc::new(Owner { shared: Arc::new(shared), writer: Mutex::default() }) }
    }

    /// Appends steps of the store that this journal is a copy of. The future is done when they can be read. Steps
    /// that it has already are left out.
    ///
    /// # Errors
    ///
    /// [`NotCommitted::Stopped`] if the journal has failed or was closed. A full disk is no error: the oldest
    /// entries make room, or the future waits.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes nothing back.
    pub fn copy(&self, steps: Vec<Copied>) -> JournalFuture<'static, Result<(), NotCommitted>> {
        let answer = self.owner.shared.queue.copy(steps);
        Box::pin(async { answer.await.unwrap_or(Err(NotCommitted::Stopped)) })
    }

    /// Returns the newest step of a copy when it was opened: [`Copied`] goes on after it. `None` if it had none.
    #[must_use]
    pub fn copied_to(&self) -> Option<CopiedTo> {
        self.open_state()?.copied_to
    }

    /// Returns why a copy was begun anew when it was opened, if it was.
    #[must_use]
    pub fn begun_anew(&self) -> Option<&'static str> {
        self.open_state()?.begun_anew
    }

    /// Takes the idempotency keys that a copy had when it was opened.
    #[cfg(feature = "shared")]
    pub(in crate::journal) fn take_keys(&self) -> Keys {
        self.open_state().map(|open| std::mem::take(&mut *open.keys.lock())).unwrap_or_default()
    }

    /// Closes the journal: what was submitted is written, and the folder is released. Readers get errors from then
    /// on.
    pub fn close(&self) {
        self.owner.close();
    }

    /// Returns the damage found so far, at most a thousand findings.
    #[must_use]
    pub fn damage(&self) -> Vec<Damage> {
        self.open_state().map_or_else(Vec::new, |open| open.catalog.damage())
    }

    /// Returns the number of bytes that opening cut off: an incomplete write that was never
    /// acknowledged.
    #[must_use]
    pub fn cut_bytes(&self) -> u64 {
        self.open_state().map_or(0, |open| open.cut_bytes)
    }

    /// Returns the place before the oldest entry, which advances as segments are removed.
    #[must_use]
    pub fn oldest(&self) -> Sequence {
        self.open_state().map_or(Sequence::ZERO, |open| open.catalog.oldest())
    }

    /// Returns the size of the segments in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.open_state().map_or(0, |open| open.catalog.bytes())
    }

    /// Returns statistics of the segments, and of the commits since the journal was opened.
    #[must_use]
    pub fn stats(&self) -> DiskStats {
        let stats = self.owner.shared.tally.stats();
        let Some(open) = self.open_state() else { return stats };
        let (bytes, segments, entries) = open.catalog.sizes();
        DiskStats { bytes, segments, entries, ..stats }
    }

    /// Returns the reason why the journal has stopped writing, if it has.
    #[must_use]
    pub fn failure(&self) -> Option<Arc<str>> {
        self.owner.shared.broken.why()
    }

    fn open_state(&self) -> Option<&Open> {
        self.owner.shared.open.get()
    }
}

impl fmt::Debug for DiskJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = &self.owner.shared.config;
        f.debug_struct("DiskJournal").field("config", config).finish_non_exhaustive()
    }
}

impl Owner {
    fn close(&self) {
        self.shared.queue.close();
        if let Some(writer) = self.writer.lock().take() {
            // The panic of a thread has been reported already.
            drop(writer.join());
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.close();
    }
}

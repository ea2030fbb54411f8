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
//! `notes` and `dropped` keep what outlives entries; `queue`, `writer`, `readers`, `cleaner` and `feed` connect threads.
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
mod group;
mod head;
mod index;
mod keyspans;
mod limits;
mod lookup;
mod mark;
mod newest;
mod notes;
mod portion;
mod queue;
mod read;
mod readers;
mod record;
mod recovery;
mod room;
mod scan;
mod seal;
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
use std::future::ready;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;
use smallvec::SmallVec;
use tidings_proto::EventId;

use self::answer::{Giver, answer};
use self::appender::{Appender, Limits};
use self::catalog::Catalog;
pub use self::check::{Checked, Dumped, check, copy_epoch, dump, epoch, new_epoch};
use self::cleaner::Cleaner;
pub use self::config::DiskConfig;
use self::copying::copied_to;
pub use self::damage::{Damage, Damaged, Lost};
use self::feed::{DiskFeed, Fed, closed};
pub use self::folder::Folder;
use self::newest::beyond;
pub use self::notes::{FoundNotes, Notes};
use self::queue::Queue;
use self::read::{find, page, place_before};
use self::readers::Readers;
use self::recovery::recover;
use self::seal::seal;
use self::segment::Selection;
use self::stats::Tally;
pub use self::stats::{DiskStats, Histogram};
use self::storage::Failure;
pub use self::storage::{Access, Storage, StorageFile, StorageLock};
use self::survey::{failed, refused};
use self::writer::{Broken, Writer};
use super::keys::Keys;
use super::{
    Committing, Copied, CopiedTo, CopyOf, DroppedEntries, Durability, Entry, Evict, Feed, Journal,
    JournalError, JournalFuture, JournalPage, NotCommitted, Opened, Outcome, PageMax, Submission,
    TopicSet,
};
use crate::cursor::Sequence;
use crate::retention::{RetentionRule, TopicLimits};
use crate::time::{Now, Time};
use crate::topic::Topic;

/// Bytes after which a sync is due, so that no publisher waits long for the events of others.
const PORTION_BYTES: usize = 1024 * 1024;
/// Committed entries kept in memory for the feed; a feed that is further behind reads files.
const FED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Reader threads: one may wait for the disk while the other serves cached pages.
const READER_THREADS: usize = 2;

/// A journal in a folder. Clones share it. Dropping the last clone writes pending submissions and
/// releases the folder.
///
/// Only one process can open a folder at a time.
///
/// If a write or a sync fails, the contents of the disk are uncertain, so the journal stops writing: the
/// append is answered with [`Outcome::Unknown`] and every later one with [`NotCommitted::Stopped`], reading
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

/// Runs the writer's thread: opens the journal and writes to it until it is closed.
fn write(shared: &Shared, giver: Giver<Result<Opened, JournalError>>) {
    let storage = &shared.storage;
    let opening = || {
        let failed = |error| failed("the journal's folder", error);
        storage.create_folder().map_err(failed)?;
        let lock = storage.lock().map_err(failed)?;
        let lock =
            lock.ok_or_else(|| refused("the journal's folder", "is in use by another process"))?;
        let (writer, open) = prepare(shared)?;
        Ok((lock, writer, open))
    };
    let (_lock, writer, open) = match opening() {
        Ok(opened) => opened,
        Err(error) => return giver.give(Err(error)),
    };
    let catalog = &open.catalog;
    let (epoch, oldest, tail) = (catalog.head.epoch, catalog.oldest(), catalog.tail());
    let opened = Opened::new(epoch, oldest, tail, Durability::Synced);
    // Only one such thread is ever started, so the cell is empty.
    drop(shared.open.set(open));
    giver.give(Ok(opened));
    writer.run();
}

fn prepare(shared: &Shared) -> Result<(Writer, Open), JournalError> {
    let recovered = recover(Arc::clone(&shared.storage), shared.copy)?;
    let catalog = recovered.catalog;
    let config = &shared.config;
    let limits = Limits { segment_bytes: config.segment_bytes, portion_bytes: PORTION_BYTES };
    let mut start = recovered.start;
    // Those of a copy are for the one that decides on what is copied.
    let keys = match shared.copy {
        Some(_) => std::mem::take(&mut start.keys),
        None => Keys::default(),
    };
    let mut appender = Appender::new(Arc::clone(&catalog), limits, start);
    // A crash came after a segment's last record and before its footer.
    while let Some(segment) = appender.unsealed() {
        match seal(&catalog, segment) {
            Ok(()) => appender.sealed(),
            // Sealing is attempted again before the next segment begins.
            Err(Failure::Refused(_)) => break,
            Err(Failure::Broken(error)) => return Err(failed(&segment.name(), error)),
        }
    }
    let copied_to = match shared.copy {
        Some(_) => copied_to(&catalog).map_err(|error| failed("the journal's folder", error))?,
        None => None,
    };
    let readers = Readers::start(READER_THREADS);
    let readers = readers.map_err(|error| failed("the journal's threads", error))?;
    let readers = Arc::new(readers);
    let fed = Arc::new(Fed::new(catalog.tail(), FED_BYTES_MAX));
    let open = Open {
        catalog: Arc::clone(&catalog),
        readers: Arc::clone(&readers),
        fed: Arc::clone(&fed),
        cut_bytes: recovered.cut_bytes,
        begun_anew: recovered.begun_anew,
        copied_to,
        keys: Mutex::new(keys),
    };
    shared.tally.keep_keys(appender.keys_bytes());
    let writer = Writer {
        catalog,
        appender,
        queue: Arc::clone(&shared.queue),
        fed,
        readers,
        bytes_max: config.bytes_max,
        broken: Arc::clone(&shared.broken),
        tally: Arc::clone(&shared.tally),
        sealing: None,
        unsynced: None,
        cleaner: Cleaner::default(),
        segment_bytes: config.segment_bytes,
    };
    Ok((writer, open))
}

fn selection(topics: &TopicSet) -> Selection<'_> {
    match topics {
        TopicSet::All => Selection::All,
        TopicSet::Topics(topics) => Selection::Topics(topics),
    }
}

impl Journal for DiskJournal {
    fn open(&self) -> JournalFuture<'_, Result<Opened, JournalError>> {
        let mut writer = self.owner.writer.lock();
        if writer.is_some() {
            return Box::pin(ready(Err(refused("the journal", "has been opened already"))));
        }
        let (giver, answer) = answer();
        let shared = Arc::clone(&self.owner.shared);
        let thread = thread::Builder::new().name("journal-writer".into());
        match thread.spawn(move || write(&shared, giver)) {
            Ok(started) => *writer = Some(started),
            Err(error) => {
                return Box::pin(ready(Err(failed("the journal's threads", error))));
            }
        }
        Box::pin(async { answer.await.unwrap_or_else(|| Err(closed())) })
    }

    fn append(&self, batch: &mut dyn Iterator<Item = Submission>, now: Now) -> Committing {
        let submissions: SmallVec<[Submission; 1]> = batch.collect();
        let count = submissions.len();
        if count == 0 {
            return Committing::All(Vec::new());
        }
        let shared = &self.owner.shared;
        let refused = |why| Committing::All(vec![Outcome::NotCommitted(why); count]);
        if shared.broken.why().is_some() || shared.copy.is_some() {
            return refused(NotCommitted::Stopped);
        }
        match shared.queue.submit(submissions, now.time) {
            Ok(answer) => Committing::Waiting(Box::pin(async move {
                // `None` if the writer's thread ended before it gave an answer.
                answer.await.unwrap_or_else(|| vec![Outcome::Unknown; count])
            })),
            Err(why) => refused(why),
        }
    }

    /// Entries in memory are handed to the feed that asks first; a second feed reads them from files.
    fn follow(&self, after: Sequence) -> Box<dyn Feed> {
        match self.open_state() {
            Some(open) => Box::new(DiskFeed {
                fed: Arc::clone(&open.fed),
                catalog: Arc::clone(&open.catalog),
                readers: Arc::clone(&open.readers),
                after,
                reading: None,
                lost: Vec::new(),
            }),
            None => Box::new(feed::Unopened),
        }
    }

    fn oldest(&self) -> Option<Sequence> {
        Some(Self::oldest(self))
    }

    fn dropped(&self) -> Option<Arc<dyn DroppedEntries>> {
        self.open_state().map(|open| open.catalog.dropped() as Arc<dyn DroppedEntries>)
    }

    fn newest(&self, bytes: usize) -> Sequence {
        self.open_state().map_or(Sequence::ZERO, |open| open.catalog.newest(bytes as u64))
    }

    fn tail(&self) -> JournalFuture<'static, Result<Sequence, JournalError>> {
        Box::pin(ready(self.open_state().map(|open| open.catalog.tail()).ok_or_else(closed)))
    }

    fn read(
        &self,
        topics: TopicSet,
        after: Sequence,
        max: PageMax,
    ) -> JournalFuture<'static, Result<JournalPage, JournalError>> {
        let Some(open) = self.open_state() else { return Box::pin(ready(Err(closed()))) };
        let catalog = Arc::clone(&open.catalog);
        let answer = open.readers.ask(move || page(&catalog, selection(&topics), after, max));
        Box::pin(async {
            let page = answer.await.ok_or_else(closed)?;
            page.map_err(|error| failed("the journal", error))
        })
    }

    fn marks(
        &self,
        after: Sequence,
        max: PageMax,
    ) -> JournalFuture<'static, Result<JournalPage, JournalError>> {
        self.read(TopicSet::Topics(Arc::new([index::MARKS])), after, max)
    }

    fn find(
        &self,
        id: &EventId,
        after: Sequence,
    ) -> JournalFuture<'static, Result<Option<Entry>, JournalError>> {
        let Some(open) = self.open_state() else { return Box::pin(ready(Err(closed()))) };
        let (catalog, id) = (Arc::clone(&open.catalog), id.clone());
        let answer = open.readers.ask(move || find(&catalog, &id, after));
        Box::pin(async {
            let found = answer.await.ok_or_else(closed)?;
            found.map_err(|error| failed("the journal", error))
        })
    }

    fn place_before(
        &self,
        topics: TopicSet,
        through: Sequence,
        entries: usize,
    ) -> JournalFuture<'static, Result<Option<Sequence>, JournalError>> {
        let Some(open) = self.open_state() else { return Box::pin(ready(Err(closed()))) };
        let catalog = Arc::clone(&open.catalog);
        let answer =
            open.readers.ask(move || place_before(&catalog, selection(&topics), through, entries));
        Box::pin(async {
            let place = answer.await.ok_or_else(closed)?;
            place.map_err(|error| failed("the journal", error))
        })
    }

    fn retain(&self, rules: &[RetentionRule]) {
        if let Some(open) = self.open_state() {
            open.catalog.set_rules(rules);
        }
    }

    fn beyond(
        &self,
        topic: &Topic,
        limits: &TopicLimits,
        place: (Sequence, Option<Time>),
    ) -> JournalFuture<'static, Result<Option<Sequence>, JournalError>> {
        let Some(open) = self.open_state() else { return Box::pin(ready(Err(closed()))) };
        let (catalog, topic) = (Arc::clone(&open.catalog), topic.clone());
        let limits = limits.clone();
        let answer = open.readers.ask(move || beyond(&catalog, &topic, &limits, place));
        Box::pin(async {
            let beyond = answer.await.ok_or_else(closed)?;
            beyond.map_err(|error| failed("the journal", error))
        })
    }

    /// The index of the newest segment and the submissions that wait to be written are not counted: they
    /// have limits of their own.
    fn bytes(&self) -> usize {
        self.owner.shared.tally.keys_bytes()
    }

    fn evict(&self, what: Evict) -> JournalFuture<'static, Result<(), JournalError>> {
        let answer = self.owner.shared.queue.evict(what);
        Box::pin(async { answer.await.unwrap_or_else(|| Err(closed())) })
    }
}

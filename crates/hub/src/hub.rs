//! The hub: one history, its journal, and all of its readers.
//!
//! Here is what a hub is made of. What it does stands in files by subject: `commit` (from the journal
//! into history), `tick` (time), `drive` (timers), `stats`; and beside the types that its methods
//! return (`publish`, `subscriber`, `page`).

mod builder;
mod clock;
mod commit;
mod committer;
mod drive;
mod locating;
mod reads;
mod restoring;
mod retaining;
mod stats;
mod streams;
mod tick;
mod ticket;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use self::builder::HubBuilder;
use self::clock::Clock;
use self::committer::Committer;
pub(crate) use self::locating::{Locating, Wanted};
use self::reads::Reads;
pub(crate) use self::reads::Waiting;
#[cfg(feature = "engine")]
pub use self::stats::TopicListing;
pub use self::stats::{HubStats, TopicInfo};
pub use self::streams::StreamInfo;
pub(crate) use self::ticket::{Ticket, Wait};
use crate::cursor::{Epoch, Sequence};
use crate::history::History;
use crate::journal::{Durability, Journal, Opened};
use crate::lifetime::lifetime;
use crate::retention::Retention;
use crate::streams::SharedStreams;
use crate::time::{Now, millis};
use crate::view::View;
use crate::watch::{Due, Watch, WatchList};

/// The configuration of a [`Hub`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HubConfig {
    /// The bounds of history. On a journal that keeps its entries, [`Retention::bytes_max`] bounds the part
    /// of them that is in memory, and the journal has a bound of its own.
    pub retention: Retention,
    /// Maximum size of the pages that readers behind memory share: 64 MiB by default, enough for some
    /// hundreds of places.
    pub pages_bytes_max: usize,
    /// The longest silence before a comment is sent: 15 s by default, below the idle timeouts of common
    /// proxies, as the standard advises (WHATWG HTML, section 9.2.7).
    pub heartbeat_interval: Duration,
    /// The reconnection time that streams announce in their `retry` field: 2 s by default, so that the
    /// readers of a restarted server come back soon, but not all at once.
    pub reconnection_time: Duration,
    /// The longest time that a stream lasts; unlimited by default. Each stream ends up to a tenth
    /// earlier, so that streams opened together do not end together. Readers come back by themselves.
    pub stream_age_max: Option<Duration>,
    /// The largest size of an event: type, ID and data together. 1 MiB by default, which is far above a
    /// notification and bounds what one publisher can make every reader's connection hold.
    pub event_bytes_max: usize,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            retention: Retention::default(),
            pages_bytes_max: 64 * 1024 * 1024,
            heartbeat_interval: Duration::from_secs(15),
            reconnection_time: Duration::from_secs(2),
            stream_age_max: None,
            event_bytes_max: 1024 * 1024,
        }
    }
}

/// Topics, the history of their events, and their subscribers. Cloning shares the hub.
///
/// A hub does nothing by itself: publishing runs on the publisher's thread, reading on the
/// subscriber's, and time enters by [`Hub::tick`], which [a task of yours](crate::docs::driving) calls. No
/// executor is needed.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

struct Inner {
    config: HubConfig,
    epoch: Epoch,
    durability: Durability,
    journal: Box<dyn Journal>,
    /// The journal's reads for readers that are behind.
    reads: Reads,
    /// Its lock makes one publisher at a time the committer. Taken before `history`, never after.
    committer: Mutex<Committer>,
    history: RwLock<History>,
    /// All subscribers, for time-outs and heartbeats.
    everybody: WatchList,
    clock: Clock,
    /// The age after which no topic holds an event any more, in milliseconds; the largest number if some topic
    /// has no such age.
    every_age_max: AtomicU64,
    counters: Counters,
    /// The streams of topics. Its lock is taken after the committer's, and held across no commit.
    streams: SharedStreams,
}

#[derive(Default)]
struct Counters {
    delivered: AtomicU64,
    gaps: AtomicU64,
    looks_cut: AtomicU64,
}

/// Maximum bytes of a journal that are read into memory when it is opened: a fraction of a second of work.
/// Everything older is read when it is asked for.
const WARM_BYTES_MAX: usize = 32 * 1024 * 1024;

impl Hub {
    /// A hub that keeps its events in memory. [`Hub::builder`] makes other hubs.
    #[must_use]
    pub fn new(config: HubConfig) -> Self {
        Self::builder().config(config).build()
    }

    fn with_opened(config: HubConfig, journal: Box<dyn Journal>, opened: Opened, now: Now) -> Self {
        let keeps = journal.oldest().is_some();
        journal.retain(&config.retention.all_rules());
        let from = if keeps {
            let bytes = WARM_BYTES_MAX.min(config.retention.bytes_max / 4);
            journal.newest(bytes).min(opened.tail).max(opened.oldest)
        } else {
            opened.oldest
        };
        let history = History::new(opened.epoch, from, config.retention.clone());
        let history = history.with_past(opened.oldest, keeps, journal.dropped());
        let history = history.shared(journal.is_shared());
        let feed = journal.follow(from);
        let clock = Clock::new(now, config.heartbeat_interval);
        let streams = SharedStreams::new(config.retention.streams_bytes_max(), &*journal);
        let every_age_max = AtomicU64::new(config.retention.every_age_millis());
        let inner = Inner {
            reads: Reads::new(config.pages_bytes_max),
            config,
            epoch: opened.epoch,
            durability: opened.durability,
            journal,
            committer: Mutex::new(Committer::new(&opened, feed, now.time)),
            history: RwLock::new(history),
            everybody: WatchList::default(),
            clock,
            every_age_max,
            counters: Counters::default(),
            streams,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The configuration that the hub was made with. [`Hub::limit_topics`] does not change it.
    #[must_use]
    pub fn config(&self) -> &HubConfig {
        &self.inner.config
    }

    /// The epoch, which identifies this history.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.inner.epoch
    }

    /// The durability of a committed event.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.inner.journal.durability().unwrap_or(self.inner.durability)
    }

    /// Returns whether other hubs publish to its journal as well.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.inner.journal.is_shared()
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, History> {
        self.inner.history.read()
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, History> {
        self.inner.history.write()
    }

    /// Begins a look for a place in the journal.
    pub(crate) fn begin_locating(&self, wanted: Wanted) -> Locating {
        let locating = Locating::new(wanted);
        self.inner.reads.locate(&locating);
        locating
    }

    pub(crate) fn streams_of_topics(&self) -> &SharedStreams {
        &self.inner.streams
    }

    pub(crate) fn journal(&self) -> &dyn Journal {
        &*self.inner.journal
    }

    /// Finds the earliest held event of a view with a publisher-given ID.
    pub(crate) fn find_given(&self, view: &View, id: &str) -> Option<Sequence> {
        locating::find_given(&self.inner.history, view, id, || self.count_cut_look())
    }

    pub(crate) fn reads(&self) -> &Reads {
        &self.inner.reads
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    pub(crate) fn everybody(&self) -> &WatchList {
        &self.inner.everybody
    }

    /// Creates a watch in the list of everybody. The configuration decides when its stream ends.
    pub(crate) fn watch(&self) -> Arc<Watch> {
        let clock = &self.inner.clock;
        clock.warn_if_idle();
        let watch = Arc::new(Watch::new(clock.uptime()));
        // Before the look at the clock, so that a drain in between finds it among everybody's.
        self.inner.everybody.keep(&watch);
        if clock.is_draining() {
            watch.mark_due(Due::Drain);
        } else if let Some(lifetime) = lifetime(self.inner.config.stream_age_max, None) {
            watch.end_at(clock.uptime() + millis(lifetime));
        }
        watch
    }

    pub(crate) fn count_gap(&self) {
        self.inner.counters.gaps.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a look at history that ended when its steps were taken.
    pub(crate) fn count_cut_look(&self) {
        self.inner.counters.looks_cut.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts events that were handed to subscribers.
    pub(crate) fn count_delivered(&self, events: u64) {
        self.inner.counters.delivered.fetch_add(events, Ordering::Relaxed);
    }
}

impl Default for Hub {
    /// A hub with the default configuration, in memory.
    fn default() -> Self {
        Self::new(HubConfig::default())
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("epoch", &self.inner.epoch).finish_non_exhaustive()
    }
}

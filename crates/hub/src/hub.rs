//! The hub: one history, its journal, and everybody who reads it.

use std::fmt;
use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::clock::Clock;
use crate::commit::Committer;
use crate::cursor::{Epoch, Sequence};
use crate::draft::Draft;
use crate::filter::View;
use crate::history::{Appended, History, Retention};
use crate::journal::{Committing, Durability, Journal, JournalError, MemoryJournal, Submission};
use crate::publish::{PublishError, Publishing, PublishingAll};
use crate::start::Start;
use crate::subscriber::{Page, Subscriber};
use crate::tap::Tap;
use crate::time::{Now, Time, millis};
use crate::topic::Topic;
use crate::watch::{Due, Watch, WatchList};

/// What a [`Hub`] is made with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HubConfig {
    /// What history holds.
    pub retention: Retention,
    /// Silence after which a comment is sent at the latest: 15 s by default, below the idle time-outs
    /// of the usual proxies, as the standard advises (WHATWG HTML, section 9.2.7).
    pub heartbeat_interval: Duration,
    /// The reconnection time that streams announce in their `retry` field: 2 s by default, so that
    /// readers of a restarted server do not come back all at once, and soon.
    pub reconnection_time: Duration,
    /// How long a stream lasts at most; `None` by default. Each ends up to a tenth earlier, so that
    /// streams opened together do not end together. Readers come back by themselves.
    pub stream_age_max: Option<Duration>,
    /// Bytes of an event at most, type, ID and data together: 1 MiB by default, which is far above a
    /// notification and bounds what one publisher can make every reader's connection hold.
    pub event_bytes_max: usize,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            retention: Retention::default(),
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
/// subscriber's, and time enters by [`Hub::tick`]. No executor is needed.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

struct Inner {
    config: HubConfig,
    epoch: Epoch,
    durability: Durability,
    journal: Box<dyn Journal>,
    /// Whoever holds it is the one committer. Taken before `history`, never after.
    committer: Mutex<Committer>,
    history: RwLock<History>,
    /// Subscribers with patterns.
    scans: WatchList,
    /// All subscribers, for time-outs and heartbeats.
    everybody: WatchList,
    clock: Clock,
    counters: Counters,
}

#[derive(Default)]
struct Counters {
    published: AtomicU64,
    delivered: AtomicU64,
    gaps: AtomicU64,
}

/// What a hub holds and has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubStats {
    /// Subscribers there are.
    pub subscribers: usize,
    /// Topics known: with events, with readers, or remembered for what they lost.
    pub topics: usize,
    /// Events held.
    pub events_held: u64,
    /// Bytes that history takes.
    pub history_bytes: usize,
    /// Events published since the start.
    pub published: u64,
    /// Events handed to subscribers since the start.
    pub delivered: u64,
    /// Gaps told since the start.
    pub gaps: u64,
}

impl Hub {
    /// A hub that keeps events in memory alone, dated by the machine's clock until the first tick.
    #[must_use]
    pub fn new(config: HubConfig) -> Self {
        Self::at(config, Now::read())
    }

    /// As [`Hub::new`], at a time of the caller's: for tests that step it.
    #[must_use]
    pub fn at(config: HubConfig, now: Now) -> Self {
        Self::with_memory(config, MemoryJournal::new(), now)
    }

    /// As [`Hub::at`], on a given memory journal: for tests that repeat.
    #[must_use]
    pub fn with_memory(config: HubConfig, journal: MemoryJournal, now: Now) -> Self {
        let opened = journal.opened();
        Self::with_opened(config, Box::new(journal), opened, now)
    }

    /// Opens a journal and makes a hub on it. History fills up as [`Hub::run`] follows the journal.
    ///
    /// # Errors
    ///
    /// Those of [`Journal::open`].
    pub async fn open(
        config: HubConfig,
        journal: Box<dyn Journal>,
        now: Now,
    ) -> Result<Self, JournalError> {
        let opened = journal.open().await?;
        Ok(Self::with_opened(config, journal, opened, now))
    }

    fn with_opened(
        config: HubConfig,
        journal: Box<dyn Journal>,
        opened: crate::journal::Opened,
        now: Now,
    ) -> Self {
        let history = History::new(opened.epoch, opened.oldest, config.retention.clone());
        let feed = journal.follow(opened.oldest);
        let clock = Clock::new(now, config.heartbeat_interval);
        let inner = Inner {
            config,
            epoch: opened.epoch,
            durability: opened.durability,
            journal,
            committer: Mutex::new(Committer::new(feed)),
            history: RwLock::new(history),
            scans: WatchList::default(),
            everybody: WatchList::default(),
            clock,
            counters: Counters::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// What the hub was made with.
    #[must_use]
    pub fn config(&self) -> &HubConfig {
        &self.inner.config
    }

    /// Which history this is.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.inner.epoch
    }

    /// What a committed event survives.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.inner.durability
    }

    /// What the hub holds and has done.
    #[must_use]
    pub fn stats(&self) -> HubStats {
        let history = self.read();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        HubStats {
            subscribers: self.inner.everybody.len() + history.shards.readers(),
            topics: history.topic_count(),
            events_held: history.events(),
            history_bytes: history.bytes(),
            published: count(&self.inner.counters.published),
            delivered: count(&self.inner.counters.delivered),
            gaps: count(&self.inner.counters.gaps),
        }
    }

    /// The topics that hold events, in the order of their names: after `after`, `max` at most.
    ///
    /// For operators and pages: it looks at every topic there is.
    #[must_use]
    pub fn topics(&self, after: Option<&str>, max: usize) -> Vec<TopicInfo> {
        let history = self.read();
        let mut topics: Vec<_> = history
            .topics_held()
            .filter(|(name, ..)| after.is_none_or(|after| name.as_str() > after))
            .collect();
        topics.sort_unstable_by_key(|(name, ..)| *name);
        topics.truncate(max);
        let info = |(name, events, newest): (&Topic, usize, Sequence)| TopicInfo {
            topic: name.clone(),
            events,
            newest,
        };
        topics.into_iter().map(info).collect()
    }

    /// Publishes an event. It is submitted at the call; the future yields where it was committed.
    ///
    /// Never waits for readers. In memory the event is committed, and its readers are woken, before
    /// the call returns.
    ///
    /// # Errors
    ///
    /// [`PublishError`], at once where the event is refused: nothing is then published.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes nothing back.
    pub fn publish(&self, draft: Draft) -> Result<Publishing, PublishError> {
        self.check(&draft).map_err(|reason| PublishError::Refused { index: 0, reason })?;
        let given_id = draft.event.id().cloned();
        let committing = self.submit(&mut std::iter::once(Submission::Event(draft)));
        Ok(Publishing::new(self.epoch(), committing, given_id))
    }

    /// Publishes events in order; all of them are refused if one is. The future yields one
    /// [`Published`](crate::Published) for each, in the same order.
    ///
    /// They are checked and submitted at the call. How many they are is for the caller to limit.
    ///
    /// # Errors
    ///
    /// [`PublishError::Refused`] names the first event that is refused.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes nothing back.
    pub fn publish_all(&self, drafts: Vec<Draft>) -> Result<PublishingAll, PublishError> {
        for (index, draft) in drafts.iter().enumerate() {
            self.check(draft).map_err(|reason| PublishError::Refused { index, reason })?;
        }
        let given_ids = drafts.iter().map(|draft| draft.event.id().cloned()).collect();
        let committing = self.submit(&mut drafts.into_iter().map(Submission::Event));
        Ok(PublishingAll::new(self.epoch(), committing, given_ids))
    }

    /// Ends the streams that are now open on exactly this topic, after what has been published. A
    /// reader that was away comes back to an ended stream.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes nothing back.
    pub fn end(&self, topic: Topic) -> Publishing {
        let committing = self.submit(&mut std::iter::once(Submission::End(topic)));
        Publishing::new(self.epoch(), committing, None)
    }

    /// Subscribes to a view: a topic, a filter, or several ([`View::new`]). The subscriber reads from its
    /// start by itself; nothing is queued for it.
    ///
    /// From this call on nothing published is missed, whenever the subscriber is first polled.
    #[must_use]
    pub fn subscribe(&self, view: impl Into<View>, start: Start) -> Subscriber {
        Subscriber::open(self, &view.into(), start)
    }

    /// Reads some of a view's events at once, in order: after a start, or the latest for
    /// [`Start::Tail`]; `events_max` and about 8 MiB at most, one event at least if there is one.
    ///
    /// [`Page::place`] is where to go on, by another page or by subscribing after it.
    #[must_use]
    pub fn page(&self, view: impl Into<View>, start: Start, events_max: usize) -> Page {
        Page::read(self, &view.into(), start, events_max)
    }

    /// Opens a tap for a shard: `hints_max` blocks may wait in it before it overflows, and `waker` is
    /// woken, outside every lock, when something was pushed.
    #[must_use]
    pub fn tap(&self, hints_max: usize, waker: Waker) -> Tap {
        Tap::open(self.clone(), hints_max, waker)
    }

    /// Moves the hub's time on and does what is due: heartbeats, the ends of streams, the ages of
    /// events. Cheap when nothing is; call it several times a second, and whenever exact dates matter.
    pub fn tick(&self, now: Now) {
        if !self.inner.clock.advance(now) {
            return;
        }
        let clock = &self.inner.clock;
        let uptime = clock.uptime();
        let at_end = if clock.is_closing() { Due::Close } else { Due::TimeOut };
        self.inner.everybody.for_each_group(|watch| {
            let ends = uptime >= watch.ends_at();
            if ends {
                watch.mark_due(at_end);
            }
            let quiet = clock.is_quiet(watch.number(), watch.sent_at());
            if quiet {
                watch.mark_due(Due::Heartbeat);
            }
            ends || quiet
        });
        while self.write().expire(now.time) {}
        // Shards do what is due when they are woken; they have no clock of their own.
        let taps = self.read().shards.wakers();
        taps.into_iter().for_each(Waker::wake);
    }

    /// The wall clock's time, as the last tick told it.
    #[must_use]
    pub fn time(&self) -> Time {
        self.inner.clock.time()
    }

    /// How long the hub has been there, as its ticks have told it.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        Duration::from_millis(self.inner.clock.uptime())
    }

    /// Ends every stream, spread at random over a time, each with a reconnection time of its own, up to
    /// 3 s above the usual: readers then come back to the next server spread as well. Streams opened
    /// from now on end at once.
    ///
    /// The streams end as the hub's time goes on, so keep [ticking](Hub::tick) it;
    /// [`HubStats::subscribers`] says how many are left. What was published before is sent first.
    pub fn drain(&self, over: Duration) {
        let clock = &self.inner.clock;
        clock.close();
        let over = millis(over);
        self.inner.everybody.for_each_group(|watch| {
            let delay = if over == 0 { 0 } else { fastrand::u64(0..over) };
            watch.end_at(clock.uptime() + delay);
            if delay == 0 {
                watch.mark_due(Due::Close);
            }
            delay == 0
        });
    }

    /// Follows the journal into history, for as long as the hub is to live. A hub in memory needs no
    /// follower: each publisher brings its events into history.
    ///
    /// # Errors
    ///
    /// [`JournalError`] when the journal cannot go on.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops following; a later call goes on where it stopped.
    pub async fn run(&self) -> Result<(), JournalError> {
        // Woken by each publish, it would find nothing left to do.
        if self.inner.committer.lock().is_in_step() {
            return pending().await;
        }
        loop {
            let appended = poll_fn(|cx| self.inner.committer.lock().poll_commit(cx, self));
            self.wake(appended.await?);
        }
    }

    fn submit(&self, submissions: &mut dyn Iterator<Item = Submission>) -> Committing {
        let committing = self.inner.journal.append(submissions, self.inner.clock.time());
        let appended = self.inner.committer.lock().try_commit(self);
        // Nothing, if another publisher brought ours along. What fails here fails again for whoever
        // follows the journal, and is reported there.
        if let Ok(Some(appended)) = appended {
            self.wake(appended);
        }
        committing
    }

    /// Wakes who has to hear of what was appended. No lock is held: the first thing that whoever is
    /// woken does is take one, and others may publish meanwhile.
    fn wake(&self, mut appended: Appended) {
        appended.taps.into_iter().for_each(Waker::wake);
        if appended.watchers.len() > 1 {
            appended.watchers.sort_unstable_by_key(Arc::as_ptr);
            appended.watchers.dedup_by_key(|list| Arc::as_ptr(list));
        }
        appended.watchers.iter().for_each(|list| list.wake_all());
        if !appended.topics.is_empty() {
            self.inner.scans.wake_matching(&appended.topics);
        }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, History> {
        self.inner.history.read()
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, History> {
        self.inner.history.write()
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    pub(crate) fn everybody(&self) -> &WatchList {
        &self.inner.everybody
    }

    pub(crate) fn scans(&self) -> &WatchList {
        &self.inner.scans
    }

    /// A new watch among everybody's: when its stream ends follows from the configuration.
    pub(crate) fn watch(&self, scan: Option<View>) -> Arc<Watch> {
        let clock = &self.inner.clock;
        let watch = Arc::new(Watch::new(scan, clock.uptime()));
        // Before the look, so that a close in between finds it among everybody's.
        self.inner.everybody.keep(&watch);
        if clock.is_closing() {
            watch.mark_due(Due::Close);
        } else if let Some(age_max) = self.inner.config.stream_age_max {
            let age_max = millis(age_max);
            watch.end_at(clock.uptime() + age_max - fastrand::u64(0..=age_max / 10));
        }
        watch
    }

    pub(crate) fn count_published(&self, events: u64) {
        self.inner.counters.published.fetch_add(events, Ordering::Relaxed);
    }

    pub(crate) fn count_gap(&self) {
        self.inner.counters.gaps.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts events that a shard has handed to its subscribers.
    pub fn count_delivered(&self, events: u64) {
        self.inner.counters.delivered.fetch_add(events, Ordering::Relaxed);
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("epoch", &self.inner.epoch).finish_non_exhaustive()
    }
}

/// A topic that holds events.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicInfo {
    /// Its name.
    pub topic: Topic,
    /// How many events it holds.
    pub events: usize,
    /// Its newest event.
    pub newest: Sequence,
}

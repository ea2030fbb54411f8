//! The journal on NATS JetStream: several hubs have the events of one stream.
//!
//! The rules that make all hubs agree are those of [`tidings_hub::journal::shared`]; here is what speaks to
//! NATS. `api` has the requests of JetStream, as JSON; `stream` creates or checks the stream and finds out
//! which past of it there is; `sender` sends groups until the stream has them; `follower` reads the stream,
//! with a `consumer` that is made anew from the hub's own place whenever it falls silent; `look` finds out
//! whether the stream is still the one that was opened; `leader` says whose word on that counts.
//!
//! The hub's memory is the only past that it reads, and the stream holds what a hub reads when it starts; or the
//! hub has a `copy` of the stream in a folder, which is read where memory ends. No reader ever costs a consumer.

mod aging;
mod api;
mod auth;
pub(crate) mod bus;
mod config;
mod consumer;
mod copy;
mod follower;
mod leader;
mod look;
mod opening;
mod revoked;
mod sender;
mod status;
mod stream;

use std::fmt;
use std::future::{poll_fn, ready};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tidings_hub::journal::shared::{CameBy, SharedConfig, SharedLog, Stopped};
use tidings_hub::journal::{
    Committing, Counted, DiskJournal, DroppedEntries, Durability, Entry, Evict, Feed, Journal,
    JournalError, JournalFuture, JournalPage, NotCommitted, Opened, Outcome, PageMax, Submission,
    TopicSet,
};
use tidings_hub::{EventId, Now, RetentionRule, Sequence, StreamState, Time, Topic, TopicLimits};
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::api::Api;
use self::bus::Bus;
pub use self::config::NatsConfig;
pub use self::copy::CopyConfig;
use self::revoked::{AllRevoked, Ended, WatchedFeed};
pub use self::status::NatsStats;
use self::status::Status;
use self::stream::Stream;
use crate::engine::ended_within::EndedWithin;
use crate::engine::subject::Subject;
use crate::notices::{NoticeParts, Revoked};

/// A journal whose entries are in a stream of NATS JetStream, which other hubs have as well. Clones share it.
///
/// Nothing happens before it is opened, by [`HubBuilder::open`](tidings_hub::HubBuilder::open) on a runtime
/// of tokio.
#[derive(Clone)]
pub struct NatsJournal(Arc<Shared>);

struct Shared {
    config: NatsConfig,
    /// The generation of the journal that this one is opened after, if its past has changed.
    after: Option<u64>,
    open: Mutex<Option<Open>>,
    /// The failures that its commits survive, once it is open.
    durability: OnceLock<Durability>,
    /// The hub's own copy of the stream, once it is open.
    copy: OnceLock<DiskJournal>,
    /// Why the journal is over before its log has begun, and the generation to be opened after.
    over: Mutex<Option<(Stopped, Option<u64>)>>,
    tasks: Mutex<JoinSet<()>>,
    status: Arc<Status>,
    revoked: AllRevoked,
    /// How the streams stand that the hub has read back, until the log is told.
    restored: Mutex<Vec<(Topic, StreamState)>>,
    ended: Ended,
    /// True once the log has stopped.
    stopped: watch::Sender<bool>,
}

/// An open stream.
struct Open {
    log: SharedLog,
    api: Api,
    stream: Stream,
}

/// How long the stream is asked for its newest message.
const TAIL_MAX: Duration = Duration::from_secs(5);

impl NatsJournal {
    /// A journal that is not open yet.
    #[must_use]
    pub fn new(config: NatsConfig) -> Self {
        Self::after(config, None)
    }

    fn after(config: NatsConfig, after: Option<u64>) -> Self {
        let (open, durability, copy, over, tasks) = Default::default();
        let (status, revoked, restored, ended, stopped) = Default::default();
        Self(Arc::new(Shared {
            config,
            after,
            open,
            durability,
            copy,
            over,
            tasks,
            status,
            revoked,
            restored,
            ended,
            stopped,
        }))
    }

    /// A journal of the same stream, to be opened after the past of this one has changed. It releases the folder of
    /// this one.
    #[must_use]
    pub fn anew(&self) -> Self {
        self.0.copy.get().into_iter().for_each(DiskJournal::close);
        let opened = self.0.open.lock().as_ref().map(|open| open.stream.generation);
        let over = self.0.over.lock().as_ref().map(|(_, after)| *after);
        let anew = Self::after(self.0.config.clone(), over.unwrap_or(opened.or(self.0.after)));
        let known = self.0.revoked.lock().clone();
        // Their places are those of the past that is over.
        let known = known.into_iter().map(|revoked| Revoked { place: 0, ..revoked });
        anew.0.revoked.lock().extend(known);
        anew
    }

    /// Leaves revocations to the journal that is opened [anew](NatsJournal::anew).
    pub(crate) fn hand_on(&self, revoked: Vec<(Subject, Time)>) {
        let revoked = revoked.into_iter().map(|(subject, moment)| Revoked {
            subject,
            moment,
            place: 0,
            is_again: true,
        });
        self.0.revoked.lock().extend(revoked);
    }

    /// Finds this journal again, as long as somebody has it.
    fn downgrade(&self) -> impl Fn() -> Option<Self> + use<> {
        let shared = Arc::downgrade(&self.0);
        move || shared.upgrade().map(Self)
    }

    /// The reason that the journal has stopped for, if it has.
    #[must_use]
    pub fn stopped(&self) -> Option<Stopped> {
        let over = self.0.over.lock().as_ref().map(|(why, _)| why.clone());
        over.or_else(|| self.log()?.stopped())
    }

    /// Waits until the journal has stopped.
    pub async fn ended(&self) -> Stopped {
        let mut stopped = self.0.stopped.subscribe();
        loop {
            if let Some(why) = self.stopped() {
                return why;
            }
            if stopped.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The hub's own copy of the stream, if it has one and has opened it.
    #[must_use]
    pub fn copy(&self) -> Option<&DiskJournal> {
        self.0.copy.get()
    }

    /// Waits until the past of the stream has changed: the hub must be closed, and a new one opened on
    /// [the same stream](NatsJournal::anew).
    pub async fn past_changed(&self) {
        let mut stopped = self.0.stopped.subscribe();
        while !matches!(self.stopped(), Some(Stopped::PastChanged { .. })) {
            if stopped.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The newest message that the stream drops before long; `None` while the hub has not read what there is.
    pub(crate) fn aged(&self) -> Option<u64> {
        let stats = self.stats();
        let is_read = !stats.is_opening && !stats.is_away && stats.read >= stats.newest;
        is_read.then(|| self.0.status.aged.load(Ordering::Relaxed))
    }

    /// Takes the revocations of all hubs since the last call.
    pub(crate) fn take_revoked(&self) -> Vec<Revoked> {
        std::mem::take(&mut *self.0.revoked.lock())
    }

    /// The bus on which hubs tell and ask each other; `None` before the journal is open.
    pub(crate) fn bus(&self) -> Option<Bus> {
        Bus::new(&self.0.open.lock().as_ref()?.api, self.0.config.subject())
    }

    /// The number by which this hub's messages are known; zero before the journal is open.
    pub(crate) fn writer(&self) -> u64 {
        self.log().map_or(0, |log| log.writer())
    }

    /// The newest message when this hub opened the stream; zero before the journal is open.
    pub(crate) fn opened_at(&self) -> u64 {
        self.log().map_or(0, |log| log.opened_at())
    }

    /// Notes a message that another hub has read.
    pub(crate) fn note_newest(&self, message: u64) {
        self.0.status.note_newest(message);
    }

    /// Tells the log of the streams that the hub has read back, once there are both.
    fn tell_restored(&self) {
        if let Some(log) = self.log() {
            log.restore_streams(std::mem::take(&mut *self.0.restored.lock()));
        }
    }

    /// Tells that producers have left whose hubs are gone.
    pub(crate) fn leave_streams(&self, is_gone: impl Fn(CameBy) -> bool) {
        if let Some(log) = self.log() {
            log.leave_streams(is_gone, Now::read());
        }
    }

    /// Takes the ends of streams that hubs have committed since the last call.
    pub(crate) fn take_ended(&self) -> Vec<EndedWithin> {
        std::mem::take(&mut *self.0.ended.lock())
    }

    /// The state of the journal.
    #[must_use]
    pub fn stats(&self) -> NatsStats {
        let status = &self.0.status;
        let log = self.log();
        let read = log.as_ref().map_or(0, SharedLog::through);
        let newest = status.newest.load(Ordering::Relaxed).max(read);
        let (messages, events) = log.as_ref().map_or((1, 1), SharedLog::counts);
        NatsStats {
            is_opening: status.is_opening.load(Ordering::Relaxed),
            is_away: status.is_away.load(Ordering::Relaxed),
            newest,
            read,
            lag_events: (newest - read).saturating_mul(events).div_ceil(messages.max(1)),
            lag: status.lag(read, Now::read().instant),
            sent: status.sent.load(Ordering::Relaxed),
            consumers: status.consumers.load(Ordering::Relaxed),
            passed_over: log.as_ref().map_or(0, SharedLog::passed_over),
        }
    }

    /// One line for each property of the stream that is not what this program would have made it.
    #[must_use]
    pub fn differences(&self) -> Vec<String> {
        self.0.open.lock().as_ref().map_or_else(Vec::new, |open| open.stream.differences.clone())
    }

    fn log(&self) -> Option<SharedLog> {
        self.0.open.lock().as_ref().map(|open| open.log.clone())
    }
}

impl Journal for NatsJournal {
    fn open(&self) -> JournalFuture<'_, Result<Opened, JournalError>> {
        Box::pin(self.start())
    }

    fn append(&self, batch: &mut dyn Iterator<Item = Submission>, now: Now) -> Committing {
        match self.log() {
            Some(log) => log.append(batch, now),
            None => {
                let why = match self.copy() {
                    Some(_) if self.stopped().is_none() => NotCommitted::Unreachable,
                    _ => NotCommitted::Stopped,
                };
                Committing::All(batch.map(|_| Outcome::NotCommitted(why)).collect())
            }
        }
    }

    fn follow(&self, after: Sequence) -> Box<dyn Feed> {
        let feed = match (self.copy(), self.log()) {
            (Some(copy), _) => copy.follow(after),
            (None, Some(log)) => log.follow(),
            (None, None) => {
                let log = SharedLog::new(SharedConfig::new(0, 0, (0, 0)));
                log.stop(Stopped::Failed("the journal is not open".into()));
                log.follow()
            }
        };
        let (revoked, ended) = (Arc::clone(&self.0.revoked), Arc::clone(&self.0.ended));
        let shared = Arc::downgrade(&self.0);
        let log = Box::new(move || Some(shared.upgrade()?.open.lock().as_ref()?.log.clone()));
        Box::new(WatchedFeed { feed, revoked, ended, parts: NoticeParts::default(), log })
    }

    fn oldest(&self) -> Option<Sequence> {
        self.copy().map(DiskJournal::oldest)
    }

    fn older(&self) -> Option<Sequence> {
        self.copy()?.older()
    }

    fn dropped(&self) -> Option<Arc<dyn DroppedEntries>> {
        self.copy()?.dropped()
    }

    fn newest(&self, bytes: usize) -> Sequence {
        self.copy().map_or(Sequence::ZERO, |copy| copy.newest(bytes))
    }

    fn retain(&self, rules: &[RetentionRule]) {
        self.copy().into_iter().for_each(|copy| copy.retain(rules));
    }

    fn read(
        &self,
        topics: TopicSet,
        after: Sequence,
        max: PageMax,
    ) -> JournalFuture<'static, Result<JournalPage, JournalError>> {
        match self.copy() {
            Some(copy) => copy.read(topics, after, max),
            None => Box::pin(ready(Ok(JournalPage::new(Vec::new(), after)))),
        }
    }

    fn marks(
        &self,
        after: Sequence,
        max: PageMax,
    ) -> JournalFuture<'static, Result<JournalPage, JournalError>> {
        match self.copy() {
            Some(copy) => copy.marks(after, max),
            None => Box::pin(ready(Ok(JournalPage::new(Vec::new(), after)))),
        }
    }

    /// An ID that the copy does not have may be that of an event which another hub has committed since.
    fn find(
        &self,
        id: &EventId,
        after: Sequence,
    ) -> JournalFuture<'static, Result<Option<Entry>, JournalError>> {
        let Some(copy) = self.copy().cloned() else { return Box::pin(ready(Ok(None))) };
        let (tail, id) = (self.tail(), id.clone());
        Box::pin(async move {
            if let Some(found) = copy.find(&id, after).await? {
                return Ok(Some(found));
            }
            tail.await?;
            copy.find(&id, after).await
        })
    }

    fn place_before(
        &self,
        topics: TopicSet,
        through: Sequence,
        entries: usize,
    ) -> JournalFuture<'static, Result<Option<Sequence>, JournalError>> {
        match self.copy() {
            Some(copy) => copy.place_before(topics, through, entries),
            None => Box::pin(ready(Ok(None))),
        }
    }

    fn count(
        &self,
        topic: &Topic,
        limits: &TopicLimits,
        through: Sequence,
    ) -> JournalFuture<'static, Result<Counted, JournalError>> {
        match self.copy() {
            Some(copy) => copy.count(topic, limits, through),
            None => Box::pin(ready(Ok(Counted::default()))),
        }
    }

    fn free(&self, topic: &Topic, last: Sequence, through: Sequence) -> bool {
        self.copy().is_some_and(|copy| copy.free(topic, last, through))
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn durability(&self) -> Option<Durability> {
        self.0.durability.get().copied()
    }

    fn decides_streams(&self) -> bool {
        true
    }

    fn restore_streams(&self, states: Vec<(Topic, StreamState)>) {
        *self.0.restored.lock() = states;
        self.tell_restored();
    }

    /// The copy keeps them; what the stream drops is told to all hubs.
    fn keep_streams(&self, states: Vec<(Topic, StreamState)>) {
        if let Some(log) = self.log() {
            log.keep_streams(states);
        }
    }

    fn tail(&self) -> JournalFuture<'static, Result<Sequence, JournalError>> {
        let parts = {
            let open = self.0.open.lock();
            open.as_ref().map(|open| (open.log.clone(), open.api.clone(), open.stream.clone()))
        };
        Box::pin(async move {
            let away = |why: Box<str>| JournalError::new(why, None);
            let (log, api, stream) = parts.ok_or_else(|| away("the journal is not open".into()))?;
            let asked = tokio::time::timeout(TAIL_MAX, async {
                let info =
                    api.stream_info(&stream.name).await.map_err(|error| away(error.text()))?;
                poll_fn(|cx| log.poll_fed(info.state.last_seq, cx)).await?;
                Ok(tidings_hub::journal::shared::end_of(info.state.last_seq))
            });
            asked.await.unwrap_or_else(|_| Err(away("NATS does not answer".into())))
        })
    }

    fn bytes(&self) -> usize {
        self.log().map_or(0, |log| log.bytes())
    }

    fn evict(&self, what: Evict) -> JournalFuture<'static, Result<(), JournalError>> {
        match self.copy() {
            Some(copy) => copy.evict(what),
            // The stream has limits of its own.
            None => Box::pin(ready(Ok(()))),
        }
    }
}

impl fmt::Debug for NatsJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsJournal").field("stream", &self.0.config.stream).finish_non_exhaustive()
    }
}

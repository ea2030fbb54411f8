//! The journal on NATS JetStream: several hubs have the events of one stream.
//!
//! The rules that make all hubs agree are those of [`tidings_hub::journal::shared`]; here is what speaks to
//! NATS. `api` has the requests of JetStream, as JSON; `stream` creates or checks the stream and finds out
//! which past of it there is; `sender` sends groups until the stream has them; `follower` reads the stream,
//! with a `consumer` that is made anew from the hub's own place whenever it falls silent; `look` finds out
//! whether the stream is still the one that was opened.
//!
//! The hub's memory is the only past that it reads: the stream holds what a hub reads when it starts. No
//! reader ever costs a consumer.

mod api;
pub(crate) mod bus;
mod config;
mod consumer;
mod follower;
mod look;
mod revoked;
mod sender;
mod status;
mod stream;

use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tidings_hub::journal::shared::{SharedConfig, SharedLog, Stopped};
use tidings_hub::journal::{
    Committing, Evict, Feed, Journal, JournalError, JournalFuture, NotCommitted, Opened, Outcome,
    Submission,
};
use tidings_hub::{Now, Sequence, Time};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::{info, warn};

use self::api::Api;
use self::bus::Bus;
pub use self::config::NatsConfig;
use self::revoked::{Ended, Revoked, WatchedFeed};
pub use self::status::NatsStats;
use self::status::Status;
use self::stream::{NotOpened, Stream};
use crate::engine::ended_within::EndedWithin;
use crate::engine::subject::Subject;

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
    status: Arc<Status>,
    revoked: Revoked,
    ended: Ended,
    /// True once the log has stopped.
    stopped: watch::Sender<bool>,
}

/// An open journal. Its tasks end with it.
struct Open {
    log: SharedLog,
    api: Api,
    stream: Stream,
    _tasks: JoinSet<()>,
}

/// How often the submissions are looked through for those that have waited too long.
const TIMEOUTS_EVERY: Duration = Duration::from_millis(100);
/// Time between two tries to open the stream.
const OPENING_EVERY: Duration = Duration::from_secs(1);
/// How long the stream is asked for its newest message.
const TAIL_MAX: Duration = Duration::from_secs(5);

impl NatsJournal {
    /// A journal that is not open yet.
    #[must_use]
    pub fn new(config: NatsConfig) -> Self {
        Self::after(config, None)
    }

    fn after(config: NatsConfig, after: Option<u64>) -> Self {
        let (open, status, revoked, ended, stopped) = Default::default();
        Self(Arc::new(Shared { config, after, open, status, revoked, ended, stopped }))
    }

    /// A journal of the same stream, to be opened after the past of this one has changed.
    #[must_use]
    pub fn anew(&self) -> Self {
        let opened = self.0.open.lock().as_ref().map(|open| open.stream.generation);
        Self::after(self.0.config.clone(), opened.or(self.0.after))
    }

    /// The reason that the journal has stopped for, if it has.
    #[must_use]
    pub fn stopped(&self) -> Option<Stopped> {
        self.log()?.stopped()
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

    /// Takes the subjects whose tokens were revoked, at any hub, since the last call.
    pub(crate) fn take_revoked(&self) -> Vec<(Subject, Time)> {
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

    /// Notes a message that another hub has read.
    pub(crate) fn note_newest(&self, message: u64) {
        self.0.status.note_newest(message);
    }

    /// Tells that producers have left whose hubs are gone.
    pub(crate) fn leave_streams(&self, is_gone: impl Fn(u64) -> bool) {
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

    /// Opens the stream as soon as NATS answers, and starts to follow it.
    async fn start(&self) -> Result<Opened, JournalError> {
        let Shared { config, after, open, status, stopped, .. } = &*self.0;
        let api = Api::new(config).map_err(|error| {
            JournalError::new("the credentials of NATS cannot be used", Some(error.into()))
        })?;
        let mut is_told = false;
        let stream = loop {
            let away = match api.connect().await {
                Ok(()) => match stream::open(&api, config, *after).await {
                    Ok(stream) => break stream,
                    Err(NotOpened::Refused(why)) => return Err(JournalError::new(why, None)),
                    Err(NotOpened::Away(why)) => why,
                },
                Err(why) => why,
            };
            status.is_away.store(true, Ordering::Relaxed);
            if !std::mem::replace(&mut is_told, true) {
                warn!(reason = &*away, "NATS is away; trying again every second");
            }
            sleep(OPENING_EVERY).await;
        };
        status.is_away.store(false, Ordering::Relaxed);
        status.newest.store(stream.tail, Ordering::Relaxed);
        for difference in &stream.differences {
            warn!(
                stream = config.stream,
                difference, "stream is not as this hub would have made it"
            );
        }
        info!(
            stream = config.stream,
            messages = stream.tail - stream.oldest,
            replicas = stream.replicas,
            "stream opened"
        );
        let log = SharedLog::new(stream.log_config(&api));
        let mut tasks = JoinSet::new();
        let parts = (log.clone(), api.clone(), stream.clone(), Arc::clone(status));
        let (followed, looked) = (parts.clone(), parts.clone());
        let following = async {
            tokio::select! {
                () = follower::follow(followed) => {}
                () = look::keep_looking(looked) => {}
            }
        };
        tasks.spawn(until_stopped(following, stopped.clone(), log.clone()));
        tasks.spawn(sender::send(parts));
        tasks.spawn(keep_timeouts(log.clone()));
        let opened = stream.opened();
        *open.lock() = Some(Open { log, api, stream, _tasks: tasks });
        Ok(opened)
    }
}

/// Tells those who wait for it when the log has stopped.
async fn until_stopped(
    following: impl Future<Output = ()>,
    stopped: watch::Sender<bool>,
    log: SharedLog,
) {
    following.await;
    if let Some(why) = log.stopped() {
        warn!(reason = %why, "stream can be followed no further");
    }
    stopped.send_replace(true);
}

async fn keep_timeouts(log: SharedLog) {
    loop {
        sleep(TIMEOUTS_EVERY).await;
        log.handle_timeout(Now::read().instant);
    }
}

impl Journal for NatsJournal {
    fn open(&self) -> JournalFuture<'_, Result<Opened, JournalError>> {
        Box::pin(self.start())
    }

    fn append(&self, batch: &mut dyn Iterator<Item = Submission>, now: Now) -> Committing {
        match self.log() {
            Some(log) => log.append(batch, now),
            None => Committing::All(
                batch.map(|_| Outcome::NotCommitted(NotCommitted::Stopped)).collect(),
            ),
        }
    }

    fn follow(&self, _after: Sequence) -> Box<dyn Feed> {
        match self.log() {
            Some(log) => {
                let (revoked, ended) = (Arc::clone(&self.0.revoked), Arc::clone(&self.0.ended));
                Box::new(WatchedFeed { feed: log.follow(), revoked, ended })
            }
            None => {
                let log = SharedLog::new(SharedConfig::new(0, 0, (0, 0)));
                log.stop(Stopped::Failed("the journal is not open".into()));
                log.follow()
            }
        }
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn decides_streams(&self) -> bool {
        true
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

    fn evict(&self, _what: Evict) -> JournalFuture<'static, Result<(), JournalError>> {
        // The stream has limits of its own.
        Box::pin(std::future::ready(Ok(())))
    }
}

impl fmt::Debug for NatsJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsJournal").field("stream", &self.0.config.stream).finish_non_exhaustive()
    }
}

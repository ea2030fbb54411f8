//! Opening the journal: the stream, and the hub's own copy of it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tidings_hub::Now;
use tidings_hub::journal::shared::{SharedLog, Stopped, message_of};
use tidings_hub::journal::{CopyOf, DiskJournal, Durability, JournalError, Opened};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use super::aging::Aging;
use super::api::{Api, Failure, STREAM_NOT_FOUND};
use super::look::{Looks, Seen};
use super::stream::{NotOpened, Stream};
use super::{NatsJournal, Open, Shared, copy, follower, look, sender, stream};

/// How often the submissions are looked through for those that have waited too long.
const TIMEOUTS_EVERY: Duration = Duration::from_millis(100);
/// Time between two tries to open the stream.
const OPENING_EVERY: Duration = Duration::from_secs(1);
/// Time between two looks at a stream that seems to have lost what the copy has.
const LOOK_EVERY: Duration = Duration::from_millis(200);

impl NatsJournal {
    /// Opens the stream as soon as NATS answers, and starts to follow it. If there is a copy of it, that is
    /// served until then.
    pub(super) async fn start(&self) -> Result<Opened, JournalError> {
        let Shared { config, status, .. } = &*self.0;
        let api = Api::new(config).map_err(|error| {
            JournalError::new("the credentials of NATS cannot be used", Some(error.into()))
        })?;
        let away = match self.try_stream(&api).await {
            Ok(stream) => return self.open_stream(api, stream).await,
            Err(NotOpened::Refused(why)) => return Err(JournalError::new(why, None)),
            Err(NotOpened::Away(why)) => why,
        };
        status.is_away.store(true, Ordering::Relaxed);
        status.is_opening.store(true, Ordering::Relaxed);
        let mut away = Away::new(away);
        if let Some(copied) = &config.copy
            && let Some(epoch) = copied.epoch()?
        {
            let (copy, opened) = copied.open_alone(epoch).await?;
            let durability = Durability::Process;
            drop(self.0.copy.set(copy.clone()));
            let journal = self.downgrade();
            self.0.tasks.lock().spawn(go_on_trying(journal, (api, away), (copy, opened)));
            return Ok(Opened::new(opened.epoch, opened.oldest, opened.tail, durability));
        }
        let stream = self.reach(&api, &mut away).await?;
        self.open_stream(api, stream).await
    }

    /// Opens the stream once.
    async fn try_stream(&self, api: &Api) -> Result<Stream, NotOpened> {
        api.connect().await.map_err(NotOpened::Away)?;
        stream::open(api, &self.0.config, self.0.after).await
    }

    /// Opens the stream as soon as NATS answers.
    async fn reach(&self, api: &Api, away: &mut Away) -> Result<Stream, JournalError> {
        loop {
            sleep(OPENING_EVERY).await;
            match self.try_stream(api).await {
                Ok(stream) => return Ok(stream),
                Err(NotOpened::Refused(why)) => return Err(JournalError::new(why, None)),
                Err(NotOpened::Away(why)) => away.note(why),
            }
        }
    }

    /// Opens the copy, if there is to be one, and follows the stream.
    async fn open_stream(&self, api: Api, stream: Stream) -> Result<Opened, JournalError> {
        let opened = stream.opened();
        let Some(copied) = &self.0.config.copy else {
            let log = SharedLog::new(stream.log_config(&api));
            self.follow_stream((log, api, stream), None);
            return Ok(opened);
        };
        let (copy, found) = copied.open(CopyOf::new(opened.epoch, opened.oldest)).await?;
        drop(self.0.copy.set(copy.clone()));
        self.go_on((api, stream), (copy, found)).await?;
        Ok(Opened::new(opened.epoch, found.oldest, opened.tail, opened.durability))
    }

    /// Follows the stream on from where the copy ends.
    async fn go_on(
        &self,
        (api, stream): (Api, Stream),
        (copy, found): (DiskJournal, Opened),
    ) -> Result<(), JournalError> {
        if stream.opened().epoch != found.epoch {
            // That of the stream is right: it is not to be raised.
            return Err(self.end(None, "the folder is the copy of another past"));
        }
        if let Some(why) = lost(&api, &stream, message_of(found.tail)).await {
            return Err(self.end(Some(stream.generation), why));
        }
        let log = SharedLog::resume(stream.log_config(&api), &copy);
        self.follow_stream((log, api, stream), Some(copy));
        Ok(())
    }

    /// Notes that the journal is to be opened anew, after a generation.
    fn end(&self, after: Option<u64>, why: &'static str) -> JournalError {
        let stopped = Stopped::PastChanged { why, generation: after.unwrap_or(0) };
        let error = JournalError::new(stopped.to_string(), None);
        *self.0.over.lock() = Some((stopped, after));
        self.0.stopped.send_replace(true);
        error
    }

    fn follow_stream(
        &self,
        (log, api, stream): (SharedLog, Api, Stream),
        copy: Option<DiskJournal>,
    ) {
        let Shared { config, status, stopped, tasks, open, .. } = &*self.0;
        status.is_away.store(false, Ordering::Relaxed);
        status.note_newest(stream.tail);
        let _ = self.0.durability.set(stream.opened().durability);
        *status.aging.lock() = Aging::new(stream.limits);
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
        let parts = (log.clone(), api.clone(), stream.clone(), Arc::clone(status));
        let (followed, looked) = (parts.clone(), parts.clone());
        let following = async {
            tokio::select! {
                () = follower::follow(followed) => {}
                () = look::keep_looking(looked) => {}
            }
        };
        let mut running = JoinSet::new();
        running.spawn(until_stopped(following, stopped.clone(), log.clone()));
        running.spawn(sender::send(parts));
        running.spawn(keep_timeouts(log.clone()));
        if let Some(copy) = copy {
            running.spawn(copy::keep(log.clone(), copy));
        }
        *open.lock() = Some(Open { log, api, stream });
        self.tell_restored();
        tasks.lock().spawn(async move { while running.join_next().await.is_some() {} });
        status.is_opening.store(false, Ordering::Relaxed);
    }
}

/// Why the stream cannot be opened yet, as it was logged.
struct Away(Box<str>);

impl Away {
    fn new(why: Box<str>) -> Self {
        warn!(reason = &*why, "NATS is away; trying again every second");
        Self(why)
    }

    /// Logs the reason of another try, if it is another one.
    fn note(&mut self, why: Box<str>) {
        if self.0 != why {
            *self = Self::new(why);
        }
    }
}

/// Goes on trying to reach the stream, while the copy is served.
async fn go_on_trying(
    journal: impl Fn() -> Option<NatsJournal>,
    (api, mut away): (Api, Away),
    copy: (DiskJournal, Opened),
) {
    loop {
        sleep(OPENING_EVERY).await;
        // Nobody serves the journal any more.
        let Some(journal) = journal() else { return };
        match journal.try_stream(&api).await {
            Ok(stream) => {
                if let Err(why) = journal.go_on((api, stream), copy).await {
                    warn!(reason = %why, "stream cannot be followed");
                }
                return;
            }
            Err(NotOpened::Away(why)) => away.note(why),
            Err(NotOpened::Refused(why)) => {
                error!(reason = &*why, "stream cannot be used");
                *journal.0.over.lock() = Some((Stopped::Failed(why), None));
                return;
            }
        }
    }
}

/// Why the stream does not have what the copy has, if that is so: its newest message is an older one.
async fn lost(api: &Api, stream: &Stream, copied: u64) -> Option<&'static str> {
    let mut looks = Looks::new(stream);
    let (mut newest, mut wait) = (stream.tail, Duration::ZERO);
    while newest < copied {
        sleep(std::mem::replace(&mut wait, LOOK_EVERY)).await;
        let found = match api.stream_info(&stream.name).await {
            Ok(info) => Some(info),
            Err(Failure::Refused { code: STREAM_NOT_FOUND, .. }) => None,
            Err(_) => continue,
        };
        newest = found.as_ref().map_or(0, |info| info.state.last_seq);
        if let Seen::Changed(why) = looks.handle(found.as_ref(), copied, Instant::now()) {
            return Some(why);
        }
        if looks.is_leader_doubted() {
            look::doubt_leader(api, stream).await;
        }
    }
    None
}

/// Tells those who wait for it when the log has stopped.
async fn until_stopped(
    following: impl Future<Output = ()>,
    stopped: tokio::sync::watch::Sender<bool>,
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

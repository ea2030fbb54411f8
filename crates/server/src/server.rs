//! The server: binds its addresses, serves, and shuts down.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tidings_hub::{Hub, Now};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet, yield_now};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio::{pin, select};
use tracing::{error, info};

use crate::api::extra::ExtraRoutes;
use crate::auth::access::is_closed;
use crate::auth::key_set::KeySet;
use crate::config::{ServerConfig, TimeSource};
use crate::context::Context;
use crate::engine::Engine;
use crate::journal::{JournalWatch, ServedJournal};
use crate::live::Control;
use crate::net::bound::{BindError, Listeners};
use crate::net::connections::Connections;
use crate::net::listener::{bare, listen};
use crate::phase::Phase;
use crate::revoking;
use crate::router::Router;

/// A hub's HTTP server, bound to its addresses and ready to serve.
pub struct Server {
    config: ServerConfig,
    hub: Hub,
    extra: Option<Arc<dyn ExtraRoutes>>,
    lost_log_lines: Option<Arc<AtomicU64>>,
    journal: Option<ServedJournal>,
    control: Control,
    listeners: Listeners,
    /// Whether the journal is not open yet.
    is_opening: bool,
}

impl Server {
    /// Binds the addresses. From here on, connections wait to be accepted.
    ///
    /// # Errors
    ///
    /// [`BindError`] names the first address that cannot be listened on.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O and time.
    #[expect(clippy::unused_async, reason = "binding needs a runtime, and callers should see that")]
    pub async fn bind(config: ServerConfig, hub: Hub) -> Result<Self, BindError> {
        let listeners = Listeners::bind(&config)?;
        Ok(Self::on(listeners, config, hub))
    }

    /// A server on addresses that are bound already, to the ones that its configuration names.
    #[must_use]
    pub fn on(listeners: Listeners, config: ServerConfig, hub: Hub) -> Self {
        let control = Control::new(&config);
        let (extra, lost_log_lines, journal) = (None, None, None);
        let is_opening = false;
        Self { config, hub, extra, lost_log_lines, journal, control, listeners, is_opening }
    }

    /// Stands in for a server whose journal is not open yet: nobody is served, and everybody is told to come
    /// back. Of the [journal](Server::with_journal), only the metrics are told.
    #[must_use]
    pub fn while_opening(mut self) -> Self {
        self.is_opening = true;
        self
    }

    /// The hub that is served.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Adds routes beside the hub's.
    #[must_use]
    pub fn with_routes(mut self, routes: Arc<dyn ExtraRoutes>) -> Self {
        self.extra = Some(routes);
        self
    }

    /// Adds the number of log lines that were lost to the metrics, as the program counts them.
    #[must_use]
    pub fn with_lost_log_lines(mut self, lines: Arc<AtomicU64>) -> Self {
        self.lost_log_lines = Some(lines);
        self
    }

    /// Adds the journal that the hub was opened with: its state is part of health and metrics, and
    /// its damage and failures are logged. The folder of one on disk keeps the subjects whose tokens were
    /// revoked; otherwise they are forgotten when the process ends.
    #[must_use]
    pub fn with_journal(mut self, journal: impl Into<ServedJournal>) -> Self {
        self.journal = Some(journal.into());
        self
    }

    /// A handle that changes the configuration while the server runs.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// The addresses that the server listens on, in the order of the configuration, with their
    /// actual ports.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.listeners.addresses
    }

    /// The addresses without TLS that redirect to the first one with TLS, with their actual ports.
    #[must_use]
    pub fn redirect_addresses(&self) -> &[SocketAddr] {
        &self.listeners.redirects
    }

    /// Serves until `shutdown` completes, then shuts down: it ends the streams first, spread over a
    /// short time and each with a reconnection time; then connections, after their current
    /// requests; then, at [`ServerConfig::shutdown_max`], everything that is left.
    ///
    /// The hub is [drained](Hub::drain), so its streams do not outlive the server.
    ///
    /// # Errors
    ///
    /// If the shards that write streams cannot be started for lack of threads or descriptors, or if the
    /// revocations beside the journal cannot be read. Later
    /// failures of connections and listeners are not errors of the server. If a shard fails, the
    /// server ends as after `shutdown` and returns an error: without the shard, its readers would
    /// get no events and not know.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes every connection at once.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let engine = Arc::new(Engine::start(&self.hub, &self.config)?);
        self.serve_by(engine, shutdown).await
    }

    async fn serve_by(
        self,
        engine: Arc<Engine>,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let Self { config, hub, extra, lost_log_lines, journal, control, .. } = self;
        let (phase, phases) = watch::channel(Phase::Serving);
        let open = Connections::new(config.heads_max);
        let mut context = Context::new(config, control, hub, Arc::clone(&engine), phases);
        if let Some(lines) = lost_log_lines {
            context.metrics.count_lost_log_lines(lines);
        }
        context.is_opening = self.is_opening;
        if self.is_opening {
            journal.into_iter().for_each(|journal| context.metrics.add_journal(journal));
        } else if let Some(journal) = journal {
            let read = |journal| context.control.revocations().keep_in(journal);
            journal.on_disk().map_or(Ok(()), read).map_err(|error| {
                io::Error::new(error.kind(), format!("the revocations cannot be read: {error}"))
            })?;
            // Streams that are opened from here on are told by their tokens.
            revoking::begin(&journal, context.control.revocations());
            context.add_journal(journal);
        }
        context.addresses = self.listeners.addresses.clone();
        let router = Arc::new(Router::new(context, extra));
        let mut tasks = JoinSet::new();
        for (listener, door) in self.listeners.open {
            let listener = (bare(listener)?, door);
            tasks.spawn(listen(listener, Arc::clone(&router), Arc::clone(&open)));
        }
        let mut clock = JoinSet::new();
        if router.context.config.time == TimeSource::Machine {
            clock.spawn(keep_time(Arc::clone(&router)));
        }
        clock.spawn(watch_stalls(Arc::clone(&router)));
        clock.spawn(watch_reloads(Arc::clone(&router)));
        clock.spawn(revoking::keep(Arc::clone(&router)));
        #[cfg(feature = "nats")]
        clock.spawn(crate::peers::keep(Arc::clone(&router)));
        clock.spawn(keep_key_sets(router.context.control.key_sets()));
        let failed = select! {
            () = shutdown => None,
            failed = engine.failure().failed() => Some(failed),
        };
        end(&router.context, &phase, tasks).await;
        #[cfg(feature = "nats")]
        crate::peers::leave(&router.context).await;
        if let Some(journal) = &router.context.journal {
            journal.hand_on(router.context.control.revocations().all());
        }
        match failed {
            Some(failed) => Err(io::Error::other(failed)),
            None => Ok(()),
        }
    }
}

/// Ends streams, then connections, then everything.
async fn end(context: &Context, phase: &watch::Sender<Phase>, mut tasks: JoinSet<()>) {
    /// The time for the last streams to be written out after the drain.
    const LAST_WORDS: Duration = Duration::from_millis(500);
    let deadline = Instant::now() + context.config.shutdown_max;
    let streams = context.streams.open();
    let count = u32::try_from(streams).unwrap_or(u32::MAX);
    let spread =
        context.config.drain_per_stream.saturating_mul(count).min(context.config.drain_max);
    info!(streams, spread_ms = spread.as_millis() as u64, "draining");

    // New streams are refused from here on, so that none is opened after the hub has drained.
    phase.send_replace(Phase::Draining);
    context.tick();
    context.hub.drain(spread);
    context.engine.drain(spread);
    // Either way, connections are next.
    let _ = timeout(spread + LAST_WORDS, context.streams.none_open()).await;

    phase.send_replace(Phase::Closing);
    let ended = timeout_at(deadline, async { while tasks.join_next().await.is_some() {} }).await;
    if ended.is_err() {
        info!("closing the connections that did not end in time");
        tasks.shutdown().await;
    }
}

/// Advances the hub's time and follows its journal.
async fn keep_time(router: Arc<Router>) {
    /// Four times per second: heartbeats and timeouts are late by this at most.
    const TICK: Duration = Duration::from_millis(250);
    /// While streams are drained, which takes seconds at most.
    const DRAINING_TICK: Duration = Duration::from_millis(20);
    let context = &router.context;
    let run = async {
        if let Err(error) = context.hub.run().await {
            error!(error = &error as &dyn std::error::Error, "journal failed");
        }
        // The entries that the journal keeps can be read all the same.
        context.hub.read_on().await;
    };
    pin!(run);
    let on_disk = context.journal.as_ref().and_then(ServedJournal::on_disk);
    let mut journal = on_disk.cloned().map(JournalWatch::new);
    let mut phases = context.phases();
    loop {
        let tick = if context.phase() == Phase::Serving { TICK } else { DRAINING_TICK };
        select! {
            () = &mut run => {}
            // A change of phase must not wait for the next tick. Without a sender, the server is
            // gone, and this task with it.
            Ok(()) = phases.changed() => {}
            () = sleep(tick) => {}
        }
        context.hub.tick(Now::read());
        revoking::revoke(context);
        if let Some(journal) = &mut journal {
            journal.look(Instant::now());
        }
    }
}

/// Cuts the responses whose clients take nothing.
async fn watch_stalls(router: Arc<Router>) {
    /// A stall is noticed late by at most two of these; a look at 100,000 responses takes
    /// milliseconds.
    const LOOK_MAX: Duration = Duration::from_secs(1);
    let context = &router.context;
    let timeout = context.config.stall_timeout;
    loop {
        sleep((timeout / 8).clamp(Duration::from_millis(10), LOOK_MAX)).await;
        let mut next = Some(0);
        while let Some(from) = next {
            next = context.stalls.look(&context.hub, context.hub.uptime(), timeout, from);
            yield_now().await;
        }
    }
}

/// Ends the streams of topics that their readers may no longer read after a reload.
async fn watch_reloads(router: Arc<Router>) {
    let context = &router.context;
    loop {
        context.control.reloaded().await;
        context.engine.close_some(|seen| seen.is_limited() && is_closed(&seen.view()));
        context.streams.close_some_bodies(|stream| is_closed(&stream.view));
    }
}

/// Fetches the key sets of the current configuration.
async fn keep_key_sets(mut key_sets: watch::Receiver<Vec<Arc<KeySet>>>) {
    let mut kept: Vec<(Arc<KeySet>, AbortHandle)> = Vec::new();
    let mut tasks = JoinSet::new();
    loop {
        let current = key_sets.borrow_and_update().clone();
        kept.retain(|(set, task)| {
            let is_current = current.iter().any(|other| Arc::ptr_eq(set, other));
            if !is_current {
                task.abort();
            }
            is_current
        });
        for set in current {
            if !kept.iter().any(|(other, _)| Arc::ptr_eq(&set, other)) {
                let task = tasks.spawn({
                    let set = Arc::clone(&set);
                    async move { set.keep().await }
                });
                kept.push((set, task));
            }
        }
        while tasks.try_join_next().is_some() {}
        // Without a sender, the server is gone, and this task with it.
        if key_sets.changed().await.is_err() {
            return;
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("addresses", &self.listeners.addresses)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::net::connection::Door;

    async fn health(address: SocketAddr) -> String {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// A server whose shard had panicked said `ok`, and went on to give it streams.
    #[tokio::test]
    async fn a_failed_shard_ends_the_server_with_an_error() {
        let listen = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
        let config = ServerConfig { listen, ..ServerConfig::default() };
        let hub = Hub::default();
        let engine = Arc::new(Engine::start(&hub, &config).unwrap());
        let server = Server::bind(config, hub).await.unwrap();
        let address = server.addresses()[0];
        let served = tokio::spawn(server.serve_by(Arc::clone(&engine), std::future::pending()));
        assert!(health(address).await.starts_with("HTTP/1.1 200 "));
        engine.break_one();
        let failed = served.await.unwrap().unwrap_err();
        assert!(failed.to_string().contains("has failed"), "{failed}");
    }

    #[tokio::test]
    async fn health_tells_of_a_failed_shard() {
        let (_phase, phases) = watch::channel(Phase::Serving);
        let (hub, config) = (Hub::default(), ServerConfig::default());
        let engine = Arc::new(Engine::start(&hub, &config).unwrap());
        engine.break_one();
        engine.failure().failed().await;
        let control = Control::new(&config);
        let context = Context::new(config, control, hub, engine, phases);
        let router = Arc::new(Router::new(context, None));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let open = Connections::new(1);
        let listening = tokio::spawn(listen((bare(listener).unwrap(), Door::Clear), router, open));
        let answer = health(address).await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("\"status\":\"failed\""), "{answer}");
        listening.abort();
    }
}

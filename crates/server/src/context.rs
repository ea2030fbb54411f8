//! The state that every connection and every handler shares.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tidings_hub::{Hub, Now};
use tokio::sync::watch;

#[cfg(feature = "nats")]
use crate::cluster::Cluster;
use crate::config::{ServerConfig, TimeSource};
use crate::engine::Engine;
use crate::engine::streams::Streams;
use crate::http::problem::Problem;
use crate::http::request::Caller;
use crate::journal::ServedJournal;
use crate::live::Control;
use crate::metrics::Metrics;
use crate::net::handshakes::Handshakes;
use crate::net::stalls::Stalls;
use crate::phase::Phase;
use crate::pins::Pins;
use crate::usage::{Sender, Usage, too_many_events};

/// The hub, the configuration, and everything that counts or writes streams.
pub(crate) struct Context {
    pub(crate) hub: Hub,
    pub(crate) config: ServerConfig,
    /// The part of the configuration that can change.
    pub(crate) control: Control,
    /// The blocks of history that answers hold.
    pub(crate) pins: Arc<Pins>,
    pub(crate) streams: Arc<Streams>,
    pub(crate) metrics: Metrics,
    pub(crate) engine: Arc<Engine>,
    /// The responses that hyper writes.
    pub(crate) stalls: Arc<Stalls>,
    pub(crate) handshakes: Arc<Handshakes>,
    /// The use that addresses and subjects make of the server.
    pub(crate) usage: Arc<Usage>,
    /// The hub's journal, unless it is in memory.
    pub(crate) journal: Option<ServedJournal>,
    /// The other hubs of the journal, if it has others.
    #[cfg(feature = "nats")]
    pub(crate) cluster: Option<Arc<Cluster>>,
    /// The addresses that the server listens on.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Whether there is no journal yet, so that nobody is served: the hub is a stand-in.
    pub(crate) is_opening: bool,
    phase: watch::Receiver<Phase>,
}

impl Context {
    pub(crate) fn new(
        config: ServerConfig,
        control: Control,
        hub: Hub,
        engine: Arc<Engine>,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        let streams = Streams::new(config.streams_max);
        let stalls = Arc::default();
        let mut metrics = Metrics::new(&hub, &streams, &engine, (&stalls, control.bodies()));
        metrics.add_node(&config.node);
        metrics.add_key_sets(control.key_sets());
        let handshakes = Arc::new(Handshakes::new(config.handshakes_max));
        if config.tls.is_some() {
            metrics.add_handshakes(Arc::clone(&handshakes));
        }
        let journal = None;
        let pins = Pins::new(control.bodies());
        Self {
            hub,
            config,
            control,
            pins,
            streams,
            metrics,
            engine,
            stalls,
            handshakes,
            usage: Arc::default(),
            journal,
            #[cfg(feature = "nats")]
            cluster: None,
            addresses: Vec::new(),
            is_opening: false,
            phase,
        }
    }

    /// Adds the hub's journal, for health and metrics.
    pub(crate) fn add_journal(&mut self, journal: ServedJournal) {
        self.metrics.add_journal(journal.clone());
        #[cfg(feature = "nats")]
        if let ServedJournal::Nats(journal) = &journal {
            self.cluster = Some(Arc::new(Cluster::new(journal.clone(), &self.hub)));
        }
        self.journal = Some(journal);
    }

    /// The server's current phase.
    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Returns whether connections end after their answers.
    pub(crate) fn is_closing(&self) -> bool {
        // The hub drains first, and tells so without a lock, which every request would pay for.
        self.hub.is_draining() && self.phase() == Phase::Closing
    }

    /// A receiver of the server's phases.
    pub(crate) fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.clone()
    }

    /// The sender of a request, as far as limits apply to it.
    pub(crate) fn sender<'a>(&self, caller: &'a Caller) -> Sender<'a> {
        let address = caller.address().ip().to_canonical();
        let is_free = address.is_loopback() || caller.access().is_configured();
        if is_free || self.control.live().proxies.contains(address) {
            return Sender::default();
        }
        Sender { address: Some(address), subject: caller.subject() }
    }

    /// Counts a request of a client.
    pub(crate) fn count_request(&self, caller: &Caller) -> Result<(), Problem> {
        let sender = self.sender(caller);
        if sender.address.is_none() {
            return Ok(());
        }
        self.tick();
        self.usage.request(&self.control.live().limits, sender, self.hub.uptime())
    }

    /// Counts events that a client is about to publish.
    pub(crate) fn count_events(&self, caller: &Caller, events: usize) -> Result<(), Problem> {
        self.room_for_events(caller, events)
            .map_err(|wait| too_many_events(&self.control.live().limits, wait))
    }

    /// The same; the error is the time after which there is room for them.
    pub(crate) fn room_for_events(&self, caller: &Caller, events: usize) -> Result<(), Duration> {
        if caller.subject().is_none() {
            return Ok(());
        }
        let Some(subject) = self.sender(caller).subject else { return Ok(()) };
        self.tick();
        self.usage.publish(&self.control.live().limits, subject, events, self.hub.uptime())
    }

    /// Advances the hub's time to now, so that events are dated to the millisecond.
    pub(crate) fn tick(&self) {
        if self.config.time == TimeSource::Machine {
            self.hub.tick(Now::read());
        }
    }
}

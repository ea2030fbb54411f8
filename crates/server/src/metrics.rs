//! The server's metrics, in the text formats of Prometheus.

mod classic;
mod handshakes;
mod journal;
pub(crate) mod merged;
mod process;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use tidings_hub::Hub;
use tokio::sync::watch;

use self::handshakes::HandshakeNumbers;
use self::journal::JournalNumbers;
#[cfg(feature = "nats")]
use self::journal::StreamNumbers;
use self::process::ProcessNumbers;
use crate::auth::key_set::KeySet;
use crate::budget::Budget;
use crate::engine::Engine;
use crate::engine::reason::Reason;
use crate::engine::streams::Streams;
use crate::http::problem::ProblemKind;
use crate::http::request::MetricsFormat;
use crate::journal::ServedJournal;
use crate::net::handshakes::Handshakes;
use crate::net::stalls::Stalls;
use crate::node::NodeName;

/// How the names of the hub's and the server's metrics begin.
const PREFIX: &str = "tidings";

/// The server's own counters, beside those of the hub.
pub(crate) struct Metrics {
    registry: Registry,
    refused: Refusals,
    accept_failed: Counter,
    connections_evicted: Counter,
    handshakes_failed: Counter,
}

impl Metrics {
    pub(crate) fn new(
        hub: &Hub,
        streams: &Arc<Streams>,
        engine: &Arc<Engine>,
        (stalls, bodies): (&Arc<Stalls>, &Arc<Budget>),
    ) -> Self {
        let mut whole = Registry::default();
        whole.register_collector(Box::new(ProcessNumbers::new()));
        let registry = whole.sub_registry_with_prefix(PREFIX);
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The program that is running", build);
        let (streams_open, bodies) = (Arc::clone(streams), Arc::clone(bodies));
        let numbers = HubNumbers { hub: hub.clone(), streams: streams_open, bodies };
        registry.register_collector(Box::new(numbers));
        let (engine, streams) = (Arc::clone(engine), Arc::clone(streams));
        registry.register_collector(Box::new(StreamEnds { engine, streams }));
        registry.register_collector(Box::new(StalledAnswers(Arc::clone(stalls))));
        let refused = Refusals::default();
        registry.register_collector(Box::new(refused.clone()));
        let accept_failed = Counter::default();
        let help = "Connections not accepted for lack of descriptors or memory";
        registry.register("accept_failed", help, accept_failed.clone());
        let connections_evicted = Counter::default();
        let help = "Quiet connections closed for lack of descriptors";
        registry.register("connections_evicted", help, connections_evicted.clone());
        let handshakes_failed = Counter::default();
        Self { registry: whole, refused, accept_failed, connections_evicted, handshakes_failed }
    }

    pub(crate) fn refused(&self, kind: ProblemKind) {
        self.refused.0[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn accept_failed(&self) {
        self.accept_failed.inc();
    }

    pub(crate) fn connections_evicted(&self, count: usize) {
        self.connections_evicted.inc_by(count as u64);
    }

    pub(crate) fn handshake_failed(&self) {
        self.handshakes_failed.inc();
    }

    /// Adds the name of the hub.
    pub(crate) fn add_node(&mut self, node: &NodeName) {
        let registry = self.registry.sub_registry_with_prefix(PREFIX);
        let info = Info::new(vec![("node", node.to_string())]);
        registry.register("node", "The hub's name among others", info);
    }

    /// Adds the numbers of TLS handshakes.
    pub(crate) fn add_handshakes(&mut self, handshakes: Arc<Handshakes>) {
        let registry = self.registry.sub_registry_with_prefix(PREFIX);
        registry.register_collector(Box::new(HandshakeNumbers(handshakes)));
        let help = "TLS handshakes that failed, took too long or gave way to others";
        registry.register("handshakes_failed", help, self.handshakes_failed.clone());
    }

    /// Adds the number of log lines that were lost.
    pub(crate) fn count_lost_log_lines(&mut self, lines: Arc<AtomicU64>) {
        let registry = self.registry.sub_registry_with_prefix(PREFIX);
        registry.register_collector(Box::new(LostLogLines(lines)));
    }

    /// Adds the numbers of the key sets.
    pub(crate) fn add_key_sets(&mut self, key_sets: watch::Receiver<Vec<Arc<KeySet>>>) {
        let registry = self.registry.sub_registry_with_prefix(PREFIX);
        registry.register_collector(Box::new(KeySetFailures(key_sets)));
    }

    /// Adds the numbers of the journal.
    pub(crate) fn add_journal(&mut self, journal: ServedJournal) {
        let registry = self.registry.sub_registry_with_prefix(PREFIX);
        registry.register_collector(match journal {
            ServedJournal::Disk(journal) => Box::new(JournalNumbers(journal)),
            #[cfg(feature = "nats")]
            ServedJournal::Nats(journal) => Box::new(StreamNumbers(journal)),
        });
    }

    /// The metrics as text, in the format OpenMetrics.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to memory cannot fail");
        text
    }
}

/// Metrics in a format.
pub(crate) fn in_format(text: String, format: MetricsFormat) -> String {
    match format {
        MetricsFormat::OpenMetrics => text,
        MetricsFormat::Classic => classic::of_open_metrics(&text),
    }
}

/// Refused requests, by the problem's kind.
///
/// All kinds are there from the start, in the order of their declaration: a series that appears only
/// with its first refusal would hide that refusal from rates.
#[derive(Clone, Debug)]
struct Refusals(Arc<[AtomicU64; ProblemKind::ALL.len()]>);

impl Default for Refusals {
    fn default() -> Self {
        Self(Arc::new(std::array::from_fn(|_| AtomicU64::new(0))))
    }
}

impl Collector for Refusals {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Requests refused, by the name of the problem";
        let counter = ConstCounter::new(0_u64);
        let mut family = encoder.encode_descriptor("refused", help, None, counter.metric_type())?;
        for (kind, count) in ProblemKind::ALL.iter().zip(&*self.0) {
            let count = ConstCounter::new(count.load(Ordering::Relaxed));
            count.encode(family.encode_family(&[("problem", kind.name())])?)?;
        }
        Ok(())
    }
}

/// The hub's numbers, read when the metrics are requested.
struct HubNumbers {
    hub: Hub,
    streams: Arc<Streams>,
    bodies: Arc<Budget>,
}

impl Collector for HubNumbers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let stats = self.hub.stats();
        let int = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let gauges = [
            ("subscribers", "Subscribers of the hub", None, int(stats.subscribers)),
            ("streams", "Event streams open over HTTP", None, int(self.streams.open())),
            ("topics", "Topics known to the hub", None, int(stats.topics)),
            ("history_events", "Events held in history", None, stats.events_held as i64),
            ("history", "Bytes that history takes", Some(Unit::Bytes), int(stats.history_bytes)),
            (
                "pages",
                "Bytes of the pages that readers behind memory share",
                Some(Unit::Bytes),
                int(stats.pages_bytes),
            ),
            (
                "bodies",
                "Bytes that request bodies, and answers not taken, hold",
                Some(Unit::Bytes),
                int(self.bodies.held()),
            ),
        ];
        for (name, help, unit, value) in gauges {
            let gauge = ConstGauge::new(value);
            let kind = gauge.metric_type();
            gauge.encode(encoder.encode_descriptor(name, help, unit.as_ref(), kind)?)?;
        }
        let counters = [
            ("events_published", "Events committed", stats.published),
            ("events_delivered", "Events handed to subscribers", stats.delivered),
            ("gaps", "Gaps told to subscribers", stats.gaps),
            ("looks_cut", "Looks at history that let others have their turn", stats.looks_cut),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            let kind = counter.metric_type();
            counter.encode(encoder.encode_descriptor(name, help, None, kind)?)?;
        }
        Ok(())
    }
}

/// The number of answers that were given up because their clients took nothing.
#[derive(Debug)]
struct StalledAnswers(Arc<Stalls>);

impl Collector for StalledAnswers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Answers, streams excluded, given up because their clients took nothing";
        let counter = ConstCounter::new(self.0.answers());
        let kind = counter.metric_type();
        counter.encode(encoder.encode_descriptor("answers_stalled", help, None, kind)?)
    }
}

/// The number of fetches of the current key sets that failed.
#[derive(Debug)]
struct KeySetFailures(watch::Receiver<Vec<Arc<KeySet>>>);

impl Collector for KeySetFailures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Fetches of key sets that failed; the keys of the last good one stay";
        let failures = self.0.borrow().iter().map(|set| set.failures()).sum::<u64>();
        let counter = ConstCounter::new(failures);
        let kind = counter.metric_type();
        counter.encode(encoder.encode_descriptor("key_sets_not_fetched", help, None, kind)?)
    }
}

/// The number of log lines that were lost.
#[derive(Debug)]
struct LostLogLines(Arc<AtomicU64>);

impl Collector for LostLogLines {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Lines of the log that were lost because nobody read them";
        let counter = ConstCounter::new(self.0.load(Ordering::Relaxed));
        let kind = counter.metric_type();
        counter.encode(encoder.encode_descriptor("log_lines_lost", help, None, kind)?)
    }
}

/// Ended streams by reason: those that shards write, and those that hyper writes.
#[derive(Debug)]
struct StreamEnds {
    engine: Arc<Engine>,
    streams: Arc<Streams>,
}

impl Collector for StreamEnds {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Event streams that have ended, by reason";
        let counter = ConstCounter::new(0_u64);
        let mut family =
            encoder.encode_descriptor("streams_ended", help, None, counter.metric_type())?;
        for reason in Reason::ALL {
            let ended = ConstCounter::new(self.engine.ended(reason) + self.streams.ended(reason));
            ended.encode(family.encode_family(&[("reason", reason.name())])?)?;
        }
        Ok(())
    }
}

impl fmt::Debug for HubNumbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HubNumbers")
    }
}

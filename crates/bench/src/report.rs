//! The results of a run, as JSON for programs and as text for people.

mod text;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::check::causes::Causes;
use crate::check::faults::Faults;
use crate::check::ledger::Ledger;
use crate::config::{Config, Scenario};
use crate::measure::clock::seconds;
use crate::measure::latency::{Latencies, Percentiles};
use crate::measure::meter::{Meter, ServerUsage};
use crate::words::failures;

/// The results of a run. Members that do not apply to the scenario are omitted.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    scenario: &'static str,
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscribers: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stalled: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connections: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topics: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    under_way: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pipelined: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connected: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connect_seconds: Option<f64>,
    /// The duration of the measured part.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deliveries: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deliveries_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connections_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<Percentiles>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) without_stalled: Option<Percentiles>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) with_stalled: Option<Percentiles>,
    faults: Faults,
    /// Failed connections and publishes, by cause.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    refused: BTreeMap<String, u64>,
    /// Streams that ended before the run did, by cause.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    ended: BTreeMap<String, u64>,
    /// The number of events of the server's own.
    #[serde(skip_serializing_if = "is_zero")]
    other_events: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<ServerUsage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    load_cpu_seconds: Option<f64>,
    /// The number of events or connections in the measured part.
    #[serde(skip)]
    done: WorkDone,
    /// The first of the server's own events.
    #[serde(skip)]
    first_other: Option<String>,
}

/// The state of a run at its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Totals<'a> {
    pub(crate) ledger: &'a Ledger,
    pub(crate) meter: &'a Meter,
    /// Why connections and publishes failed.
    pub(crate) refused: [&'a Causes; 2],
    /// Why streams ended before the run did.
    pub(crate) ended: &'a Causes,
    /// The nanoseconds of the measured part; `None` if it never began.
    pub(crate) took: Option<u64>,
}

/// The unit of work of a scenario.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum WorkDone {
    /// Streams are only held.
    #[default]
    Nothing,
    /// Events published.
    Events(u64),
    /// Connections opened and closed.
    Connections(u64),
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Report {
    /// Starts a report with the options of the run.
    pub(crate) fn new(config: &Config) -> Self {
        let about = Self { url: config.url.clone(), ..Self::default() };
        let topics = Some(config.topics);
        let bytes = Some(config.bytes);
        match config.scenario {
            Scenario::Idle { subscribers, .. } => {
                Self { scenario: "idle", subscribers: Some(subscribers), topics, ..about }
            }
            Scenario::FanOut { subscribers, events, under_way } => Self {
                scenario: "fan-out",
                subscribers: Some(subscribers),
                topics,
                events: Some(events),
                bytes,
                under_way: Some(under_way),
                ..about
            },
            Scenario::Churn { connections, under_way } => Self {
                scenario: "churn",
                connections: Some(connections),
                under_way: Some(under_way),
                ..about
            },
            Scenario::Replay { events, subscribers, .. } => Self {
                scenario: "replay",
                subscribers: Some(subscribers),
                topics,
                events: Some(events),
                bytes,
                ..about
            },
            Scenario::Slow { subscribers, stalled, events, rate } => Self {
                scenario: "slow",
                subscribers: Some(subscribers),
                stalled: Some(stalled),
                topics,
                events: Some(events),
                bytes,
                rate: Some(rate),
                ..about
            },
            Scenario::Publish { connections, pipelined, events, ref batch } => Self {
                scenario: "publish",
                connections: Some(connections),
                topics,
                events: Some(events),
                bytes,
                pipelined: Some(pipelined),
                batch: Some(batch.as_ref().map_or(1, |batch| batch.events)),
                ..about
            },
        }
    }

    /// Records how many streams were opened, and how long that took.
    pub(crate) fn connected(&mut self, opened: u64, nanos: u64) {
        self.connected = Some(opened);
        self.connect_seconds = Some(seconds(nanos));
    }

    pub(crate) fn latency(&mut self, latencies: &Latencies) {
        self.latency_ms = latencies.percentiles();
    }

    /// Records how many streams were opened and closed.
    pub(crate) fn churned(&mut self, opened: u64, finished: u64) {
        self.connected = Some(opened);
        self.done = WorkDone::Connections(finished);
    }

    /// Records how many events the server accepted.
    pub(crate) fn published(&mut self, events: u64) {
        self.done = WorkDone::Events(events);
    }

    /// Completes the report at the end of the run.
    pub(crate) fn fill(&mut self, totals: &Totals<'_>) {
        let Totals { ledger, meter, refused, ended, took } = *totals;
        self.faults = ledger.faults();
        self.refused = by_cause(&refused);
        self.ended = by_cause(&[ended]);
        self.other_events = ledger.foreign().count;
        self.first_other.clone_from(&ledger.foreign().first);
        self.load_cpu_seconds = meter.load_cpu();
        self.server = meter.server(self.connected.unwrap_or_default());
        let took = took.map(seconds);
        self.seconds = took;
        let delivers = matches!(self.scenario, "fan-out" | "replay" | "slow");
        self.deliveries = delivers.then(|| ledger.delivered());
        if self.scenario == "fan-out" || self.scenario == "slow" {
            self.done = WorkDone::Events(ledger.events());
        }
        let per_second = |count: u64| took.map(|took| count as f64 / took);
        self.deliveries_per_second = self.deliveries.and_then(per_second);
        match self.done {
            WorkDone::Events(events) => self.events_per_second = per_second(events),
            WorkDone::Connections(count) => self.connections_per_second = per_second(count),
            WorkDone::Nothing => {}
        }
        self.share_out();
    }

    /// Divides the server's CPU time by the work it did.
    fn share_out(&mut self) {
        let Some(server) = &mut self.server else { return };
        let Some(cpu) = server.cpu_seconds else { return };
        let each = |count: u64| (count > 0).then(|| cpu * 1e6 / count as f64);
        server.cpu_us_per_delivery = self.deliveries.and_then(each);
        match self.done {
            WorkDone::Events(events) => server.cpu_us_per_event = each(events),
            WorkDone::Connections(count) => server.cpu_us_per_connection = each(count),
            WorkDone::Nothing => {}
        }
    }

    /// Returns the report as one line of JSON.
    pub fn json(&self) -> String {
        let mut json = serde_json::to_string(self).unwrap_or_default();
        json.push('\n');
        json
    }

    /// Returns what is wrong with the run, if anything is.
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        let failed = self.refused.values().sum();
        (self.faults.total() > 0 || failed > 0).then_some(Verdict { faults: self.faults, failed })
    }
}

fn by_cause(causes: &[&Causes]) -> BTreeMap<String, u64> {
    let mut by_cause = BTreeMap::new();
    for (cause, count) in causes.iter().flat_map(|causes| causes.list()) {
        *by_cause.entry(cause.to_owned()).or_default() += count;
    }
    by_cause
}

/// The faults and failures of a run that finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    faults: Faults,
    failed: u64,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = self.faults.in_words();
        if self.failed > 0 {
            parts.push(failures(self.failed));
        }
        f.write_str(&parts.join(", "))
    }
}

impl std::error::Error for Verdict {}

//! The cases, and the figures of each.

use clap::ValueEnum;
use serde_json::Value;
use tidings_bench_compare::load::{Outcome, faults};

use crate::servers::Kind;

/// The work that a server is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Case {
    /// Readers of a topic each, on HTTP/1.1, that nothing is published to.
    Idle,
    /// The same on HTTP/2, 100 streams on each connection.
    #[value(name = "idle-http2")]
    IdleHttp2,
    /// Events for all of many readers, one at a time.
    FanOut,
    /// Events for one reader each, 64 under way.
    OwnTopics,
    /// Full handshakes.
    Handshakes,
    /// Events that nobody reads, on 64 connections.
    Publish,
}

/// The outcome of a case at a server.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) round: u32,
    pub(crate) server: Kind,
    pub(crate) case: Case,
    pub(crate) outcome: Outcome,
}

/// A figure of a case.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) title: &'static str,
    pub(crate) key: &'static str,
    pub(crate) decimals: usize,
}

/// The number of streams on each connection of HTTP/2.
pub(crate) const STREAMS: u32 = 100;
/// The number of events under way to topics of one reader each, and of connections that publish.
pub(crate) const UNDER_WAY: u32 = 64;

impl Case {
    pub(crate) const ALL: [Self; 6] = [
        Self::Idle,
        Self::IdleHttp2,
        Self::FanOut,
        Self::OwnTopics,
        Self::Handshakes,
        Self::Publish,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::IdleHttp2 => "idle-http2",
            Self::FanOut => "fan-out",
            Self::OwnTopics => "own-topics",
            Self::Handshakes => "handshakes",
            Self::Publish => "publish",
        }
    }

    /// Returns whether a server takes part.
    pub(crate) fn is_for(self, kind: Kind) -> bool {
        self != Self::Handshakes || kind.has_tls()
    }

    /// Returns the number of readers, and of events or handshakes.
    pub(crate) fn size(self, is_quick: bool) -> (u32, u32) {
        let (readers, events) = match self {
            Self::Idle => (5000, 0),
            Self::IdleHttp2 => (15_000, 0),
            Self::FanOut => (1000, 300),
            Self::OwnTopics => (1000, 100_000),
            Self::Handshakes => (0, 4000),
            Self::Publish => (0, 200_000),
        };
        match is_quick {
            true => (readers / 20, events / 20),
            false => (readers, events),
        }
    }

    pub(crate) fn figures(self) -> &'static [Figure] {
        const fn figure(title: &'static str, key: &'static str, decimals: usize) -> Figure {
            Figure { title, key, decimals }
        }
        const IDLE: [Figure; 1] =
            [figure("memory of each of 5,000 idle readers, HTTP/1.1, KB", MEMORY, 2)];
        const IDLE_HTTP2: [Figure; 1] =
            [figure("memory of each of 15,000, HTTP/2, 100 to a connection, KB", MEMORY, 2)];
        const FAN_OUT: [Figure; 1] =
            [figure("CPU per delivery, one event at a time to 1,000 readers, µs", CPU, 2)];
        const OWN_TOPICS: [Figure; 1] =
            [figure("CPU per event, 1,000 topics of one reader, 64 under way, µs", CPU, 1)];
        const HANDSHAKES: [Figure; 2] = [
            figure("CPU per connection with a full handshake, µs", CPU, 0),
            figure("such connections/s, 8 under way", RATE, 0),
        ];
        const PUBLISH: [Figure; 2] = [
            figure("CPU per publish, 64 connections, µs", CPU, 1),
            figure("publishes/s, 64 connections", RATE, 0),
        ];
        match self {
            Self::Idle => &IDLE,
            Self::IdleHttp2 => &IDLE_HTTP2,
            Self::FanOut => &FAN_OUT,
            Self::OwnTopics => &OWN_TOPICS,
            Self::Handshakes => &HANDSHAKES,
            Self::Publish => &PUBLISH,
        }
    }
}

/// The names of figures in the load's results.
pub(crate) const MEMORY: &str = "memory_kb";
pub(crate) const CPU: &str = "cpu_us";
pub(crate) const RATE: &str = "per_second";

impl Figure {
    pub(crate) fn of(&self, result: &Value) -> Option<f64> {
        result[self.key].as_f64()
    }
}

impl Run {
    /// Returns a line about the run for the terminal.
    pub(crate) fn line(&self) -> String {
        let name = format!("{} {}: {}", self.round + 1, self.case.name(), self.server.title());
        match &self.outcome {
            Outcome::Failed(why) => format!("{name}: {why}"),
            Outcome::Finished(result) => {
                let figures = self.case.figures().iter().map(|figure| {
                    let value = figure.of(result).unwrap_or(f64::NAN);
                    format!("{} {value:.*}", figure.title, figure.decimals)
                });
                let figures = figures.collect::<Vec<_>>().join(", ");
                format!("{name}: {figures}, {} faults", faults(result))
            }
        }
    }

    /// Returns what is wrong with a run of Tidings.
    pub(crate) fn blame(&self) -> Option<String> {
        let what = match &self.outcome {
            _ if !self.server.is_ours() => return None,
            Outcome::Failed(why) => why.clone(),
            Outcome::Finished(result) if faults(result) == 0 => return None,
            Outcome::Finished(result) => result["faults"].to_string(),
        };
        Some(format!("{}, {}: {what}", self.case.name(), self.server.title()))
    }
}

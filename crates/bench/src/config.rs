//! The configuration of a run.

use std::time::Duration;

use crate::http::target::Target;

/// Everything a run needs to know.
#[derive(Debug)]
pub struct Config {
    /// The URL of the event stream as it was written, for the report.
    pub url: String,
    /// Where event streams are requested from.
    pub subscribe: Target,
    /// Where events are published to.
    pub publish: Target,
    /// Headers of every request. They replace those that this crate sends.
    pub headers: Vec<(String, String)>,
    /// How many topics the events go to.
    pub topics: u32,
    /// Bytes of each event's data.
    pub bytes: usize,
    /// The scenario.
    pub scenario: Scenario,
    /// Processes of the server. Their descendants count too.
    pub servers: Vec<u32>,
    /// The run is given up after this much time without progress.
    pub timeout: Duration,
    /// How progress is shown.
    pub progress: ProgressStyle,
}

/// The scenario of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Opens streams and holds them.
    Idle {
        /// Streams to open.
        subscribers: u32,
        /// How long they are held.
        hold: Duration,
    },
    /// Publishes to subscribers.
    FanOut {
        /// Streams to open.
        subscribers: u32,
        /// Events to publish.
        events: u32,
        /// Events under way at a time.
        under_way: u32,
    },
    /// Opens streams and closes them.
    Churn {
        /// Streams to open and close.
        connections: u32,
        /// Connections at a time.
        under_way: u32,
    },
    /// Publishes first, then opens streams that read everything from the start.
    Replay {
        /// Events to publish.
        events: u32,
        /// Streams to open.
        subscribers: u32,
        /// The `Last-Event-ID` of their requests.
        start: Option<String>,
    },
    /// Publishes at a steady rate, first without and then beside readers that never read.
    Slow {
        /// Streams that are read.
        subscribers: u32,
        /// Streams that are not read, in the second half.
        stalled: u32,
        /// Events of each half.
        events: u32,
        /// Events per second.
        rate: u32,
    },
    /// Publishes without any subscriber.
    Publish {
        /// Connections to publish over.
        connections: u32,
        /// Requests without an answer at a time on each connection.
        pipelined: u32,
        /// Events to publish.
        events: u32,
        /// How several events go into one request; `None` for one event per request.
        batch: Option<Batch>,
    },
}

/// Several events in one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Events in each request.
    pub events: u32,
    /// Where these requests go.
    pub target: Target,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressStyle {
    /// It is not shown.
    None,
    /// One line that is overwritten.
    Terminal,
    /// A line per second.
    Lines,
}

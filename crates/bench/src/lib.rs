//! The engine of `tidings bench`: loads a server of event streams and checks every delivery.
//!
//! ```text
//!   scenario ──▶ load ──▶ publishers ──POST──▶ server ──events──▶ sources ──▶ ledger ──▶ report
//!                 └─ one thread, one epoll ──────────────────────────┘
//! ```
//!
//! `scenario` decides what is done, and `load` does it turn by turn. `ledger` knows which
//! deliveries are due and finds faults, `meter` samples the server's processes, and `report`
//! presents the results. Everything runs on one thread with nonblocking sockets and no runtime,
//! because measuring must cost less than what is measured: reading and checking a delivery takes a
//! fraction of what the server spends on it.

mod check;
mod config;
mod http;
mod measure;
mod publish;
mod report;
mod run;
mod subscribe;
mod topics;
mod words;

use std::io;

pub use self::config::{Batch, Config, ProgressStyle, Scenario};
pub use self::http::target::{BadTarget, Target};
pub use self::report::{Report, Verdict};
pub use self::run::error::RunError;
pub use self::run::interrupt::{Interrupted, Interrupter};

use self::run::error::DESCRIPTORS_BESIDE;
use self::run::load::Load;

/// The minimum size of an event's data, which holds the fields that are checked.
pub const EVENT_BYTES_MIN: usize = check::data::Shape::BYTES_MIN;

/// The results of a run that was begun.
#[derive(Debug)]
pub struct Outcome {
    /// The measurements, even if the run failed.
    pub report: Report,
    /// Whether the run finished without faults.
    pub result: Result<(), RunError>,
}

/// Runs a scenario. `watch` receives the means to end the run early.
///
/// # Errors
///
/// The run cannot begin: the limit on descriptors is too low, the server cannot be reached, its
/// processes cannot be read, or `watch` fails.
pub fn run(
    config: &Config,
    watch: impl FnOnce(Interrupter) -> io::Result<()>,
) -> Result<Outcome, RunError> {
    check_descriptors(config)?;
    let mut load = Load::new(config, watch)?;
    let mut report = Report::new(config);
    let ran = run::scenario::run(&mut load, &config.scenario, &mut report);
    load.finish(&ran);
    report.fill(&load.totals());
    let result = ran.and_then(|()| match report.verdict() {
        Some(verdict) => Err(RunError::Faulty(verdict)),
        None => Ok(()),
    });
    Ok(Outcome { report, result })
}

/// Fails before the first connection is made rather than at the last one.
fn check_descriptors(config: &Config) -> Result<(), RunError> {
    // If the limit is unknown, connections that fail will report it.
    let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(u64::MAX);
    enough(connections(&config.scenario, config.topics), limit)
}

fn enough(connections: u64, limit: u64) -> Result<(), RunError> {
    match connections + DESCRIPTORS_BESIDE > limit {
        true => Err(RunError::TooManyConnections { connections, limit }),
        false => Ok(()),
    }
}

/// Returns the maximum number of connections of a scenario at a time.
fn connections(scenario: &Scenario, topics: u32) -> u64 {
    match *scenario {
        Scenario::Idle { subscribers, .. } => subscribers.into(),
        Scenario::FanOut { subscribers, under_way, .. } => {
            u64::from(subscribers) + u64::from(under_way.min(topics))
        }
        Scenario::Churn { under_way, .. } => under_way.into(),
        Scenario::Replay { subscribers, .. } => u64::from(subscribers) + 1,
        Scenario::Slow { subscribers, stalled, .. } => {
            u64::from(subscribers) + u64::from(stalled) + 1
        }
        Scenario::Publish { connections, .. } => connections.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_connections_than_descriptors_are_refused_before_any_is_made() {
        let fan_out = Scenario::FanOut { subscribers: 100, events: 1, under_way: 64 };
        assert_eq!(connections(&fan_out, 1), 101);
        assert_eq!(connections(&fan_out, 80), 164);
        let slow = Scenario::Slow { subscribers: 100, stalled: 50, events: 1, rate: 1 };
        assert_eq!(connections(&slow, 1), 151);
        assert!(enough(968, 1_000).is_ok());
        let refusal = enough(969, 1_000).unwrap_err().to_string();
        assert!(refusal.starts_with("969 connections and 32 other descriptors"), "{refusal}");
        assert!(enough(u64::from(u32::MAX) * 2, u64::MAX).is_ok());
    }
}

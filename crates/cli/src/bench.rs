//! `tidings bench`: loads a server of event streams, and checks everything that it delivers.
//!
//! ```text
//!   scenario ──▶ load ──▶ publishers ──POST──▶ server ──events──▶ sources ──▶ ledger ──▶ report
//!                 └─ one thread, one epoll ──────────────────────────┘
//! ```
//!
//! `scenario` says what is done, [`load::Load`] does it turn by turn, `ledger` knows who is due what
//! and what is wrong, `meter` looks at the server's processes meanwhile, `report` tells. It is one
//! thread with nonblocking sockets and no runtime, because the measuring must cost less than what is
//! measured: reading and checking a delivery takes a fraction of what the server pays for it.

mod body;
mod causes;
mod clock;
mod data;
mod head;
mod interrupt;
mod latency;
mod ledger;
mod load;
mod meter;
mod processes;
mod progress;
mod publishers;
mod reading;
mod recent;
mod report;
mod scenario;
mod socket;
mod source;
mod sources;
mod target;
mod tls;

use std::error::Error;
use std::fmt;
use std::io;

use crate::config::{BenchConfig, Output, Scenario};

pub(crate) use self::interrupt::Interrupted;
use self::load::Load;
pub(crate) use self::progress::Way;
use self::report::Report;
pub(crate) use self::target::{Place, Scheme, Target};

/// Bytes that an event's data has at least: what it says of itself.
pub(crate) const EVENT_BYTES_MIN: usize = data::Shape::BYTES_MIN;

/// Runs a scenario and prints what it came to.
pub(crate) fn run(config: BenchConfig) -> Result<(), Box<dyn Error>> {
    check_descriptors(&config)?;
    let mut load = Load::new(&config)?;
    let mut report = Report::new(&config);
    let ran = scenario::run(&mut load, &config.scenario, &mut report);
    load.finish(&ran);
    report.fill(&load);
    match config.output {
        Output::Json => print(&report.json())?,
        Output::People => print(&report.text())?,
    }
    ran?;
    match report.verdict() {
        Some(verdict) => Err(verdict.into()),
        None => Ok(()),
    }
}

/// Descriptors that are needed beside those of connections: standard ones, epoll, libraries' own.
const DESCRIPTORS_BESIDE: u64 = 32;

/// Refuses before the first connection what would fail at the last.
fn check_descriptors(config: &BenchConfig) -> Result<(), TooManyConnections> {
    // Where the limit cannot be told, connections that fail will say so.
    let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(u64::MAX);
    enough(connections(&config.scenario, config.topics), limit)
}

fn enough(connections: u64, limit: u64) -> Result<(), TooManyConnections> {
    match connections + DESCRIPTORS_BESIDE > limit {
        true => Err(TooManyConnections { connections, limit }),
        false => Ok(()),
    }
}

/// How many connections a scenario has at a time.
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

/// More connections are asked for than this process may have.
#[derive(Debug)]
struct TooManyConnections {
    connections: u64,
    limit: u64,
}

impl fmt::Display for TooManyConnections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, limit } = self;
        write!(
            f,
            "{connections} connections and {DESCRIPTORS_BESIDE} other descriptors are needed, and \
             this process may have {limit}; 'ulimit -Hn' sets how many"
        )
    }
}

impl Error for TooManyConnections {}

/// Prints the result; that nobody reads it does not undo it.
fn print(text: &str) -> io::Result<()> {
    match io::Write::write_all(&mut io::stdout(), text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
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

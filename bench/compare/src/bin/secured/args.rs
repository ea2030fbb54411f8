//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tidings_bench_compare::root;

use crate::case::Case;

/// Compare what tokens and TLS cost with neither, and with a hub on hyper and rustls.
#[derive(Debug, Parser)]
#[command(name = "secured")]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) load: Option<Load>,

    /// Cases to measure, such as 'idle,publish' [default: all].
    #[arg(long, value_name = "CASES", value_delimiter = ',')]
    pub(crate) only: Vec<Case>,

    /// Measure this build of Tidings instead of building one.
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) program: Option<PathBuf>,

    /// Rounds, of which the median is reported [default: 5, with --quick 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,

    /// Do less of everything, to check that all of it runs; the figures mean little.
    #[arg(long)]
    pub(crate) quick: bool,

    /// Begin no round that would end later than this.
    #[arg(long, value_name = "MINUTES", default_value_t = 8)]
    minutes: u64,

    /// Folder for secured.md and secured.jsonl [default: bench/record for a whole comparison, else a
    /// folder in bench/compare/target].
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Load {
    /// Load a server that runs, and print the results as JSON: the comparison does that in a process
    /// of its own.
    #[command(hide = true)]
    Load(LoadArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct LoadArgs {
    pub(crate) case: Case,
    pub(crate) address: SocketAddr,
    /// Process whose CPU time and memory count.
    #[arg(long)]
    pub(crate) server_pid: u32,
    /// Do less of everything.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Certificate of the server in PEM; without it, clear text is spoken.
    #[arg(long)]
    pub(crate) certificate: Option<PathBuf>,
    /// Token to send with each request.
    #[arg(long)]
    pub(crate) token: Option<String>,
}

impl Args {
    pub(crate) fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 1 } else { 5 })
    }

    pub(crate) fn minutes(&self) -> Duration {
        Duration::from_secs(60 * self.minutes)
    }

    /// Returns the cases that are wanted.
    pub(crate) fn cases(&self) -> Vec<Case> {
        let is_wanted = |case: &Case| self.only.is_empty() || self.only.contains(case);
        Case::ALL.into_iter().filter(is_wanted).collect()
    }

    fn is_whole(&self) -> bool {
        !self.quick && self.only.is_empty() && self.program.is_none()
    }

    /// Returns where results go. A partial comparison does not replace the record.
    pub(crate) fn out(&self) -> PathBuf {
        match &self.out {
            Some(folder) => folder.clone(),
            None if self.is_whole() => root().join("bench/record"),
            None => root().join("bench/compare/target/secured/record"),
        }
    }

    /// Returns the command line that repeats this comparison.
    pub(crate) fn command(&self) -> String {
        let mut command = format!("{COMMAND} --");
        if !self.only.is_empty() {
            let names: Vec<_> = self.only.iter().map(|case| case.name()).collect();
            command += &format!(" --only {}", names.join(","));
        }
        if self.program.is_some() {
            command += " --program PROGRAM";
        }
        if self.quick {
            command += " --quick";
        }
        format!("{command} --rounds {} --minutes {}", self.rounds(), self.minutes)
    }
}

const COMMAND: &str = "cargo run --release --manifest-path bench/compare/Cargo.toml --bin secured";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{Args, COMMAND};

    #[test]
    fn what_was_asked_for_can_be_asked_for_again() {
        let text = "--only idle,own-topics --quick --rounds 2 --minutes 3";
        let args = Args::parse_from([&["secured"], &*text.split(' ').collect::<Vec<_>>()].concat());
        assert_eq!(args.command(), format!("{COMMAND} -- {text}"));
    }

    #[test]
    fn only_all_of_it_at_full_size_replaces_the_record() {
        let is_record = |options: &[&str]| {
            Args::parse_from([&["secured"], options].concat()).out().ends_with("bench/record")
        };
        assert!(is_record(&[]) && is_record(&["--rounds", "5"]));
        for part in [&["--only", "idle"][..], &["--program", "tidings"], &["--quick"]] {
            assert!(!is_record(part));
        }
    }
}

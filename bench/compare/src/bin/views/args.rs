//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use tidings_bench_compare::root;

/// Compare what readers of several topics and of patterns cost with what readers of one topic cost.
#[derive(Debug, Default, Parser)]
#[command(name = "views")]
pub(crate) struct Args {
    /// Parts to measure, such as 'cpu,beside' [default: all].
    #[arg(long, value_name = "PARTS", value_delimiter = ',')]
    pub(crate) only: Vec<String>,

    /// Servers to measure, such as 'tidings,nchan' [default: all].
    #[arg(long, value_name = "SERVERS", value_delimiter = ',')]
    pub(crate) servers: Vec<String>,

    /// Also measure an earlier build of Tidings, to see what changed.
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) before: Option<PathBuf>,

    /// Measure this build of Tidings instead of building one.
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) program: Option<PathBuf>,

    /// Rounds, of which the median is reported [default: 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,

    /// Do less of everything, to check that all of it runs; the figures mean little.
    #[arg(long)]
    pub(crate) quick: bool,

    /// Begin no round that would end later than this.
    #[arg(long, value_name = "MINUTES", default_value_t = 40)]
    minutes: u64,

    /// Folder for views.md and views.jsonl [default: bench/record for a whole comparison, else a folder
    /// in bench/compare/target].
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,

    /// Publish and read one event after the other until standard input ends, and print the latencies:
    /// the comparison does that beside other work.
    #[arg(long, value_name = "ADDRESS", hide = true)]
    pub(crate) probe: Option<SocketAddr>,
}

impl Args {
    pub(crate) fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(1)
    }

    pub(crate) fn minutes(&self) -> Duration {
        Duration::from_secs(60 * self.minutes)
    }

    /// Returns a number at the size of the comparison.
    pub(crate) fn sized(&self, full: u32, quick: u32) -> u32 {
        if self.quick { quick } else { full }
    }

    fn is_whole(&self) -> bool {
        let is_part = !self.only.is_empty() || !self.servers.is_empty();
        !self.quick && !is_part && self.before.is_none() && self.program.is_none()
    }

    /// Returns where results go. A partial comparison does not replace the record.
    pub(crate) fn out(&self) -> PathBuf {
        match &self.out {
            Some(folder) => folder.clone(),
            None if self.is_whole() => root().join("bench/record"),
            None => root().join("bench/compare/target/views/record"),
        }
    }

    /// Returns the command line that repeats this comparison.
    pub(crate) fn command(&self) -> String {
        let mut command = format!("{COMMAND} --");
        for (name, values) in [("--only", &self.only), ("--servers", &self.servers)] {
            if !values.is_empty() {
                command += &format!(" {name} {}", values.join(","));
            }
        }
        for (name, program) in [("--before", &self.before), ("--program", &self.program)] {
            if program.is_some() {
                command += &format!(" {name} PROGRAM");
            }
        }
        if self.quick {
            command += " --quick";
        }
        format!("{command} --rounds {} --minutes {}", self.rounds(), self.minutes)
    }
}

const COMMAND: &str = "cargo run --release --manifest-path bench/compare/Cargo.toml --bin views";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{Args, COMMAND};

    #[test]
    fn what_was_asked_for_can_be_asked_for_again() {
        let text = "--only cpu,beside --servers tidings --quick --rounds 2 --minutes 3";
        let args = Args::parse_from([&["views"], &*text.split(' ').collect::<Vec<_>>()].concat());
        assert_eq!(args.command(), format!("{COMMAND} -- {text}"));
    }

    #[test]
    fn only_all_of_it_at_full_size_replaces_the_record() {
        let is_record = |options: &[&str]| {
            Args::parse_from([&["views"], options].concat()).out().ends_with("bench/record")
        };
        assert!(is_record(&[]) && is_record(&["--rounds", "5"]));
        for part in [["--only", "cpu"], ["--before", "tidings"], ["--servers", "axum"]] {
            assert!(!is_record(&part));
        }
        assert!(!is_record(&["--quick"]));
    }
}

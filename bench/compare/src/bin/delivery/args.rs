//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Compare Tidings with its peers: memory, CPU time, rates and latency of delivery.
#[derive(Debug, Default, Parser)]
#[command(name = "delivery")]
pub(crate) struct Args {
    /// Servers to compare, such as 'tidings,limit' [default: all].
    #[arg(long, value_name = "SERVERS", value_delimiter = ',')]
    pub(crate) only: Vec<String>,

    /// Also measure an earlier build of Tidings, to see what changed.
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) before: Option<PathBuf>,

    /// Scenarios to run, such as 'fan-out-1000' [default: all].
    #[arg(long, value_name = "SCENARIOS", value_delimiter = ',')]
    pub(crate) scenario: Vec<String>,

    /// Rounds, of which the median is reported [default: 3, with --quick 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,

    /// Do less of everything, to check that all of it runs; the figures mean little.
    #[arg(long)]
    pub(crate) quick: bool,

    /// Begin no round that would end later than this [default: 25, with --quick 4].
    #[arg(long, value_name = "MINUTES")]
    minutes: Option<u32>,

    /// Folder for delivery.md and delivery.jsonl [default: bench/record for a whole comparison,
    /// else a folder in bench/compare/target].
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
}

impl Args {
    pub(crate) fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 1 } else { 3 })
    }

    pub(crate) fn minutes(&self) -> Duration {
        let minutes = self.minutes.unwrap_or(if self.quick { 4 } else { 25 });
        Duration::from_secs(60 * u64::from(minutes))
    }

    /// Returns whether the comparison is whole: everything at full size.
    pub(crate) fn is_whole(&self) -> bool {
        !self.quick && self.before.is_none() && self.only.is_empty() && self.scenario.is_empty()
    }

    /// Returns the command line that repeats this comparison.
    pub(crate) fn command(&self) -> String {
        let mut command = String::from(COMMAND);
        let mut options = Vec::new();
        if !self.only.is_empty() {
            options.push(format!("--only {}", self.only.join(",")));
        }
        if self.before.is_some() {
            options.push("--before PROGRAM".to_owned());
        }
        if !self.scenario.is_empty() {
            options.push(format!("--scenario {}", self.scenario.join(",")));
        }
        if self.quick {
            options.push("--quick".to_owned());
        }
        if let Some(rounds) = self.rounds {
            options.push(format!("--rounds {rounds}"));
        }
        if let Some(minutes) = self.minutes {
            options.push(format!("--minutes {minutes}"));
        }
        if !options.is_empty() {
            command = format!("{command} -- {}", options.join(" "));
        }
        command
    }
}

const COMMAND: &str = "cargo run --release --manifest-path bench/compare/Cargo.toml --bin delivery";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{Args, COMMAND};

    #[test]
    fn what_was_asked_for_can_be_asked_for_again() {
        let text = "--only tidings,limit --scenario churn --quick --rounds 2 --minutes 3";
        let args =
            Args::parse_from([&["delivery"], &*text.split(' ').collect::<Vec<_>>()].concat());
        assert_eq!(args.command(), format!("{COMMAND} -- {text}"));
        assert_eq!(Args::default().command(), COMMAND);
    }

    #[test]
    fn only_all_of_it_at_full_size_is_whole() {
        assert!(Args::parse_from(["delivery", "--rounds", "5"]).is_whole());
        for part in [["--only", "limit"], ["--scenario", "churn"]] {
            assert!(!Args::parse_from(["delivery", part[0], part[1]]).is_whole());
        }
        assert!(!Args::parse_from(["delivery", "--quick"]).is_whole());
    }
}

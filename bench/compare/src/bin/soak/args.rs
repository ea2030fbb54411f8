//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use tidings_bench_compare::root;

/// Load a hub in many ways at once, and check that its memory stays flat.
#[derive(Debug, Default, Parser)]
#[command(name = "soak")]
pub(crate) struct Args {
    /// Duration of the load.
    #[arg(long, default_value_t = WHOLE, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) minutes: u32,

    /// Program to load, such as an earlier build [default: build this one for release].
    #[arg(long, value_name = "PATH")]
    pub(crate) program: Option<PathBuf>,

    /// File for the record [default: bench/record/soak.md for an hour or more of this build, else a
    /// file in bench/compare/target].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// The minutes that a record needs.
const WHOLE: u32 = 60;

impl Args {
    pub(crate) fn time(&self) -> Duration {
        Duration::from_secs(60 * u64::from(self.minutes))
    }

    pub(crate) fn out(&self) -> PathBuf {
        match &self.out {
            Some(file) => file.clone(),
            None if self.minutes >= WHOLE && self.program.is_none() => {
                root().join("bench/record/soak.md")
            }
            None => root().join("bench/compare/target/soak.md"),
        }
    }

    /// Returns the command line that repeats this soak.
    pub(crate) fn command(&self) -> String {
        let program = match &self.program {
            Some(_) => " --program PATH",
            None => "",
        };
        format!("{COMMAND} -- --minutes {}{program}", self.minutes)
    }
}

const COMMAND: &str = "cargo run --release --manifest-path bench/compare/Cargo.toml --bin soak";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::Args;

    #[test]
    fn only_an_hour_of_this_build_replaces_the_record() {
        let is_record = |options: &[&str]| {
            let args = Args::parse_from([&["soak"], options].concat());
            args.out().ends_with("bench/record/soak.md")
        };
        assert!(is_record(&[]));
        assert!(!is_record(&["--minutes", "59"]));
        assert!(!is_record(&["--program", "tidings"]));
    }
}

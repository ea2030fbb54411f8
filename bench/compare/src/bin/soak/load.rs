//! Scenarios of `tidings bench`, each run again and again beside the others.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use serde_json::Value;

use crate::tally::Tally;

/// The scenarios. Each run has topics of its own, so that names of topics come and go.
pub(crate) const SCENARIOS: [&str; 5] = [
    "churn --connections 5000",
    "fan-out --subscribers 200 --topics 20 --events 4000 --under-way 16",
    "slow --subscribers 20 --stalled 20 --rate 100/s --events 400",
    "replay --subscribers 20 --events 1000",
    "publish --topics 2000 --events 20000 --connections 4 --bytes 400",
];
/// The timeout of a load without progress: longer than a machine with other work stands still.
const SILENCE_MAX: &str = "30s";

/// The scenarios that are running.
pub(crate) struct Load {
    loops: Vec<JoinHandle<Tally>>,
}

impl Load {
    /// Starts all scenarios, of which each begins its last run before `until`.
    pub(crate) fn start(program: &Path, address: SocketAddr, until: Instant) -> Self {
        let start = |scenario: &'static str| {
            let program = program.to_owned();
            thread::spawn(move || repeat(&program, scenario, address, until))
        };
        Self { loops: SCENARIOS.into_iter().map(start).collect() }
    }

    /// Waits until the last run of each has ended.
    pub(crate) fn join(self) -> Tally {
        let mut tally = Tally::default();
        for each in self.loops {
            match each.join() {
                Ok(counts) => tally.add(counts),
                Err(_) => tally.fault("the thread of a load panicked".to_owned()),
            }
        }
        tally
    }
}

fn repeat(program: &Path, scenario: &str, address: SocketAddr, until: Instant) -> Tally {
    let name = scenario.split(' ').next().unwrap_or(scenario);
    let mut tally = Tally::default();
    while Instant::now() < until {
        let output = Command::new("setpriv")
            .args(["--pdeathsig", "TERM"])
            .arg(program)
            .arg("bench")
            .args(scenario.split(' '))
            .args(["--timeout", SILENCE_MAX, "--json"])
            .arg(format!("http://{address}/topics/{{topic}}"))
            .stdin(Stdio::null())
            .output();
        match output {
            Ok(output) => judge(name, &output, &mut tally),
            Err(error) => {
                tally.fault(format!("{name}: cannot be run: {error}"));
                break;
            }
        }
    }
    tally
}

/// Counts a run and its faults.
fn judge(name: &str, output: &Output, tally: &mut Tally) {
    tally.work(&format!("runs of {name}"), 1);
    let result = serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default();
    let mut known = 0;
    for group in ["faults", "refused"] {
        for (what, count) in result[group].as_object().into_iter().flatten() {
            let count = count.as_u64().unwrap_or_default();
            known += count;
            tally.faults(format!("{name}: {what}"), count);
        }
    }
    if !output.status.success() && known == 0 {
        let said = String::from_utf8_lossy(&output.stderr);
        let why = said.trim().lines().last().unwrap_or("no message").to_owned();
        tally.fault(format!("{name}: {why}"));
    }
}

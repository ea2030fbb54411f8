//! A single run: a fresh server on one core, the load on the other core or on the same.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tidings_bench_compare::install::tidings;
use tidings_bench_compare::load::{Outcome, faults, finish};
use tidings_bench_compare::running::{Running, pinned};
use tidings_bench_compare::{process, root};

use crate::scenario::{Cores, Scenario, Size};
use crate::scratch;
use crate::servers::{Ability, Server};

/// A run and its outcome.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) scenario: &'static str,
    pub(crate) server: &'static Server,
    /// The number of the round, from 0.
    pub(crate) round: u32,
    /// The load's command, without the parts that differ each time.
    pub(crate) command: String,
    pub(crate) outcome: Outcome,
}

pub(crate) struct Runner {
    size: Size,
    folder: PathBuf,
}

const SERVER_CORE: u32 = 0;
const LOAD_CORE: u32 = 1;
/// A run that takes longer is killed.
const RUN_MAX: Duration = Duration::from_secs(90);
/// The timeout of the load without progress.
const SILENCE_MAX: &str = "10s";

/// Checks that the machine has the cores and descriptors that are needed.
pub(crate) fn check_machine(scenarios: &[&Scenario], size: Size) -> Result<(), String> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    if cores < 2 {
        return Err("the server and the load need a core each, and there is only one".into());
    }
    let needed = scenarios.iter().map(|scenario| scenario.connections(size)).max().unwrap_or(0);
    // Servers and load inherit the limit.
    let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or_default();
    match limit < needed.into() {
        true => Err(format!("{needed} descriptors are needed, but 'ulimit -Hn' allows {limit}")),
        false => Ok(()),
    }
}

impl Runner {
    pub(crate) fn new(size: Size) -> io::Result<Self> {
        let folder = scratch().join("run");
        fs::create_dir_all(&folder)?;
        Ok(Self { size, folder })
    }

    /// Runs a scenario against a server.
    ///
    /// # Errors
    ///
    /// The server does not start, or the load cannot be run.
    pub(crate) fn run(
        &self,
        scenario: &Scenario,
        server: &'static Server,
        round: u32,
    ) -> Result<Run, String> {
        let here = |error: &dyn std::fmt::Display| {
            format!("{} in {}, round {}: {error}", server.title, scenario.name, round + 1)
        };
        let address = process::free_address().map_err(|error| here(&error))?;
        let running = self.start(server, address).map_err(|error| here(&error))?;
        let (load, command) = self.load(scenario, server, address, running.id());
        let core = match scenario.cores {
            Cores::Each => LOAD_CORE,
            Cores::Shared => SERVER_CORE,
        };
        let mut load = pinned(core, &load);
        // The paths of scripts are relative to this folder.
        load.current_dir(root());
        let outcome = finish(load, RUN_MAX).map_err(|error| here(&error))?;
        drop(running);
        Ok(Run { scenario: scenario.name, server, round, command, outcome })
    }

    /// Starts a server and waits until it accepts connections.
    fn start(&self, server: &Server, address: SocketAddr) -> Result<Running, String> {
        server.configure(address, &self.folder).map_err(|error| error.to_string())?;
        let command = server.command(&address.to_string(), &self.folder);
        Running::start(SERVER_CORE, &command, address, &self.folder, server.stop_signal())
    }

    /// Returns the load's command, and the parts of it that are the same each time.
    fn load(
        &self,
        scenario: &Scenario,
        server: &Server,
        address: SocketAddr,
        process: u32,
    ) -> (Vec<OsString>, String) {
        let replay = scenario.needs == Some(Ability::Replay);
        let arguments = scenario.arguments(server, self.size);
        let (mut load, program): (Vec<OsString>, _) = match scenario.needs {
            Some(Ability::Http2) => (vec!["python3".into()], "python3"),
            _ => (vec![tidings().into(), "bench".into()], "tidings bench"),
        };
        load.extend(arguments.iter().map(OsString::from));
        if scenario.needs != Some(Ability::Http2) {
            load.extend(server.load_options(address, replay).into_iter().map(OsString::from));
            load.extend(["--timeout", SILENCE_MAX, "--json"].map(OsString::from));
        }
        load.extend(["--server-pid".into(), process.to_string().into()]);
        load.push(server.url(address, replay).into());
        (load, format!("{program} {}", arguments.join(" ")))
    }
}

impl Run {
    /// Returns one line about the run for the terminal.
    pub(crate) fn summary(&self, scenario: &Scenario) -> String {
        let name = format!("{} {}: {}", self.round + 1, self.scenario, self.server.name);
        match &self.outcome {
            Outcome::Failed(why) => format!("{name}: {why}"),
            Outcome::Finished(result) => {
                let figures = scenario.columns.iter().map(|column| {
                    let value = (column.value)(result).unwrap_or(f64::NAN);
                    format!("{} {value:.*}", column.title, column.decimals)
                });
                let figures = figures.collect::<Vec<_>>().join(", ");
                match faults(result) {
                    0 => format!("{name}: {figures}"),
                    faults => format!("{name}: {figures}, {faults} FAULTS"),
                }
            }
        }
    }

    /// Returns what is wrong with a run of a server that must be without faults.
    pub(crate) fn blame(&self) -> Option<String> {
        let what = match &self.outcome {
            _ if !self.server.must_be_faultless() => return None,
            Outcome::Failed(why) => why.clone(),
            Outcome::Finished(result) => match faults(result) {
                0 => return None,
                _ => format!("{} {}", result["faults"], result["refused"]),
            },
        };
        Some(format!(
            "{} in {}, round {}: {what}",
            self.server.title,
            self.scenario,
            self.round + 1
        ))
    }

    pub(crate) fn result(&self) -> Option<&Value> {
        match &self.outcome {
            Outcome::Finished(result) => Some(result),
            Outcome::Failed(_) => None,
        }
    }
}

//! A single run: a fresh server on one core, the load on the other core or on the same.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tidings_bench_compare::{process, root};

use crate::scenario::{Cores, Scenario, Size};
use crate::scratch;
use crate::servers::{Ability, Server, pinned, tidings};

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

#[derive(Debug)]
pub(crate) enum Outcome {
    /// The load's results.
    Finished(Value),
    /// The run failed, with the message of the load.
    Failed(String),
}

pub(crate) struct Runner {
    size: Size,
    folder: PathBuf,
}

const SERVER_CORE: u32 = 0;
const LOAD_CORE: u32 = 1;
/// A server that does not accept connections within this time has failed to start.
const START_MAX: Duration = Duration::from_secs(20);
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
        let running =
            Running::start(server, address, &self.folder).map_err(|error| here(&error))?;
        let (load, command) = self.load(scenario, server, address, running.process.id());
        let core = match scenario.cores {
            Cores::Each => LOAD_CORE,
            Cores::Shared => SERVER_CORE,
        };
        let mut load = pinned(core, &load);
        // The paths of scripts are relative to this folder.
        load.current_dir(root());
        let output = finish(load).map_err(|error| here(&error))?;
        drop(running);
        Ok(Run { scenario: scenario.name, server, round, command, outcome: outcome(&output) })
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

/// Counts the faults of deliveries and the failed requests.
pub(crate) fn faults(result: &Value) -> u64 {
    ["faults", "refused"]
        .iter()
        .filter_map(|name| result.get(name)?.as_object())
        .flat_map(|counts| counts.values().filter_map(Value::as_u64))
        .sum()
}

/// Interprets the output of the load, whose exit status is 1 if there were faults.
fn outcome(output: &Output) -> Outcome {
    match (output.status.code(), serde_json::from_slice(&output.stdout)) {
        (Some(0), Ok(result)) => Outcome::Finished(result),
        (Some(1), Ok(result)) if faults(&result) > 0 => Outcome::Finished(result),
        (code, _) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.trim().lines().last().unwrap_or("no message").to_owned();
            match code {
                Some(_) => Outcome::Failed(said),
                None => Outcome::Failed(format!("killed after {} s", RUN_MAX.as_secs())),
            }
        }
    }
}

/// Runs a command until it ends, or kills it after a timeout.
fn finish(mut command: Command) -> io::Result<Output> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    // Both are read while the command runs, so that it never blocks on a full pipe.
    let stdout = thread::spawn(move || read(stdout));
    let stderr = thread::spawn(move || read(stderr));
    let status = match process::wait(&mut child, RUN_MAX)? {
        Some(status) => status,
        None => {
            child.kill()?;
            child.wait()?
        }
    };
    let joined = |reader: thread::JoinHandle<Vec<u8>>| reader.join().unwrap_or_default();
    Ok(Output { status, stdout: joined(stdout), stderr: joined(stderr) })
}

fn read(pipe: Option<impl Read>) -> Vec<u8> {
    let mut text = Vec::new();
    if let Some(mut pipe) = pipe {
        // Missing output is noticed when it is parsed.
        let _ = pipe.read_to_end(&mut text);
    }
    text
}

/// A running server, which is stopped when this is dropped.
struct Running {
    process: Child,
    signal: &'static str,
}

impl Running {
    /// Starts a server and waits until it accepts connections.
    ///
    /// # Errors
    ///
    /// The server does not start. The error contains its standard error.
    fn start(server: &Server, address: SocketAddr, folder: &PathBuf) -> Result<Self, String> {
        let failed = |error: io::Error| format!("does not start: {error}");
        let said = folder.join("stderr");
        let stderr = File::create(&said).map_err(failed)?;
        server.configure(address, folder).map_err(failed)?;
        let command = server.command(&address.to_string(), folder);
        let process = pinned(SERVER_CORE, &command)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .current_dir(folder)
            .spawn()
            .map_err(failed)?;
        let mut running = Self { process, signal: server.stop_signal() };
        let until = Instant::now() + START_MAX;
        while TcpStream::connect_timeout(&address, START_MAX).is_err() {
            let ended = running.process.try_wait().map_err(failed)?;
            if ended.is_some() || Instant::now() > until {
                let said = fs::read_to_string(&said).unwrap_or_default();
                return Err(format!("does not start:\n{}", said.trim()));
            }
            thread::sleep(process::LOOK);
        }
        Ok(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        process::stop(&mut self.process, self.signal);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{ExitStatus, Output};

    use serde_json::json;

    use super::{Outcome, faults, outcome};

    fn output(code: i32, stdout: &str, stderr: &str) -> Output {
        let status = ExitStatus::from_raw(code << 8);
        Output { status, stdout: stdout.into(), stderr: stderr.into() }
    }

    #[test]
    fn faults_and_requests_that_failed_count() {
        let result = json!({
            "faults": {"lost": 1, "doubled": 2},
            "refused": {"status 500": 3},
            "ended": {"reset": 50},
        });
        assert_eq!(faults(&result), 6);
        assert_eq!(faults(&json!({})), 0);
    }

    #[test]
    fn a_run_with_faults_is_finished_and_one_that_broke_off_is_not() {
        let clean = r#"{"faults": {"lost": 0}}"#;
        let faulty = r#"{"faults": {"lost": 1}}"#;
        assert!(matches!(outcome(&output(0, clean, "")), Outcome::Finished(_)));
        assert!(matches!(outcome(&output(1, faulty, "1 lost")), Outcome::Finished(_)));
        for (code, stdout) in [(1, clean), (1, ""), (2, "")] {
            let Outcome::Failed(why) = outcome(&output(code, stdout, "a\nlast\n")) else {
                panic!("{code} {stdout}");
            };
            assert_eq!(why, "last");
        }
    }
}

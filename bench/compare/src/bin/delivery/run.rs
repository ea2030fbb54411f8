//! One run: a fresh server on one core, the load on the other or on the same.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::scenarios::{Cores, Needs, Scenario, Size};
use crate::servers::{Server, pinned, tidings};
use crate::{root, scratch};

/// What came out of one run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) scenario: &'static str,
    pub(crate) server: &'static Server,
    /// From 0.
    pub(crate) round: u32,
    /// The load's command, without what is different each time.
    pub(crate) command: String,
    pub(crate) outcome: Outcome,
}

#[derive(Debug)]
pub(crate) enum Outcome {
    /// The load's own account.
    Finished(Value),
    /// The server could not go through with it; this is what the load said.
    Failed(String),
}

pub(crate) struct Runner {
    size: Size,
    folder: PathBuf,
}

const SERVER_CORE: u32 = 0;
const LOAD_CORE: u32 = 1;
/// A server that does not accept after so long does not start.
const START_MAX: Duration = Duration::from_secs(20);
/// How long a server may take to end; then it is made to.
const STOP_MAX: Duration = Duration::from_secs(5);
/// A run that takes longer is not worth waiting for.
const RUN_MAX: Duration = Duration::from_secs(90);
/// The load gives up when nothing has come for so long.
const SILENCE_MAX: &str = "10s";
/// Between two looks at a process.
const LOOK: Duration = Duration::from_millis(10);

/// Checks that the machine can carry what is asked for.
pub(crate) fn check_machine(scenarios: &[&Scenario], size: Size) -> Result<(), String> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    if cores < 2 {
        return Err("a core for the server and one for the load are needed; there is one".into());
    }
    let needed = scenarios.iter().map(|scenario| scenario.connections(size)).max().unwrap_or(0);
    // Servers and load inherit it.
    let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or_default();
    match limit < needed.into() {
        true => Err(format!("{needed} descriptors are needed, and 'ulimit -Hn' allows {limit}")),
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
        let address = free_address().map_err(|error| here(&error))?;
        let running =
            Running::start(server, address, &self.folder).map_err(|error| here(&error))?;
        let (load, command) = self.load(scenario, server, address, running.process.id());
        let core = match scenario.cores {
            Cores::Each => LOAD_CORE,
            Cores::Shared => SERVER_CORE,
        };
        let mut load = pinned(core, &load);
        // Scripts are named from there.
        load.current_dir(root());
        let output = finish(load).map_err(|error| here(&error))?;
        drop(running);
        Ok(Run { scenario: scenario.name, server, round, command, outcome: outcome(&output) })
    }

    /// The load's command, and what is the same of it each time.
    fn load(
        &self,
        scenario: &Scenario,
        server: &Server,
        address: SocketAddr,
        process: u32,
    ) -> (Vec<OsString>, String) {
        let replay = scenario.needs == Needs::Replay;
        let arguments = scenario.arguments(server, self.size);
        let (mut load, program): (Vec<OsString>, _) = match scenario.needs {
            Needs::Http2 => (vec!["python3".into()], "python3"),
            _ => (vec![tidings().into(), "bench".into()], "tidings bench"),
        };
        load.extend(arguments.iter().map(OsString::from));
        if scenario.needs != Needs::Http2 {
            load.extend(server.load_options(address, replay).into_iter().map(OsString::from));
            load.extend(["--timeout", SILENCE_MAX, "--json"].map(OsString::from));
        }
        load.extend(["--server-pid".into(), process.to_string().into()]);
        load.push(server.url(address, replay).into());
        (load, format!("{program} {}", arguments.join(" ")))
    }
}

impl Run {
    /// One line for who waits.
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

    /// What is wrong with a run of a server that has to be without faults.
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

/// What went wrong in a run: deliveries that were not as they have to be, and requests that failed.
pub(crate) fn faults(result: &Value) -> u64 {
    ["faults", "refused"]
        .iter()
        .filter_map(|name| result.get(name)?.as_object())
        .flat_map(|counts| counts.values().filter_map(Value::as_u64))
        .sum()
}

/// What the load said: it ends with 1 when there were faults, and tells them.
fn outcome(output: &Output) -> Outcome {
    match (output.status.code(), serde_json::from_slice(&output.stdout)) {
        (Some(0), Ok(result)) => Outcome::Finished(result),
        (Some(1), Ok(result)) if faults(&result) > 0 => Outcome::Finished(result),
        (code, _) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.trim().lines().last().unwrap_or("it said nothing").to_owned();
            match code {
                Some(_) => Outcome::Failed(said),
                None => Outcome::Failed(format!("given up after {} s", RUN_MAX.as_secs())),
            }
        }
    }
}

/// Runs a command to its end, or ends it when it takes too long.
fn finish(mut command: Command) -> io::Result<Output> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    // Both are read while it runs, so that it never waits for room.
    let stdout = thread::spawn(move || read(stdout));
    let stderr = thread::spawn(move || read(stderr));
    let status = match wait(&mut child, RUN_MAX)? {
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
        // What cannot be read is missed when it is looked for.
        let _ = pipe.read_to_end(&mut text);
    }
    text
}

/// Waits until a process has ended, or for so long.
fn wait(child: &mut Child, longest: Duration) -> io::Result<Option<std::process::ExitStatus>> {
    let until = Instant::now() + longest;
    loop {
        match child.try_wait()? {
            None if Instant::now() < until => thread::sleep(LOOK),
            ended => return Ok(ended),
        }
    }
}

/// An address that was free a moment ago.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// A server that runs, and is stopped when this goes.
struct Running {
    process: Child,
    signal: &'static str,
}

impl Running {
    /// Starts a server and waits until it accepts.
    ///
    /// # Errors
    ///
    /// It does not; the error has what it wrote to standard error.
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
            thread::sleep(LOOK);
        }
        Ok(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let process = self.process.id().to_string();
        let told = Command::new("kill").args(["-s", self.signal, &process]).status();
        let ended = matches!(wait(&mut self.process, STOP_MAX), Ok(Some(_)));
        if told.is_err() || !ended {
            // It has ended by itself meanwhile, or ends by this.
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
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

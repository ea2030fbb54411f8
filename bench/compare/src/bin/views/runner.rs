//! A single run: a fresh server on one core, the load on the other.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidings_bench_compare::http::Connection;
use tidings_bench_compare::load::{Outcome, faults, finish};
use tidings_bench_compare::running::{Running, pinned};
use tidings_bench_compare::{process, root};

use crate::args::Args;
use crate::case::{Background, Case, Run, Work};
use crate::servers::{Access, Kind, Options, Server};
use crate::view::View;

pub(crate) struct Runner<'a> {
    args: &'a Args,
    /// The program that has the load.
    load: PathBuf,
    folder: PathBuf,
}

const SERVER_CORE: u32 = 0;
const LOAD_CORE: u32 = 1;
/// A load that takes longer is killed.
const RUN_MAX: Duration = Duration::from_secs(120);
/// The time in which the readers of a background have to connect.
const CONNECT_MAX: Duration = Duration::from_secs(60);
/// Room for a million events and a hundred thousand topics.
const LARGE_HISTORY: &str = "1GiB";

/// A load on a server that runs.
struct Loaded<'a> {
    runner: &'a Runner<'a>,
    server: &'a Server,
    running: Running,
    address: SocketAddr,
    header: Option<String>,
}

impl<'a> Runner<'a> {
    pub(crate) fn new(args: &'a Args, load: PathBuf) -> io::Result<Self> {
        let folder = root().join("bench/compare/target/views/run");
        fs::create_dir_all(&folder)?;
        Ok(Self { args, load, folder })
    }

    /// Runs a case against a server.
    ///
    /// # Errors
    ///
    /// The server does not start, or the load cannot be run.
    pub(crate) fn run(&self, server: &Server, case: Case, round: u32) -> Result<Run, String> {
        let kind = server.kind;
        let here = |error: String| format!("{} in {}: {error}", kind.title(), case.name());
        let outcome = match self.start(server, case) {
            Ok(loaded) => loaded.run(case).map_err(|error| here(error.to_string()))?,
            // An earlier build may not have what the case needs.
            Err(why) if kind == Kind::Before => Outcome::Failed(why),
            Err(why) => return Err(here(why)),
        };
        Ok(Run { round, server: kind, case, outcome })
    }

    fn start<'b>(&'b self, server: &'b Server, case: Case) -> Result<Loaded<'b>, String> {
        let history = match case.work {
            Work::Probe(_) | Work::Publish(_) => Some(LARGE_HISTORY),
            _ => None,
        };
        let options = Options { access: case.access, history };
        let failed = |error: io::Error| error.to_string();
        let header = match case.access {
            Access::Open => None,
            access => server.grant(access, &self.folder)?,
        };
        let address = process::free_address().map_err(failed)?;
        let command = server.command(address, &self.folder, options).map_err(failed)?;
        let signal = server.stop_signal();
        let running = Running::start(SERVER_CORE, &command, address, &self.folder, signal)?;
        Ok(Loaded { runner: self, server, running, address, header })
    }
}

impl Loaded<'_> {
    /// Returns the number of readers, topics or events for the size of the comparison.
    fn sized(&self, full: u32) -> u32 {
        self.runner.args.sized(full, full.min(20 + full / 50))
    }

    /// Returns how many events a server is sent: the slower ones get fewer, so that each takes about
    /// as long.
    fn events(&self, work: Work) -> u32 {
        let (full, nchan, axum) = match work {
            Work::OneEach => (100_000, 40_000, 60_000),
            Work::AllAlone => (600, 300, 300),
            _ => (10_000, 400, 2000),
        };
        self.sized(match self.server.kind {
            Kind::Tidings | Kind::Before => full,
            Kind::Nchan => nchan,
            Kind::Axum => axum,
        })
    }

    fn run(&self, case: Case) -> io::Result<Outcome> {
        match case.work {
            Work::Probe(background) => self.probe(background),
            Work::Publish(topics) => self.publish(topics),
            _ => self.plain(case),
        }
    }

    /// Runs one load whose own results are the outcome.
    fn plain(&self, case: Case) -> io::Result<Outcome> {
        let readers = self.sized(case.readers).to_string();
        let events = self.events(case.work).to_string();
        let arguments: &[&str] = match case.work {
            Work::Idle => {
                &["idle", "--subscribers", &readers, "--topics", &readers, "--hold", "1s"]
            }
            Work::OneEach => &[
                "fan-out",
                "--subscribers",
                &readers,
                "--topics",
                &readers,
                "--events",
                &events,
                "--under-way",
                "64",
            ],
            Work::AllAlone => {
                &["fan-out", "--subscribers", &readers, "--events", &events, "--under-way", "1"]
            }
            _ => &["fan-out", "--subscribers", &readers, "--events", &events, "--under-way", "64"],
        };
        let is_idle = case.work == Work::Idle;
        let stream = case.view.stream(self.server.kind).unwrap_or_default();
        let publish = (!is_idle).then(|| case.view.publish(self.server.kind));
        finish(self.bench(arguments, &stream, publish), RUN_MAX)
    }

    /// Returns the command of a load.
    fn bench(&self, arguments: &[&str], stream: &str, publish: Option<&str>) -> Command {
        let at = |path: &str| OsString::from(format!("http://{}{path}", self.address));
        let mut load: Vec<OsString> = vec![self.runner.load.clone().into(), "bench".into()];
        load.extend(arguments.iter().map(OsString::from));
        load.extend(["--json", "--timeout", "60s", "--server-pid"].map(OsString::from));
        load.push(self.running.id().to_string().into());
        if let Some(publish) = publish {
            load.extend(["--publish-url".into(), at(publish)]);
        }
        if let Some(header) = &self.header {
            load.extend(["--header".into(), header.into()]);
        }
        load.push(at(stream));
        pinned(LOAD_CORE, &load)
    }

    /// Publishes events to topics, without readers.
    fn fill(&self, topics: u32, events: u32) -> io::Result<Outcome> {
        let (topics, events) = (topics.to_string(), events.to_string());
        let batches = ["--connections", "4", "--batch", "500"];
        let arguments = ["publish", "--topics", &topics, "--events", &events];
        finish(self.bench(&[&arguments[..], &batches].concat(), "/topics/{topic}", None), RUN_MAX)
    }

    /// Measures the latency of another topic beside a background.
    fn probe(&self, background: Background) -> io::Result<Outcome> {
        let quiet = Duration::from_secs(self.runner.args.sized(5, 1).into());
        let (readers, command) = match background {
            Background::Nothing => {
                let probe = Probe::start(self.address)?;
                thread::sleep(quiet);
                return Ok(Outcome::Finished(probe.finish()?));
            }
            Background::FanOut => {
                let (readers, events) = (self.sized(10_000), self.sized(120).to_string());
                let subscribers = readers.to_string();
                let arguments = ["fan-out", "--subscribers", &subscribers, "--events", &events];
                let view = View::Segment;
                let stream = view.stream(Kind::Tidings).unwrap_or_default();
                (readers, self.bench(&arguments, &stream, Some(view.publish(Kind::Tidings))))
            }
            Background::CatchUp => {
                self.fill(self.sized(1000), self.sized(1_000_000))?;
                let readers = self.sized(200).to_string();
                let arguments = ["replay", "--subscribers", &readers, "--events", "100"];
                // A pattern that begins with a wildcard, and topics of one segment that it passes.
                let stream = "/events?match=*/{topic}";
                (1, self.bench(&arguments, stream, Some("/topics/late/{topic}")))
            }
            Background::Replay => {
                let (readers, events) = (self.sized(500), self.sized(100_000).to_string());
                let readers = readers.to_string();
                let arguments = ["replay", "--subscribers", &readers, "--events", &events];
                (1, self.bench(&arguments, "/topics/{topic}", None))
            }
        };
        let load = thread::spawn(move || finish(command, RUN_MAX));
        self.wait_for(readers, || load.is_finished())?;
        let probe = Probe::start(self.address)?;
        let loaded = load.join().map_err(|_| io::Error::other("the load's thread panicked"))??;
        let mut probed = probe.finish()?;
        Ok(match loaded {
            Outcome::Finished(result) => {
                probed["faults"]["of the background"] = faults(&result).into();
                probed["background"] = result;
                Outcome::Finished(probed)
            }
            failed @ Outcome::Failed(_) => failed,
        })
    }

    /// Measures publishing to topics that are known, beside readers of a tenth as many patterns.
    fn publish(&self, topics: u32) -> io::Result<Outcome> {
        let patterns = self.sized(topics.div_ceil(10));
        let (topics, readers) = (self.sized(topics).to_string(), patterns.to_string());
        let arguments = ["idle", "--subscribers", &readers, "--topics", &readers, "--hold", "10m"];
        let mut idle = self.bench(&arguments, "/events?match=u/{topic}/*", None);
        let mut idle = idle.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let outcome = self.wait_for(patterns, || false).and_then(|()| {
            // The first run makes its topics; the second one makes as many and then uses them.
            let all = self.sized(600_000);
            let mut runs = [all / 6, all].map(|events| {
                let events = events.to_string();
                let arguments = ["publish", "--topics", &topics, "--events", &events];
                finish(self.bench(&arguments, "/topics/u/{topic}/1", None), RUN_MAX)
            });
            let [whole, first] = [1, 0].map(|at| std::mem::replace(&mut runs[at], Err(gone())));
            Ok(match (first?, whole?) {
                (Outcome::Finished(first), Outcome::Finished(whole)) => {
                    Outcome::Finished(beyond(&first, &whole))
                }
                (failed @ Outcome::Failed(_), _) | (_, failed) => failed,
            })
        });
        process::stop(&mut idle, "KILL");
        outcome
    }

    /// Waits until the server has so many readers, or the load that opens them has ended.
    fn wait_for(&self, readers: u32, mut has_ended: impl FnMut() -> bool) -> io::Result<()> {
        let until = Instant::now() + CONNECT_MAX;
        while Instant::now() < until && !has_ended() {
            let metrics = Connection::open(self.address)?.text("/metrics")?;
            let open = metrics.lines().find_map(|line| line.strip_prefix("tidings_subscribers "));
            if open
                .and_then(|open| open.parse().ok())
                .is_some_and(|open: f64| open >= f64::from(readers))
            {
                return Ok(());
            }
            thread::sleep(process::LOOK);
        }
        match has_ended() {
            true => Ok(()),
            false => Err(io::Error::other("the readers do not connect")),
        }
    }
}

fn gone() -> io::Error {
    io::Error::other("it was taken")
}

/// Returns the CPU time of the events that a longer run published beyond a shorter one.
fn beyond(first: &Value, whole: &Value) -> Value {
    let number = |result: &Value, pointer| {
        result.pointer(pointer).and_then(Value::as_f64).unwrap_or_default()
    };
    let difference = |pointer| number(whole, pointer) - number(first, pointer);
    let micros = difference("/server/cpu_seconds") * 1e6 / difference("/events");
    let faults = faults(first) + faults(whole);
    json!({ "server": { "cpu_us_per_event": micros }, "faults": { "of both runs": faults } })
}

/// This program as a probe, which publishes and reads until its standard input ends.
struct Probe {
    process: Child,
}

impl Probe {
    fn start(address: SocketAddr) -> io::Result<Self> {
        let own = std::env::current_exe()?;
        let mut nice: Vec<OsString> = ["nice", "-n", "-10"].map(OsString::from).to_vec();
        nice.extend([own.into(), "--probe".into(), address.to_string().into()]);
        // The load has the same core: without precedence the probe would measure its own waiting.
        let process =
            pinned(LOAD_CORE, &nice).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        Ok(Self { process })
    }

    /// Ends the probe; returns its results.
    fn finish(mut self) -> io::Result<Value> {
        if let Some(mut input) = self.process.stdin.take() {
            input.flush()?;
        }
        let mut text = String::new();
        if let Some(mut output) = self.process.stdout.take() {
            output.read_to_string(&mut text)?;
        }
        self.process.wait()?;
        serde_json::from_str(&text).map_err(io::Error::other)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // It has ended already unless the run has failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

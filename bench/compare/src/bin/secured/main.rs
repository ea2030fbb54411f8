//! Compares what tokens and TLS cost with neither, and with a hub on hyper and rustls: memory of idle
//! readers, CPU time of deliveries, handshakes and publishes.
//!
//! ```text
//!   for each round, case and server:  a fresh server on core 0, this program as a load on core 1  ──▶ record
//! ```
//!
//! `case` has the cases and their figures, `servers` how each server is started, `load` what is done
//! to it.

mod args;
mod case;
mod load;
mod record;
mod servers;

use std::error::Error;
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use args::{Args, Load};
use case::{Case, Run};
use clap::Parser;
use record::Record;
use servers::{Kind, Servers};
use tidings_bench_compare::load::finish;
use tidings_bench_compare::running::{Running, pinned};
use tidings_bench_compare::{host, process, rounds};

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.load {
        Some(Load::Load(load)) => load::run(load),
        None => compare(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("secured: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The connections of the largest case, and the descriptors of the programs.
const DESCRIPTORS: u64 = 5200;
const SERVER_CORE: u32 = 0;
const LOAD_CORE: u32 = 1;
/// A load that takes longer is killed.
const RUN_MAX: Duration = Duration::from_secs(90);

fn compare(args: &Args) -> Result<(), Box<dyn Error>> {
    let limit = rlimit::increase_nofile_limit(u64::MAX)?;
    if limit < DESCRIPTORS {
        return Err(format!("{DESCRIPTORS} descriptors are needed: 'ulimit -Hn'").into());
    }
    let servers = Servers::prepare(args.program.as_deref())?;
    let (host, peer) = (host::describe()?, servers::peer_versions()?);

    let limits = (args.rounds(), args.minutes());
    let measured = rounds::measure(limits, |round, add| {
        for case in args.cases() {
            for server in Kind::ALL.into_iter().filter(|&kind| case.is_for(kind)) {
                let run = run(&servers, server, case, (round, args.quick))?;
                let line = run.line();
                add(run, &line);
            }
        }
        Ok(())
    })?;

    let blamed: Vec<_> = measured.runs.iter().filter_map(Run::blame).collect();
    let (command, cases) = (args.command(), args.cases());
    let record = Record { host, peer, command, is_quick: args.quick, cases, measured };
    rounds::write(&args.out(), "secured", (&record.page(), &record.lines()), &blamed)
}

/// Runs a case against a fresh server.
fn run(
    servers: &Servers,
    server: Kind,
    case: Case,
    (round, is_quick): (u32, bool),
) -> Result<Run, Box<dyn Error>> {
    let address = process::free_address()?;
    let command = servers.command(server, address);
    // If terminated, the servers would wait for their streams.
    let running = Running::start(SERVER_CORE, &command, address, &servers.folder, "KILL")?;
    let mut load: Vec<OsString> = vec![std::env::current_exe()?.into()];
    load.extend(["load", case.name(), &address.to_string()].map(OsString::from));
    load.extend(["--server-pid", &running.id().to_string()].map(OsString::from));
    if is_quick {
        load.push("--quick".into());
    }
    if server.has_tokens() {
        load.extend(["--token", &servers.token].map(OsString::from));
    }
    if server.has_tls() {
        load.extend(["--certificate".into(), servers.folder.join("cert.pem").into()]);
    }
    let outcome = finish(pinned(LOAD_CORE, &load), RUN_MAX)?;
    Ok(Run { round, server, case, outcome })
}

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
use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use args::{Args, Load};
use case::{Case, Run};
use clap::Parser;
use record::Record;
use servers::{Kind, Servers};
use tidings_bench_compare::load::finish;
use tidings_bench_compare::running::{Running, pinned};
use tidings_bench_compare::{host, process};

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
    let servers = Servers::prepare(args)?;
    let (host, peer) = (host::describe()?, servers::peer_versions()?);

    let began = Instant::now();
    let (mut runs, mut done, mut longest) = (Vec::new(), 0, Duration::ZERO);
    while done < args.rounds() && began.elapsed() + longest <= args.minutes() {
        let round_began = Instant::now();
        for case in args.cases() {
            for server in Kind::ALL.into_iter().filter(|&kind| case.is_for(kind)) {
                let run = run(&servers, server, case, (done, args.quick))?;
                eprintln!("{:4} s  {}", began.elapsed().as_secs(), run.line());
                runs.push(run);
            }
        }
        done += 1;
        longest = longest.max(round_began.elapsed());
    }

    let blamed: Vec<_> = runs.iter().filter_map(Run::blame).collect();
    let record = Record {
        host,
        peer,
        command: args.command(),
        is_quick: args.quick,
        rounds: done,
        took: began.elapsed(),
        cases: args.cases(),
        runs,
    };
    let folder = args.out();
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("secured.md"), record.page())?;
    fs::write(folder.join("secured.jsonl"), record.lines())?;
    println!("{}\nwritten: {}", record.page(), folder.join("secured.md").display());
    match blamed.is_empty() {
        true => Ok(()),
        false => Err(format!("there were faults:\n{}", blamed.join("\n")).into()),
    }
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

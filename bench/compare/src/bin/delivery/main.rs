//! Compares Tidings with its peers: one command starts each server, loads it, and writes a table.
//!
//! ```text
//!   prepare ──▶ for each round, scenario and server:                  ──▶ stats ──▶ record
//!   (build,       run: a fresh server on core 0, `tidings bench` mostly on core 1   (tables, raw lines)
//!    install)
//! ```
//!
//! `servers` says how each server is started, `scenarios` what is measured and the targets. In a
//! round, every server has its turn before the next round begins, so that other work on the machine
//! affects all of them.

mod args;
mod figures;
mod machine;
mod prepare;
mod record;
mod run;
mod scenario;
mod scenarios;
mod servers;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use args::Args;
use clap::Parser;
use record::Record;
use run::{Run, Runner};
use scenario::Size;
use scenarios::SCENARIOS;
use servers::{SERVERS, Server};
use tidings_bench_compare::root;

fn main() -> ExitCode {
    match compare(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("delivery: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(args: &Args) -> Result<(), Box<dyn Error>> {
    if let Some(program) = &args.before {
        servers::measure_before(program.canonicalize()?);
    }
    let servers = chosen(&SERVERS, &args.only, |server| server.name)?;
    let scenarios = chosen(&SCENARIOS, &args.scenario, |scenario| scenario.name)?;
    let size = if args.quick { Size::Quick } else { Size::Full };
    let is_needed = |server: &&Server| scenarios.iter().any(|it| it.is_for(server, size, 0));
    let servers: Vec<_> =
        servers.into_iter().filter(|server| server.is_given()).filter(is_needed).collect();
    run::check_machine(&scenarios, size)?;
    prepare::prepare(&servers)?;
    let machine = machine::describe(&servers)?;
    let runner = Runner::new(size)?;

    let began = Instant::now();
    let (rounds, minutes) = (args.rounds(), args.minutes());
    let mut runs: Vec<Run> = Vec::new();
    let mut longest = Duration::ZERO;
    let mut done = 0;
    while done < rounds && began.elapsed() + longest <= minutes {
        let round_began = Instant::now();
        for scenario in &scenarios {
            let servers = servers.iter().filter(|server| scenario.is_for(server, size, done));
            for server in (0..scenario.turns).flat_map(|_| servers.clone()) {
                let run = runner.run(scenario, server, done)?;
                eprintln!("{:4} s  {}", began.elapsed().as_secs(), run.summary(scenario));
                runs.push(run);
            }
        }
        done += 1;
        longest = longest.max(round_began.elapsed());
    }

    let record = Record { machine, size, rounds: done, took: began.elapsed(), scenarios, runs };
    let folder = folder(args);
    fs::create_dir_all(&folder)?;
    record.write(&folder, &args.command())?;
    println!("{}", record.summary());
    println!("written: {}", folder.join("delivery.md").display());
    record.verdict()
}

/// Returns the members of `all` that are named, or all if no name is given.
fn chosen<T>(
    all: &'static [T],
    names: &[String],
    name: impl Fn(&T) -> &str,
) -> Result<Vec<&'static T>, String> {
    if let Some(unknown) = names.iter().find(|wanted| !all.iter().any(|one| name(one) == *wanted)) {
        let known: Vec<_> = all.iter().map(name).collect();
        return Err(format!("unknown name '{unknown}'; known names are {}", known.join(", ")));
    }
    let is_named = |one: &T| names.is_empty() || names.iter().any(|wanted| wanted == name(one));
    Ok(all.iter().filter(|one| is_named(one)).collect())
}

/// Returns where results go. A partial comparison does not replace the record.
fn folder(args: &Args) -> PathBuf {
    match &args.out {
        Some(folder) => folder.clone(),
        None if args.is_whole() => root().join("bench/record"),
        None => scratch().join("record"),
    }
}

/// The folder for temporary files of runs.
fn scratch() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/delivery")
}

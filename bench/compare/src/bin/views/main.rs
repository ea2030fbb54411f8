//! Compares readers of several topics and of patterns with readers of one topic: what each event
//! costs, what an idle reader takes, and what others notice.
//!
//! ```text
//!   for each round, case and server:  a fresh server on core 0, `tidings bench` on core 1  ──▶ record
//!                                     and, beside some loads, this program as a probe
//! ```
//!
//! `view` has the views, `case` the cases and their figures, `servers` how each server is started,
//! `runner` what is done to it.

mod args;
mod case;
mod probe;
mod record;
mod runner;
mod servers;
mod view;

use std::error::Error;
use std::process::ExitCode;

use args::Args;
use case::{Case, Part, Run};
use clap::Parser;
use record::Record;
use runner::Runner;
use servers::Server;
use tidings_bench_compare::{host, install, rounds};

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.probe {
        Some(address) => probe::run(address).map_err(Into::into),
        None => compare(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("views: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The connections of the largest case, and the descriptors of the programs.
const DESCRIPTORS: u64 = 15_150;

fn compare(args: &Args) -> Result<(), Box<dyn Error>> {
    let parts = Part::chosen(args)?;
    let limit = rlimit::increase_nofile_limit(u64::MAX)?;
    if limit < DESCRIPTORS && !args.quick {
        return Err(format!("{DESCRIPTORS} descriptors are needed: 'ulimit -Hn'").into());
    }
    let load = install::program(args.program.as_deref())?;
    let servers = servers::prepare(args)?;
    let host = host::describe()?;
    let peers = servers.iter().filter_map(|server| server.version().transpose());
    let peers = peers.collect::<Result<_, _>>()?;
    let runner = Runner::new(args, load)?;

    let limits = (args.rounds(), args.minutes());
    let measured = rounds::measure(limits, |round, add| {
        for part in &parts {
            for (case, server) in runs_of(*part, &servers, args.quick) {
                let run = runner.run(server, case, round)?;
                let line = run.line();
                add(run, &line);
            }
        }
        Ok(())
    })?;

    let blamed: Vec<_> = measured.runs.iter().filter_map(Run::blame).collect();
    let command = args.command();
    let record = Record { host, peers, command, is_quick: args.quick, parts, measured };
    rounds::write(&args.out(), "views", (&record.page(), &record.lines()), &blamed)
}

/// Returns the runs of a part in a round, in their order.
fn runs_of(part: Part, servers: &[Server], is_quick: bool) -> Vec<(Case, &Server)> {
    let turns = |server: &Server| if is_quick { 1 } else { part.turns(server.kind) };
    let most = servers.iter().map(turns).max().unwrap_or_default();
    let mut runs = Vec::new();
    for turn in 0..most {
        for case in part.cases() {
            let takes_part = |server: &&Server| case.is_for(server.kind) && turn < turns(server);
            runs.extend(servers.iter().filter(takes_part).map(|server| (case, server)));
        }
    }
    runs
}

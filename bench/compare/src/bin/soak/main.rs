//! Loads a hub in many ways at once for a long time, and finds whether its memory stays flat.
//!
//! ```text
//!   load (`tidings bench`, again and again) ──▶ ┌────────────────┐
//!   resume (publisher, resuming readers)    ──▶ │ tidings serve  │ ──▶ sample ──▶ verdict ──▶ record
//!                                               └────────────────┘
//! ```
//!
//! The history is small, so that every load evicts the events of the others. `load` has the
//! scenarios, `resume` the readers that come and go, `verdict` the rule, and `record` writes the
//! page.

mod args;
mod load;
mod record;
mod resume;
mod sample;
mod server;
mod tally;
mod verdict;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use tidings_bench_compare::{host, install};

use args::Args;
use load::Load;
use record::Record;
use resume::Clients;
use sample::Sample;
use server::Server;
use tally::Tally;
use verdict::Verdict;

/// The interval of samples.
const SAMPLE: Duration = Duration::from_secs(10);
/// The time in which the hub has to notice that all clients have left.
const LEAVE_MAX: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    match soak(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

fn soak(args: &Args) -> Result<(), Box<dyn Error>> {
    let host = host::describe()?;
    rlimit::increase_nofile_limit(u64::MAX)?;
    let program = install::program(args.program.as_deref())?;

    let mut server = Server::start(&program)?;
    let before = server.sample(Duration::ZERO)?;
    let (samples, tally) = run(args, &program, &mut server)?;
    let after = at_rest(&server, &before)?;
    drop(server);

    let verdict = Verdict::new(&samples, &before, &after, &tally);
    let record = Record {
        program: match &args.program {
            Some(program) => format!("Program: {}", program.display()),
            None => format!("Tidings at {}", host.tidings),
        },
        host,
        load_average_after: host::load_average(),
        command: args.command(),
        minutes: args.minutes,
        samples,
        before,
        after,
        tally,
        verdict,
    };
    let page = record.page();
    let path = args.out();
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&path, &page)?;
    println!("{page}\nwritten: {}", path.display());
    record.verdict.result().map_err(Into::into)
}

/// Loads the server for the whole time and samples it.
fn run(
    args: &Args,
    program: &Path,
    server: &mut Server,
) -> Result<(Vec<Sample>, Tally), Box<dyn Error>> {
    let began = Instant::now();
    let until = began + args.time();
    let load = Load::start(program, server.address(), until);
    let clients = Clients::start(server.address(), until);
    let mut samples = Vec::new();
    while Instant::now() + SAMPLE < until {
        thread::sleep(SAMPLE);
        server.check()?;
        let sample = server.sample(began.elapsed())?;
        eprintln!("{}", sample.line());
        samples.push(sample);
    }
    let mut tally = load.join();
    tally.add(clients.join());
    server.check()?;
    Ok((samples, tally))
}

/// Samples the server once all clients have left, or when it takes too long to notice.
fn at_rest(server: &Server, before: &Sample) -> Result<Sample, Box<dyn Error>> {
    let began = Instant::now();
    loop {
        let sample = server.sample(began.elapsed())?;
        if sample.descriptors <= before.descriptors || began.elapsed() > LEAVE_MAX {
            return Ok(sample);
        }
        thread::sleep(Duration::from_secs(1));
    }
}

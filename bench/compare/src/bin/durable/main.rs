//! Measures publishing that is synced to disk before it is acknowledged.
//!
//! ```text
//!   load (64 connections, or batches) ──▶ each server on core 0, on a folder of its own ──▶ record
//!   raw  (append and fdatasync)       ──▶ the same disk
//! ```
//!
//! `server` starts each server so that it syncs before it acknowledges, and `full` measures a large journal.

mod args;
mod behind;
mod full;
mod raw;
mod record;
mod replay;
mod resume;
mod server;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tidings_bench_compare::publishing::wire::Wire;
use tidings_bench_compare::publishing::{Load, Published, Until};
use tidings_bench_compare::{host, install, process};

use args::Args;
use record::{Record, Row};
use server::{Programs, Server};

/// The loads: name, connections, and events that are sent together.
const LOADS: [(&str, usize, usize); 3] = [
    ("one connection, one event at a time", 1, 1),
    ("64 connections, one event at a time each", 64, 1),
    ("16 connections, 100 events at a time each", 16, 100),
];
/// The core of the load.
const CORE: u32 = 1;

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.readers {
        Some(address) => behind::read_from_the_beginning(address).map_err(Into::into),
        None => compare(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("durable: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(args: &Args) -> Result<(), Box<dyn Error>> {
    let tidings = install::program(args.program.as_deref())?;
    process::pin(std::process::id(), &CORE.to_string())?;
    let programs = Programs { tidings, nats: args.nats.clone() };
    let folder = args.data();
    fs::create_dir_all(&folder)?;
    // A thousand readers, and some more connections.
    rlimit::increase_nofile_limit(4096)?;
    let host = host::describe()?;
    let mut rows = Vec::new();
    for (name, connections, batch) in LOADS {
        let raw = raw::append(&folder, connections * batch, args.time())?;
        let row = |server, published| shown(Row { load: name.to_owned(), server, published });
        rows.push(row("append and fdatasync", raw));
        for (server, wire) in [
            ("Tidings", Wire::Tidings),
            ("Redis Streams, appendfsync always", Wire::Redis),
            ("NATS JetStream, sync_interval always", Wire::Nats),
        ] {
            let published = measure(&programs, &folder, wire, (connections, batch, args.time()))?;
            rows.push(row(server, published));
        }
    }
    // A disk may be fast for a moment alone.
    let [_, crowded @ ..] = LOADS;
    for (name, connections, batch) in crowded {
        let load = (connections, batch, args.sustained());
        let published = measure(&programs, &folder, Wire::Tidings, load)?;
        let load = format!("{name}, for {} s", args.sustained().as_secs());
        rows.push(shown(Row { load, server: "Tidings", published }));
    }
    let full = full::measure(&programs, &folder, args.held, args.time())?;
    fs::remove_dir_all(&folder)?;
    let nats = args.nats.to_string_lossy();
    let versions =
        [host::said("redis-server", &["--version"])?, host::said(&nats, &["--version"])?];
    let record = Record { command: args.command(), host, versions, rows, full };
    fs::write(args.out(), record.page())?;
    println!("written: {}", args.out().display());
    Ok(())
}

/// Measures a server on an empty folder.
fn measure(
    programs: &Programs,
    folder: &Path,
    wire: Wire,
    (connections, batch, time): (usize, usize, Duration),
) -> Result<Published, Box<dyn Error>> {
    let folder = folder.join(format!("{wire:?}"));
    let server = Server::start(programs, wire, &folder)?;
    wire.set_up(server.address)?;
    let load = Load { connections, batch, until: Until::Time(time) };
    let published = load.run(server.wire, &[server.address])?;
    drop(server);
    fs::remove_dir_all(&folder)?;
    Ok(published)
}

/// Shows a row on standard error.
fn shown(row: Row) -> Row {
    eprintln!("{}", row.line());
    row
}

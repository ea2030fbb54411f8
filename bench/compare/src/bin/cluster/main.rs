//! Measures hubs that share a stream of NATS JetStream.
//!
//! ```text
//!   load ──▶ one hub, or three ──▶ NATS, one server or three, synced or not ──▶ record
//!   load ──▶ NATS alone, by the hubs' client library
//! ```
//!
//! `servers` starts everything, `alone` is NATS without hubs; `latency`, `fan_out` and `cold` measure what
//! their names say; `record` writes the tables.

mod alone;
mod args;
mod cold;
mod fan_out;
mod latency;
mod record;
mod servers;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use tidings_bench_compare::publishing::wire::Wire;
use tidings_bench_compare::publishing::{Load, Published, Until};
use tidings_bench_compare::{host, install, process};
use tokio::runtime::Runtime;

use args::{Amounts, Args, Part};
use record::{FannedRow, LatencyRow, PublishRow, Record};
use servers::{Programs, Setting};

/// The loads of publishing: name, connections to each hub, and events that are sent together.
const LOADS: [(&str, usize, usize); 3] = [
    ("one connection to each, one event at a time", 1, 1),
    ("64 connections to each, one event at a time", 64, 1),
    ("16 connections to each, 100 events at a time", 16, 100),
];
/// The servers of fan-out: name, whether they share a stream of NATS, and their number.
const FANNED: [(&str, bool, usize); 3] =
    [("one hub without NATS", false, 1), ("one hub", true, 1), ("three hubs", true, 3)];
/// Where hubs, the load, and everything run.
const HUB_CORE: &str = "0";
const LOAD_CORE: &str = "1";
const ALL_CORES: &str = "0-1";
/// Messages under way when NATS is alone.
const ALONE: [(&str, usize); 3] =
    [("one message at a time", 1), ("64 under way", 64), ("1000 under way", 1000)];

fn main() -> ExitCode {
    match compare(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cluster: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(args: &Args) -> Result<(), Box<dyn Error>> {
    let programs = Programs {
        tidings: install::program(args.program.as_deref())?,
        nats: args.nats.canonicalize()?,
    };
    let (folder, amounts) = (args.data(), args.amounts());
    // Three thousand readers at three hubs, and the hubs' ends of them.
    rlimit::increase_nofile_limit(8192)?;
    let mut record = Record {
        command: args.command(),
        host: host::describe()?,
        nats: host::said(&programs.nats.to_string_lossy(), &["--version"])?,
        amounts,
        published: Vec::new(),
        latencies: Vec::new(),
        fanned: Vec::new(),
        joined: Vec::new(),
    };
    let bench = Bench { programs, folder, amounts, runtime: Runtime::new()? };
    for setting in Setting::ALL {
        if args.has(Part::Publish) {
            bench.publish(setting, &mut record)?;
        }
        if args.has(Part::Latency) {
            bench.latency(setting, &mut record)?;
        }
    }
    if args.has(Part::FanOut) {
        bench.fan_out(&mut record)?;
    }
    if args.has(Part::Cold) {
        record.joined = cold::measure(&bench.programs, &bench.folder, amounts)?;
    }
    fs::remove_dir_all(&bench.folder)?;
    fs::write(args.out(), record.page())?;
    println!("written: {}", args.out().display());
    Ok(())
}

struct Bench {
    programs: Programs,
    folder: PathBuf,
    amounts: Amounts,
    runtime: Runtime,
}

impl Bench {
    fn folder(&self) -> &Path {
        &self.folder
    }

    /// Publishes through one hub and through three, and to NATS alone.
    fn publish(&self, setting: Setting, record: &mut Record) -> Result<(), Box<dyn Error>> {
        let nats = servers::start_nats(&self.programs, setting, self.folder())?;
        let mut add = |server, load, published| {
            let row = PublishRow { setting, server, load, published };
            eprintln!("{}", row.line());
            record.published.push(row);
        };
        for (server, stream, count) in [("one hub", "ONE", 1), ("three hubs", "THREE", 3)] {
            let hubs = servers::start_hubs(&self.programs, &nats, (stream, count), self.folder())?;
            for (load, connections, batch) in LOADS {
                let until = Until::Time(self.amounts.time);
                let connections = connections * count;
                let published = Load { connections, batch, until }
                    .run(Wire::Tidings, &servers::addresses(&hubs))?;
                add(server, load, published);
            }
        }
        let unboxed = |error: Box<dyn Error + Send + Sync>| error.to_string();
        self.runtime.block_on(alone::create_stream(&nats)).map_err(unboxed)?;
        for (load, under_way) in ALONE {
            let published = alone::publish(&nats, under_way, self.amounts.time);
            add("NATS alone", load, self.runtime.block_on(published).map_err(unboxed)?);
        }
        Ok(())
    }

    /// From one of three hubs to another, and from a publisher to a subscriber of NATS core.
    fn latency(&self, setting: Setting, record: &mut Record) -> Result<(), Box<dyn Error>> {
        let nats = servers::start_nats(&self.programs, setting, self.folder())?;
        let hubs = servers::start_hubs(&self.programs, &nats, ("LATENCY", 3), self.folder())?;
        let count = self.amounts.timed;
        let core = alone::latency(&nats, count);
        let core = self.runtime.block_on(core).map_err(|error| error.to_string())?;
        let hubs = latency::measure(hubs[0].address, hubs[2].address, count)?;
        let row = LatencyRow { setting, core, hubs };
        eprintln!("{}", row.line());
        record.latencies.push(row);
        Ok(())
    }

    /// To as many readers at a hub without NATS, at one with it, and at three, in turn. Hubs have one core and
    /// all else the other: where they share cores, each event would cost more switches the more processes there are.
    fn fan_out(&self, record: &mut Record) -> Result<(), Box<dyn Error>> {
        let nats = servers::start_nats(&self.programs, Setting::ALL[0], self.folder())?;
        for server in &nats {
            server.pin(LOAD_CORE)?;
        }
        process::pin(std::process::id(), LOAD_CORE)?;
        for turn in 0..self.amounts.turns {
            for (server, with_nats, count) in FANNED {
                let servers = if with_nats { &nats[..] } else { &[] };
                let name = format!("F{count}-{turn}");
                let stream = (name.as_str(), count);
                let hubs = servers::start_hubs(&self.programs, servers, stream, self.folder())?;
                hubs.iter().try_for_each(|hub| hub.pin(HUB_CORE))?;
                let each = self.amounts.readers / count;
                let fanned = fan_out::measure(&hubs, each, self.amounts.fanned)?;
                eprintln!("{server}: {:.2} µs", fanned.micros_each());
                record.fanned.push(FannedRow { server, fanned });
            }
        }
        process::pin(std::process::id(), ALL_CORES)?;
        Ok(())
    }
}

/// The best rate of those rows that are through three hubs.
fn best_rate(rows: &[PublishRow]) -> Option<f64> {
    let three = rows.iter().filter(|row| row.server == "three hubs");
    three.map(|row| Published::rate(&row.published)).max_by(f64::total_cmp)
}

//! The load on a server, in a process and on a core of its own.

mod deliver;
mod wire;

use std::error::Error;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidings_bench_compare::process;
use tokio::io::AsyncWriteExt as _;
use tokio::task::{JoinSet, LocalSet};

use crate::args::LoadArgs;
use crate::case::{CPU, Case, MEMORY, RATE, STREAMS, UNDER_WAY};
use wire::{Protocol, Target, data};

/// The time that a server has to finish what it began, before it is measured.
const SETTLE: Duration = Duration::from_millis(500);
/// The number of handshakes under way.
const HANDSHAKES: u32 = 8;

/// Loads a server, and prints the results.
pub(crate) fn run(args: &LoadArgs) -> Result<(), Box<dyn Error>> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = LocalSet::new().block_on(&runtime, load(args))?;
    println!("{result}");
    Ok(())
}

async fn load(args: &LoadArgs) -> Result<Value, Box<dyn Error>> {
    let protocol = match args.case {
        Case::IdleHttp2 => Protocol::Http2,
        _ => Protocol::Http1,
    };
    let target = Rc::new(Target::new(args, protocol)?);
    let server = Server { id: args.server_pid };
    let (readers, events) = args.case.size(args.quick);
    Ok(match args.case {
        Case::Idle => idle(&target, &server, readers).await?,
        Case::IdleHttp2 => idle_http2(&target, &server, readers).await?,
        Case::FanOut => deliver::to_all(&target, &server, readers, events).await?,
        Case::OwnTopics => deliver::to_each(&target, &server, readers, events).await?,
        Case::Handshakes => handshakes(&target, &server, events).await?,
        Case::Publish => publish(&target, &server, events).await?,
    })
}

/// The server's process.
struct Server {
    id: u32,
}

/// The CPU time that a server has used, and when.
struct Used {
    cpu: Duration,
    at: Instant,
}

impl Server {
    /// Returns its resident memory, in bytes.
    fn memory(&self) -> io::Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.id))?;
        let resident = tidings_bench_compare::host::field(&text, "Rss");
        let kilobytes = resident.and_then(|it| it.split(' ').next()?.parse::<u64>().ok());
        Ok(kilobytes.ok_or(io::ErrorKind::InvalidData)? * 1024)
    }

    fn used(&self) -> io::Result<Used> {
        Ok(Used { cpu: process::cpu_time(self.id)?, at: Instant::now() })
    }

    /// Returns the figures of some work since a moment.
    fn since(&self, before: &Used, count: u32, faults: u64) -> io::Result<Value> {
        let now = self.used()?;
        let cpu = (now.cpu - before.cpu).as_secs_f64() * 1e6 / f64::from(count);
        let rate = f64::from(count) / (now.at - before.at).as_secs_f64();
        Ok(json!({ CPU: cpu, RATE: rate, "count": count, "faults": { "all": faults } }))
    }
}

/// Returns the memory of each of some readers.
fn memory_each(before: u64, server: &Server, readers: u32) -> io::Result<Value> {
    let grown = server.memory()?.saturating_sub(before);
    let each = grown as f64 / 1024.0 / f64::from(readers);
    Ok(json!({ MEMORY: each, "count": readers, "faults": {} }))
}

async fn idle(target: &Target, server: &Server, readers: u32) -> io::Result<Value> {
    let mut open = Vec::new();
    // What a server allocates once does not count.
    for number in 0..=readers / 50 {
        open.push(target.read(&format!("u/first-{number}")).await?);
    }
    tokio::time::sleep(SETTLE).await;
    let before = server.memory()?;
    for number in 0..readers {
        open.push(target.read(&format!("u/{number}")).await?);
    }
    tokio::time::sleep(SETTLE).await;
    memory_each(before, server, readers)
}

async fn idle_http2(target: &Target, server: &Server, readers: u32) -> io::Result<Value> {
    let mut open = vec![target.read_many("u/first", STREAMS).await?];
    tokio::time::sleep(SETTLE).await;
    let before = server.memory()?;
    let connections = readers.div_ceil(STREAMS);
    for number in 0..connections {
        open.push(target.read_many(&format!("u/{number}"), STREAMS).await?);
    }
    tokio::time::sleep(SETTLE).await;
    memory_each(before, server, connections * STREAMS)
}

async fn handshakes(target: &Rc<Target>, server: &Server, count: u32) -> io::Result<Value> {
    let each = count.div_ceil(HANDSHAKES);
    let before = server.used()?;
    let mut workers = JoinSet::new();
    for _ in 0..HANDSHAKES {
        let target = Rc::clone(target);
        workers.spawn_local(async move {
            for _ in 0..each {
                target.connect().await?.shutdown().await?;
            }
            Ok::<_, io::Error>(())
        });
    }
    all(workers).await?;
    server.since(&before, each * HANDSHAKES, 0)
}

async fn publish(target: &Rc<Target>, server: &Server, count: u32) -> io::Result<Value> {
    let each = count.div_ceil(UNDER_WAY);
    let mut connections = Vec::new();
    for _ in 0..UNDER_WAY {
        connections.push(target.open().await?);
    }
    let before = server.used()?;
    let mut workers = JoinSet::new();
    for (worker, mut connection) in connections.into_iter().enumerate() {
        workers.spawn_local(async move {
            let topic = format!("u/{worker}");
            for number in 0..each {
                connection.publish(&topic, &data(number)).await?;
            }
            Ok::<_, io::Error>(())
        });
    }
    all(workers).await?;
    server.since(&before, each * UNDER_WAY, 0)
}

/// Waits until all tasks are done, or one has failed.
async fn all(mut tasks: JoinSet<io::Result<()>>) -> io::Result<()> {
    while let Some(done) = tasks.join_next().await {
        done.map_err(io::Error::other)??;
    }
    Ok(())
}

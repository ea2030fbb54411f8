//! Many idle subscribers on one hub, and one event to all of them.
//!
//! ```text
//! cargo build --release
//! cargo run --release --manifest-path bench/Cargo.toml --bin idle -- target/release/tidings 10000
//! ```
//!
//! The hub runs in a process of its own. Every subscriber has a connection of its own; what is printed
//! is the hub's memory for each (resident, and the kernel's for its sockets) and the CPU time it took to
//! publish one event to all. An event that is missing, doubled or other than published is an error.

use std::error::Error;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

type Failure = Box<dyn Error + Send + Sync>;

/// Connections opened at a time: the hub's backlog is never full.
const OPENING_MAX: usize = 256;
/// How long anything may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(60);
const DATA: &str = "one event for everybody, of about a hundred bytes: 0123456789 0123456789 0123456789 012";

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let (Some(program), Some(count)) = (args.next(), args.next()) else {
        return Err("usage: idle PROGRAM SUBSCRIBERS [own]".into());
    };
    let count: usize = count.parse()?;
    let own_topics = args.next().is_some_and(|word| word == "own");
    let hub = Hub::start(&program)?;

    let before = hub.memory()?;
    let started = Instant::now();
    let streams = open_all(&hub.address, count, own_topics).await?;
    let opened = started.elapsed();
    let after = hub.memory()?;
    println!("{count} subscribers opened in {:.2} s", opened.as_secs_f64());
    println!(
        "memory per subscriber: {:.2} KB resident, {:.2} KB of the kernel's TCP memory (both ends)",
        (after.resident - before.resident) as f64 / count as f64 / 1000.0,
        (after.kernel - before.kernel) as f64 / count as f64 / 1000.0,
    );

    let cpu = hub.cpu()?;
    let published = Instant::now();
    if own_topics {
        for number in 0..count {
            publish(&hub.address, &format!("idle/{number}")).await?;
        }
    } else {
        publish(&hub.address, "idle").await?;
    }
    let mut readers = JoinSet::new();
    for stream in streams {
        readers.spawn(receive(stream));
    }
    while let Some(read) = readers.join_next().await {
        read??;
    }
    let took = published.elapsed();
    let cpu = hub.cpu()? - cpu;
    println!(
        "{count} deliveries, none lost, none doubled: {:.1} ms until the last was read, {:.2} µs of \
         the hub's CPU each",
        took.as_secs_f64() * 1e3,
        cpu.as_secs_f64() * 1e6 / count as f64,
    );
    Ok(())
}

/// A hub in a process of its own, ended with this one.
struct Hub {
    child: Child,
    address: String,
}

#[derive(Clone, Copy)]
struct Memory {
    resident: i64,
    kernel: i64,
}

impl Hub {
    fn start(program: &str) -> Result<Self, Failure> {
        let mut child = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("the hub has no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let first = lines.next().ok_or("the hub says nothing")??;
        let address = first.split_once("http://").ok_or("the hub names no address")?.1.to_owned();
        // Read on, so that the hub never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, address })
    }

    fn memory(&self) -> Result<Memory, Failure> {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id()))?;
        let line = rollup.lines().find(|line| line.starts_with("Rss:")).ok_or("no Rss")?;
        let kib: i64 = line.split_whitespace().nth(1).ok_or("no Rss")?.parse()?;
        let sockets = fs::read_to_string("/proc/net/sockstat")?;
        let tcp = sockets.lines().find(|line| line.starts_with("TCP:")).ok_or("no TCP")?;
        let pages: i64 = tcp.rsplit(' ').next().ok_or("no TCP memory")?.parse()?;
        Ok(Memory { resident: kib * 1024, kernel: pages * 4096 })
    }

    /// CPU time, user and system, in the kernel's ticks of 10 ms.
    fn cpu(&self) -> Result<Duration, Failure> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields = stat.rsplit_once(')').ok_or("no stat")?.1;
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks = ticks.map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        Ok(Duration::from_millis(ticks * 10))
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // It is our own child; that it is gone already is no matter.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn open_all(address: &str, count: usize, own: bool) -> Result<Vec<TcpStream>, Failure> {
    let mut streams = Vec::with_capacity(count);
    let mut opening = JoinSet::new();
    for number in 0..count {
        let topic = if own { format!("idle/{number}") } else { "idle".to_owned() };
        opening.spawn(open(address.to_owned(), topic));
        if opening.len() == OPENING_MAX
            && let Some(opened) = opening.join_next().await
        {
            streams.push(opened??);
        }
    }
    while let Some(opened) = opening.join_next().await {
        streams.push(opened??);
    }
    Ok(streams)
}

/// Opens a stream and reads its head and its preamble.
async fn open(address: String, topic: String) -> Result<TcpStream, Failure> {
    let mut stream = TcpStream::connect(&address).await?;
    let request = format!("GET /topics/{topic} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let text = read_until(&mut stream, "retry: 2000\n\r\n").await?;
    if !text.starts_with("HTTP/1.1 200 OK\r\n") {
        return Err(format!("not a stream: {text}").into());
    }
    Ok(stream)
}

/// Reads one event and nothing else.
async fn receive(mut stream: TcpStream) -> Result<(), Failure> {
    let text = read_until(&mut stream, "\n\n\r\n").await?;
    if text.matches("data: ").count() != 1 || !text.contains(DATA) {
        return Err(format!("not the event: {text}").into());
    }
    Ok(())
}

async fn read_until(stream: &mut TcpStream, end: &str) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        let read = timeout(PATIENCE, stream.read_buf(&mut bytes)).await??;
        if read == 0 {
            return Err("the hub closed a stream".into());
        }
    }
    Ok(String::from_utf8(bytes)?)
}

async fn publish(address: &str, topic: &str) -> Result<(), Failure> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "POST /topics/{topic} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{DATA}",
        DATA.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await??;
    if !answer.starts_with("HTTP/1.1 201 ") {
        return Err(format!("not published: {answer}").into());
    }
    Ok(())
}

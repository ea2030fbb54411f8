//! A long answer of a model that many readers replay, beside live readers of another topic. It writes
//! `bench/record/replayed.md`.
//!
//! The server has one core and the load the other one. The many readers are a process that gives way to the live
//! ones, so that the server decides what these wait for.

mod crowd;
mod live;

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tidings_bench_compare::host::{self, Host};
use tidings_bench_compare::publishing::Published;
use tidings_bench_compare::running::Running;
use tidings_bench_compare::stats::Middle;
use tidings_bench_compare::{install, process, root};

/// Tokens of the answer, and their size.
const TOKENS: usize = 20_000;
const TOKEN_BYTES: usize = 100;
/// Readers that replay it at the same time, and live ones.
const READERS: usize = 1_000;
const LIVE: usize = 100;
/// The cores of the server and of the load.
const SERVER_CORE: u32 = 0;
const CORE: u32 = 1;

/// Replay a long answer to many readers beside live ones.
#[derive(Debug, Parser)]
#[command(name = "replayed")]
struct Args {
    /// Rounds: in each, the live readers are measured alone and beside the others.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    rounds: u64,

    /// Time of each measurement, in seconds.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,

    /// Program to measure, such as an earlier build [default: build this one for release].
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,

    /// File for the record [default: bench/record/replayed.md for this build, else a file in bench/compare/target].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Server whose answer many readers replay, instead of everything else: a process of the measurement.
    #[arg(long, value_name = "ADDRESS", hide = true)]
    readers: Option<SocketAddr>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.readers {
        Some(address) => crowd::replay(address).map_err(Into::into),
        None => measure(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("replayed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args) -> Result<(), Box<dyn Error>> {
    let tidings = install::program(args.program.as_deref())?;
    process::pin(std::process::id(), &CORE.to_string())?;
    rlimit::increase_nofile_limit(4096)?;
    let Host { date, processor, cores, memory_gib, kernel, load_average, rustc, tidings: commit } =
        host::describe()?;
    let folder = root().join("bench/compare/target/replayed");
    fs::create_dir_all(&folder)?;
    let address = process::free_address()?;
    let listen = address.to_string();
    let mut command = vec![OsString::from(tidings)];
    command.extend(["serve", "--memory", "--listen", &listen].map(OsString::from));
    let _server = Running::start(SERVER_CORE, &command, address, &folder, "TERM")?;
    publish_answer(address)?;
    let time = Duration::from_secs(args.seconds);
    let mut rounds = Vec::new();
    for number in 0..args.rounds {
        let round = Round::measure(address, time, number % 2 == 0)?;
        println!("p99 is {:.2} ms alone, {:.2} ms beside", round.alone[1], round.beside[1]);
        rounds.push(round);
    }
    let middle = |of: &dyn Fn(&Round) -> f64| {
        Middle::of(rounds.iter().map(of)).map_or(f64::NAN, |middle| middle.median)
    };
    let row = |name: &str, of: fn(&Round) -> [f64; 2]| {
        let [p50, p99] = [0, 1].map(|at| middle(&|round| of(round)[at]));
        format!("| {name} | {p50:.2} | {p99:.2} |\n")
    };
    let ratio = |round: &Round| round.beside[1] / round.alone[1];
    let ratios: Vec<_> = rounds.iter().map(|round| format!("{:.2}", ratio(round))).collect();
    let text = format!(
        "# A long answer that is replayed, beside live readers\n\n```\n\
         cargo run --release --manifest-path bench/compare/Cargo.toml --bin replayed\n```\n\n\
         {date}. {cores} cores of {processor}, {memory_gib} GiB, {kernel}; load average {load_average} when it began. \
         {rustc}. Tidings at {commit}.\n\n\
         An answer of {TOKENS} tokens of {TOKEN_BYTES} bytes each is held in memory. {READERS} readers replay it from its \
         beginning to its end, again and again, while {LIVE} readers of another topic are sent an event every 20 ms; the \
         time from its publish to each of them. The server has core {SERVER_CORE}, the load core {CORE}, where the many readers \
         give way to the live ones. Medians of {} rounds, in which the live readers are measured alone and beside the others, \
         the one or the other first, for {} seconds each.\n\n\
         | live readers | p50, ms | p99, ms |\n| --- | ---: | ---: |\n{}{}\n\
         p99 beside them is {:.2} × that alone (target: 1.5; each round: {}). {:.0} answers were replayed each second, \
         {:.0} MB/s.\n",
        args.rounds,
        args.seconds,
        row("alone", |round| round.alone),
        row(&format!("beside {READERS} that replay"), |round| round.beside),
        middle(&ratio),
        ratios.join(", "),
        middle(&|round| round.answers),
        middle(&|round| round.bytes) / 1e6,
    );
    print!("{text}");
    let name = match args.program {
        Some(_) => "bench/compare/target/replayed.md",
        None => "bench/record/replayed.md",
    };
    fs::write(args.out.clone().unwrap_or_else(|| root().join(name)), text)?;
    Ok(())
}

/// The findings of one round: p50 and p99 in milliseconds, and the answers and bytes replayed each second.
struct Round {
    alone: [f64; 2],
    beside: [f64; 2],
    answers: f64,
    bytes: f64,
}

impl Round {
    fn measure(address: SocketAddr, time: Duration, is_alone_first: bool) -> io::Result<Self> {
        let millis = |it: &Published| [0.5, 0.99].map(|part| it.millis(part));
        let alone = || live::measure(address, time).map(|it| millis(&it));
        let first = if is_alone_first { Some(alone()?) } else { None };
        let crowd = crowd::start(address)?;
        let beside = live::measure(address, time)?;
        let (answers, bytes) = crowd::finish(crowd)?;
        let [answers, bytes] = [answers, bytes].map(|count| count as f64 / beside.seconds);
        let alone = first.map_or_else(alone, Ok)?;
        Ok(Self { alone, beside: millis(&beside), answers, bytes })
    }
}

/// Publishes the answer as a stream that has ended.
fn publish_answer(address: SocketAddr) -> io::Result<()> {
    let token = format!("data: {}\n\n", "x".repeat(TOKEN_BYTES));
    let body = token.repeat(TOKENS);
    let mut socket = TcpStream::connect(address)?;
    write!(
        socket,
        "POST /events?topic=answer&begin&end HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: text/event-stream\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    match answer.starts_with("HTTP/1.1 2") {
        true => Ok(()),
        false => Err(io::Error::other(format!("publishing was answered: {answer}"))),
    }
}

//! The hub is killed at random moments, again and again, and what it has acknowledged is there.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::folder::{Scratch, dumped, journal_prints};
use crate::program::{Program, drill_within, lasting_address, tidings};
use crate::publisher::{Acknowledged, publish};
use crate::reader::Reader;

/// The variable that sets the number of rounds, each of which ends with SIGKILL.
const ROUNDS: &str = "TIDINGS_CRASH_ROUNDS";
/// One in so many rounds kills the program while it starts, too.
const KILLED_AT_START: u32 = 4;
const PUBLISHERS: usize = 4;
/// The largest request of each publisher: single events, and arrays that are committed whole.
const BATCH_MAX: [usize; PUBLISHERS] = [1, 1, 5, 50];
/// The data of the last event.
const END: &str = "end";

/// Returns the number of rounds: 20, or as many as the variable says.
pub(crate) fn rounds() -> u32 {
    std::env::var(ROUNDS).map_or(20, |number| number.parse().unwrap())
}

/// Runs a drill of so many rounds.
pub(crate) fn crash_drill(claim: impl Future<Output = ()>) {
    /// A round takes some tenths of a second. The timeout allows for a busy machine.
    const ROUND_MAX: Duration = Duration::from_secs(15);
    drill_within(ROUND_MAX * rounds(), claim);
}

/// Waits for a random time, which is shorter than any commit or longer than many.
pub(crate) async fn pass(random: &mut fastrand::Rng, longest: Duration) {
    let until = Instant::now() + longest.mul_f64(random.f64().powi(3));
    while Instant::now() < until {
        tokio::task::yield_now().await;
    }
}

/// An event that a reader received.
struct Received {
    publisher: usize,
    number: usize,
    id: String,
}

/// Reads everything up to the end, and resumes whenever the connection breaks. Returns the events and
/// the number of gaps.
///
/// # Panics
///
/// If an event is missing without a gap, comes twice, or comes out of order.
async fn read(address: SocketAddr, path: &str) -> (Vec<Received>, usize) {
    let (mut received, mut gaps) = (Vec::new(), 0);
    let mut due = [0; PUBLISHERS];
    // The publishers whose next event may be a later one, because of a gap.
    let mut may_miss = [false; PUBLISHERS];
    let mut last_event_id = Some("earliest".to_owned());
    loop {
        let opened = Reader::open(address, path, last_event_id.clone()).await;
        let Ok(mut reader) = opened else {
            tokio::task::yield_now().await;
            continue;
        };
        assert_eq!(reader.status, 200);
        while let Ok(Some(event)) = reader.try_next().await {
            let id = event.id().unwrap().to_owned();
            last_event_id = Some(id.clone());
            match (event.event_type(), event.data()) {
                ("gap", _) => (gaps, may_miss) = (gaps + 1, [true; PUBLISHERS]),
                (_, END) => return (received, gaps),
                (_, data) => {
                    let (publisher, number) = data.trim_end().split_once(' ').unwrap();
                    let publisher: usize = publisher.parse().unwrap();
                    let number: usize = number.parse().unwrap();
                    let (due, may_miss) = (&mut due[publisher], &mut may_miss[publisher]);
                    let is_due = number == *due || *may_miss && number > *due;
                    assert!(is_due, "{data:?} where {due} was due, {gaps} gaps");
                    (*due, *may_miss) = (number + 1, false);
                    received.push(Received { publisher, number, id });
                }
            }
        }
    }
}

/// Kills a program that has just been started, before or after it listens.
fn kill_at_start(random: &mut fastrand::Rng, address: &str, data: &[&str]) {
    const LONGEST: Duration = Duration::from_millis(60);
    let mut starting = tidings();
    starting.args(["serve", "--listen", address]).args(data).stdout(Stdio::null());
    let mut starting = starting.spawn().unwrap();
    let until = Instant::now() + LONGEST.mul_f64(random.f64());
    while Instant::now() < until && starting.try_wait().unwrap().is_none() {}
    starting.kill().unwrap();
    starting.wait().unwrap();
}

/// Runs the rounds, and returns the IDs of each publisher's events and the number of gaps that readers
/// were told of.
async fn crash(args: &[&str], blanks: usize, seed: u64) -> (Vec<Vec<String>>, usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let address = lasting_address();
    let mut program = Program::start_at(address, args);
    let acknowledged = Acknowledged::new(address, PUBLISHERS, blanks);
    let mut publishers = JoinSet::new();
    for (publisher, batch_max) in BATCH_MAX.into_iter().enumerate() {
        publishers.spawn(publish(Arc::clone(&acknowledged), publisher, batch_max, random.fork()));
    }
    let mut readers = JoinSet::new();
    for path in ["/events?match=**", "/events?topic=t0&topic=t3&topic=end", "/events?match=*"] {
        readers.spawn(read(address, path));
    }
    for _ in 0..rounds() {
        acknowledged.more(random.u64(1..300)).await;
        pass(&mut random, Duration::from_millis(20)).await;
        program.kill();
        if random.u32(..KILLED_AT_START) == 0 {
            kill_at_start(&mut random, &address.to_string(), args);
        }
        program = Program::start_at(address, args);
    }
    acknowledged.more(1).await;
    acknowledged.end();
    while let Some(ended) = publishers.join_next().await {
        ended.unwrap();
    }
    program.publish("end", END).await;
    let ids: Vec<_> = (0..PUBLISHERS).map(|publisher| acknowledged.of(publisher)).collect();
    let mut gaps = 0;
    while let Some(read) = readers.join_next().await {
        let (received, told) = read.unwrap();
        for event in received {
            assert_eq!(ids[event.publisher][event.number], event.id);
        }
        gaps += told;
    }
    program.stop();
    (ids, gaps)
}

#[test]
fn acknowledged_events_survive_sigkill_once_and_in_order_and_resumed_readers_miss_none() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    crash_drill(async {
        let scratch = Scratch::new();
        let folder = scratch.path("data");
        let (ids, gaps) = crash(&["--data", &folder], 0, seed).await;
        assert_eq!(gaps, 0);
        let checked = journal_prints("check", &folder);
        assert!(checked.starts_with("sound: "), "{checked}");
        let held = dumped(&folder);
        for (publisher, ids) in ids.iter().enumerate() {
            let event =
                |(number, id): (usize, &String)| (format!("{publisher} {number}"), id.clone());
            let published: Vec<_> = ids.iter().enumerate().map(event).collect();
            assert_eq!(held[&format!("t{publisher}")], published);
        }
    });
}

/// Makes events so large that the folder holds a part of them.
const BLANKS: usize = 4000;

#[test]
fn readers_that_are_overtaken_across_sigkill_are_told() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    crash_drill(async {
        let scratch = Scratch::new();
        let folder = scratch.path("data");
        let small = ["--data", &folder, "--history-bytes", "2MiB", "--memory-bytes", "64KiB"];
        let (ids, _) = crash(&small, BLANKS, seed).await;
        journal_prints("check", &folder);
        let held = dumped(&folder);
        let mut evicted = 0;
        for (publisher, ids) in ids.iter().enumerate() {
            let held = &held[&format!("t{publisher}")];
            let held_ids: Vec<_> = held.iter().map(|(_, id)| id.clone()).collect();
            assert!(ids.ends_with(&held_ids));
            evicted += ids.len() - held_ids.len();
        }
        assert!(evicted > 0);
    });
}

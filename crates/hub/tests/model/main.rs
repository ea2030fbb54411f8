//! The hub against a model that keeps everything.
//!
//! Random schedules of publishing, subscribing, reading, leaving, coming back, evicting and ending. The
//! readers are async subscribers, the slots of a shard whose tap drops at random, and streams taken byte
//! by byte and cut off anywhere. In half of the schedules something is evicted between any two steps, by
//! count, bytes or age. No event is lost, doubled, out of order or misdelivered; every eviction that
//! concerns a reader is told it, and no other.
//!
//! Two hundred schedules by default. `TIDINGS_MODEL_SEEDS=10000 cargo test -p tidings-hub --release --test
//! model` runs more; a schedule that fails prints its seed, and `TIDINGS_MODEL_FIRST_SEED` repeats it.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod bytewise;
mod reference;
mod schedule;

use std::collections::BTreeMap;
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::schedule::Schedule;

/// How often the schedules met what they are there for.
#[derive(Debug, Default)]
pub(crate) struct Counts(BTreeMap<&'static str, u64>);

impl Counts {
    pub(crate) fn add(&mut self, what: &'static str, count: u64) {
        *self.0.entry(what).or_default() += count;
    }
}

/// How many schedules CI runs.
const SEEDS: u64 = 200;

/// What must have happened, or the schedules show less than they claim.
const MET: [&str; 16] = [
    "dropped taps",
    "duplicates",
    "ends",
    "evictions by age",
    "evictions by bytes",
    "evictions by count",
    "foreign epochs",
    "gaps",
    "merged filters",
    "places past the tail",
    "places without an event",
    "publisher-given IDs",
    "resumes",
    "runs passed over",
    "runs taken whole",
    "streams cut in an event",
];

#[expect(clippy::disallowed_methods, reason = "a test's parameters come from its command line")]
fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn t42_nothing_is_lost_doubled_or_told_falsely_on_any_schedule() {
    let first = number("TIDINGS_MODEL_FIRST_SEED", 0);
    let seeds = number("TIDINGS_MODEL_SEEDS", SEEDS);
    let next = AtomicU64::new(first);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut counts = Counts::default();
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..threads).map(|_| scope.spawn(|| run(&next, first + seeds))).collect();
        for thread in threads {
            let met = thread.join().expect("the schedule above failed");
            met.0.into_iter().for_each(|(what, count)| counts.add(what, count));
        }
    });
    println!("seeds {first} to {} met {:#?}", first + seeds - 1, counts.0);
    // A few seeds, repeated by hand, need not meet everything.
    for what in MET.iter().filter(|_| seeds >= SEEDS) {
        assert!(counts.0.get(what).is_some_and(|count| *count > 0), "no schedule met {what}");
    }
}

/// Runs one schedule after the other, up to the seed `end`.
fn run(next: &AtomicU64, end: u64) -> Counts {
    const STEPS: usize = 400;
    let mut counts = Counts::default();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return counts;
        }
        match catch_unwind(AssertUnwindSafe(|| Schedule::new(seed).run(STEPS))) {
            Ok(met) => met.0.into_iter().for_each(|(what, count)| counts.add(what, count)),
            Err(_) => panic!(
                "seed {seed} failed: TIDINGS_MODEL_FIRST_SEED={seed} TIDINGS_MODEL_SEEDS=1 repeats it"
            ),
        }
    }
}

//! A hub against a model that keeps everything.
//!
//! Random schedules of publishing, ending, evicting and stepping the time, and readers of any kind that
//! read, leave, come back and are cut off meanwhile. No event is lost, doubled, out of order or
//! misdelivered; every reader that an eviction concerns is told of it, and no other.
//!
//! Each kind of [`Readers`] is a test of its own, where its code lies: the hub's subscribers, bodies and
//! pages, the slots of the server's shards. [`run`] says how to repeat a schedule.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod driver;
mod expectation;
mod publishing;
mod reference;
mod restarting;
mod rules;
mod schedule;
mod starting;
mod streaming;
mod streams;
mod text;

use std::collections::BTreeMap;
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

pub use self::expectation::Expectation;
pub use self::reference::{Known, Reference};
pub use self::schedule::{Readers, Schedule};
pub use self::text::Text;

/// How often schedules met what they are there for.
#[derive(Debug, Default)]
pub struct Counts(BTreeMap<&'static str, u64>);

impl Counts {
    /// Counts something that a schedule met.
    pub fn add(&mut self, what: &'static str, count: u64) {
        *self.0.entry(what).or_default() += count;
    }

    fn add_all(&mut self, met: Self) {
        met.0.into_iter().for_each(|(what, count)| self.add(what, count));
    }
}

/// Cases that every kind of readers must meet, or the schedules show less than they claim.
const MET: [&str; 18] = [
    "changes of rules",
    "duplicates",
    "ends",
    "entries fed late",
    "evictions by age",
    "evictions by bytes",
    "evictions by changes of rules",
    "evictions by count",
    "evictions of the journal",
    "foreign epochs",
    "gaps",
    "merged filters",
    "places past the feed",
    "places past the tail",
    "publisher-given IDs",
    "reads of the journal",
    "resumes",
    "streams cut in an event",
];

fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

/// Runs the schedules of `seeds` seeds on all processors. They must meet the usual cases, and those in `met`.
///
/// `TIDINGS_MODEL_SEEDS=10000` runs more of them. A schedule that fails prints its seed, and
/// `TIDINGS_MODEL_FIRST_SEED` repeats it.
///
/// # Panics
///
/// If a schedule fails, or a case was not met.
pub fn run<R: Readers>(seeds: u64, met: &[&str]) {
    let first = number("TIDINGS_MODEL_FIRST_SEED", 0);
    let run = number("TIDINGS_MODEL_SEEDS", seeds);
    let next = AtomicU64::new(first);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut counts = Counts::default();
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..threads).map(|_| scope.spawn(|| run_until::<R>(&next, first + run))).collect();
        for thread in threads {
            counts.add_all(thread.join().expect("the schedule above failed"));
        }
    });
    println!("seeds {first} to {} met {:#?}", first + run - 1, counts.0);
    // A few seeds, repeated by hand, need not meet everything.
    for what in MET.iter().chain(met).filter(|_| run >= seeds) {
        assert!(counts.0.get(what).is_some_and(|count| *count > 0), "no schedule met {what}");
    }
}

/// Runs the schedules of some seeds again, which failed once. What they meet is not checked.
///
/// # Panics
///
/// If a schedule fails.
pub fn repeat<R: Readers>(seeds: &[u64]) {
    for &seed in seeds {
        run_until::<R>(&AtomicU64::new(seed), seed + 1);
    }
}

/// Runs one schedule after the other, up to the seed `end`.
fn run_until<R: Readers>(next: &AtomicU64, end: u64) -> Counts {
    const STEPS: usize = 400;
    let mut counts = Counts::default();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return counts;
        }
        match catch_unwind(AssertUnwindSafe(|| Schedule::run::<R>(seed, STEPS))) {
            Ok(met) => counts.add_all(met),
            Err(_) => panic!(
                "seed {seed} failed: TIDINGS_MODEL_FIRST_SEED={seed} TIDINGS_MODEL_SEEDS=1 repeats it"
            ),
        }
    }
}

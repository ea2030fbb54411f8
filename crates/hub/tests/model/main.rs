//! The hub against a model that keeps everything.
//!
//! Random schedules of publishing, subscribing, reading, leaving, coming back, evicting and ending,
//! by async subscribers and by a shard whose tap drops at random: no event is lost, doubled, out of
//! order or misdelivered; every eviction that concerns a reader is told it, and no other. Two hundred
//! schedules by default; `TIDINGS_MODEL_SEEDS=10000 cargo test -p tidings-hub --release --test model`
//! runs more, and `TIDINGS_MODEL_FIRST_SEED` repeats one that failed.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod reference;
mod schedule;

use std::env;

use crate::schedule::Schedule;

/// What the schedules met; each must have happened.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    evictions: u64,
    gaps: u64,
    resumes: u64,
    dropped_taps: u64,
    merged: u64,
    duplicates: u64,
    ends: u64,
    runs_taken: u64,
    runs_past: u64,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.evictions += other.evictions;
        self.gaps += other.gaps;
        self.resumes += other.resumes;
        self.dropped_taps += other.dropped_taps;
        self.merged += other.merged;
        self.duplicates += other.duplicates;
        self.ends += other.ends;
        self.runs_taken += other.runs_taken;
        self.runs_past += other.runs_past;
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's parameters come from its command line")]
fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn t42_nothing_is_lost_doubled_or_told_falsely_on_any_schedule() {
    const STEPS: usize = 400;
    let first = number("TIDINGS_MODEL_FIRST_SEED", 0);
    let seeds = number("TIDINGS_MODEL_SEEDS", 200);
    let mut counts = Counts::default();
    for seed in first..first + seeds {
        // Printed only if this schedule fails.
        println!("seed {seed}");
        counts.add(&Schedule::new(seed).run(STEPS));
    }
    println!("{seeds} schedules met {counts:?}");
    let Counts {
        evictions,
        gaps,
        resumes,
        dropped_taps,
        merged,
        duplicates,
        ends,
        runs_taken,
        runs_past,
    } = counts;
    for (what, count) in [
        ("evictions", evictions),
        ("gaps", gaps),
        ("resumes", resumes),
        ("dropped taps", dropped_taps),
        ("merged filters", merged),
        ("duplicates", duplicates),
        ("ends", ends),
        ("runs taken whole", runs_taken),
        ("runs passed over", runs_past),
    ] {
        assert!(count > 0, "no schedule met {what}");
    }
}

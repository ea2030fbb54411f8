//! The hub's readers against the testkit's model, on random schedules.
//!
//! They are async subscribers, and streams taken byte by byte and cut off anywhere; the reference asks
//! by pages what is held. The slots of shards are tested where shards are, in the server's engine. In half of the
//! schedules something is evicted between any two steps, by count, bytes or age.
//!
//! `TIDINGS_MODEL_SEEDS=10000 cargo test -p tidings-hub --release --test model` runs more schedules.

mod bytewise;
mod readers;

use tidings_testkit::model::{repeat, run};

use crate::readers::AsyncReaders;

#[test]
fn t42_nothing_is_lost_doubled_or_told_falsely_on_any_schedule() {
    run::<AsyncReaders>(
        200,
        &[
            "beginnings and ends sent again",
            "ends of streams",
            "evictions by age beneath memory",
            "evictions by rules beneath memory",
            "looks at streams",
            "open streams read back",
            "places without an event",
            "reads by pages",
            "requests of a producer sent again",
            "requests to streams refused",
            "restarts",
            "stops of streams",
            "streams that nobody went on with",
        ],
    );
}

/// A reader was taken for asleep that had just been woken by the journal, and was to be polled again.
#[test]
fn schedules_with_readers_woken_by_the_journal_pass() {
    repeat::<AsyncReaders>(&[1_001_758, 1_003_870]);
}

/// A reader had skipped events because it was behind, and then the rules changed, so that it could have skipped none.
#[test]
fn schedules_with_events_skipped_before_rules_changed_pass() {
    repeat::<AsyncReaders>(&[701_612, 1_000_985, 1_001_522, 2_000_414, 5_000_408, 8_001_317]);
}

/// The hub had so little room that it forgot topics. Readers of one that it does not know are told of a gap if their
/// place is before the newest loss of those, which may not have been a loss of theirs.
#[test]
fn schedules_with_forgotten_topics_pass() {
    repeat::<AsyncReaders>(&[1_003_081, 5_000_302, 5_001_856, 5_002_429, 8_001_328]);
}

/// An event of several topics was evicted from one of them, and superseded in the last one that held it, so that
/// readers of both were not told.
#[test]
fn schedules_that_have_failed_pass() {
    repeat::<AsyncReaders>(&[100_083, 100_268]);
}

/// A hub that was opened sent events once more that had reached their age while it was closed.
#[test]
fn schedules_with_ages_that_pass_while_the_hub_is_closed_pass() {
    repeat::<AsyncReaders>(&[1151]);
}

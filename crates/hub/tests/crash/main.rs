//! The journal on disk under crashes, damage and failures.
//!
//! After a crash at any moment, damage to any byte, or a failure of the disk, every acknowledged event is
//! there, in order and once, or its loss is reported.
//!
//! A random test that fails prints its seed. `TIDINGS_CRASH_SEEDS=1000 cargo test -p tidings-hub --release
//! --test crash` runs more seeds, and `TIDINGS_CRASH_FIRST_SEED` repeats one.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod cleaning;
mod copied_log;
mod copies;
mod crashes;
mod damaged;
mod disk;
mod dropped;
mod failures;
mod fixture;
mod freed;
mod hubs;
mod keys;
mod notes;
mod reading;
mod stats;
mod streams;
mod support;
mod told;
mod torn;

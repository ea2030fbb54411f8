//! Several hubs on one scripted store: acknowledgements that are lost, late or doubled, messages that come
//! again or are gone, hubs that start again, and a past that changes.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod cluster;
#[path = "../crash/disk.rs"]
#[allow(dead_code, reason = "crash tests use all of it")]
mod disk;
mod folders;
mod formats;
mod freed;
mod losses;
mod past;
mod property;
mod races;
mod store;
mod streams;

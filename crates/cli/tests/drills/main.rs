//! Failure drills: the real program, in a process of its own, under crowds and failures.
//!
//! Nothing here depends on the speed of the machine, except for the timeout of a drill that hangs.
//! The resources of a process are read from Linux's `/proc`, so other systems have nothing to
//! check.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod array;
mod attempts;
mod authority;
mod behind;
mod crash;
mod crash_relay;
mod descriptors;
mod disk;
mod folder;
mod herd;
mod key_set;
mod leak;
mod log;
mod program;
mod publisher;
mod reader;
mod reload;
mod revoked;
mod stalled;
mod tls;
mod token;
mod unread;
mod written;

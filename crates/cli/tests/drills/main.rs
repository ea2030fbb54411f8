//! Failure drills: the real program in a process of its own, and what crowds and bad luck do to it.
//!
//! Nothing here depends on how fast the machine is, but for the time after which a drill that hangs is
//! given up. Linux tells what a process holds; elsewhere there is nothing to look at.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod descriptors;
mod herd;
mod leak;
mod program;
mod reader;
mod stalled;

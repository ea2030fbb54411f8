//! Streams within a topic: each begins, has events, and ends, and its end is told to its readers.
//!
//! `request` is how a publisher asks, `mark` is kept of a stream between its events; `state` and `decided`
//! decide what belongs to it, and are pure; `signal` tells of stops; `shared` holds the streams of a hub.
//! The hub's own part is `appending.rs`, which submits what was decided, and `hub/streams.rs`, which reads streams
//! back and ends them.

mod decided;
mod mark;
mod request;
mod shared;
mod signal;
mod state;

pub use self::mark::{EndNotice, Producer, StreamClose, StreamMark, StreamOptions, StreamReason};
pub use self::request::{Append, StreamRefused, StreamTurn};
pub(crate) use self::shared::{SharedStreams, answer_of, poll_outcomes};
pub(crate) use self::state::{Committed, Failure, Verdict};

//! Streams within a topic: each begins, has events, and ends, and its end is told to its readers.
//!
//! `request` is how a publisher asks, `mark` is kept of a stream between its events; `deciding` decides what
//! belongs to a stream by its `decided` state, and `state` has all of them; they are pure; `freeing` ends and frees them in time; `signal` tells of stops; `shared` holds the streams of a hub.
//! On a journal that several hubs share, requests are decided where they come to stand: `ask` is what is written of
//! them, `order` decides, and `follow` brings the hub's state up to what was decided.
//! The hub's own part is `appending.rs`, which submits what was decided, and `hub/streams.rs`, which reads streams
//! back and ends them.

mod ask;
mod committed;
mod decided;
mod deciding;
mod failure;
mod follow;
mod freeing;
mod indexes;
mod mark;
mod of_topic;
#[cfg(feature = "shared")]
mod order;
mod parts;
mod places;
mod request;
mod restoring;
mod shared;
mod signal;
mod state;
mod telling;

pub use self::ask::{Ask, SeenStream, StreamDates, StreamState};
pub(crate) use self::committed::{Committed, IndexedAt, Stretch};
#[cfg(feature = "disk")]
pub(crate) use self::decided::Decided;
pub(crate) use self::failure::Failure;
pub use self::mark::{EndNotice, Producer, StreamClose, StreamMark, StreamOptions, StreamReason};
pub(crate) use self::of_topic::Freed;
#[cfg(feature = "shared")]
pub(crate) use self::order::{Order, Reader, Taken};
pub(crate) use self::places::Counted;
pub use self::request::{Append, StreamRefused, StreamTurn};
pub(crate) use self::shared::{SharedStreams, answer_of, poll_outcomes};
pub(crate) use self::state::{Streams, Verdict};
pub(crate) use self::telling::Older;

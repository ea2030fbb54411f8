//! The guide: a page for each subject. There is no code in this module.
//!
//! | page | subject |
//! | --- | --- |
//! | [`publishing`] | topics, drafts, errors, idempotency, JSON |
//! | [`subscribing`] | views, event streams, events themselves, other servers than axum |
//! | [`resuming`] | event IDs, `Last-Event-ID`, the place before the first event |
//! | [`gaps`] | when a subscriber is told that it lost events, and how |
//! | [`emitters`] | streams per user, with timeouts and hooks |
//! | [`own_streams`] | streams of one reader alone, and events changed on their way |
//! | [`retention`] | what history holds |
//! | [`driving`] | heartbeats, timeouts and ages, under any executor |
//! | [`draining`] | shutting down with open streams |
//! | [`axum`] | the feature `axum` |
//! | [`testing`] | tests of your handlers, without waiting |
//! | [`limits`] | every maximum, and what is left to the program |

pub mod axum;
pub mod draining;
pub mod driving;
pub mod emitters;
pub mod gaps;
pub mod limits;
pub mod own_streams;
pub mod publishing;
pub mod resuming;
pub mod retention;
pub mod subscribing;
pub mod testing;

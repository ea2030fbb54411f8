//! Parts that the workspace's tests share. Nothing here is published.
//!
//! - [`model`]: random schedules, a reference that keeps everything, and what it expects of readers.
//! - [`stepped`]: a hub in stepped time, and its streams piece by piece.
//! - [`stepped_journal`]: a journal that answers first, feeds later, and reads when it is told to.
//! - [`threads`]: publishers and readers on real threads.
//! - [`waker`]: wakers that remember whether and how often they were woken.

pub mod model;
pub mod stepped;
pub mod stepped_journal;
pub mod threads;
pub mod waker;

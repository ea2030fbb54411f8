//! Parts that the workspace's tests share. Nothing here is published.
//!
//! - [`shard`]: a shard without sockets, by the rules that the real ones follow.
//! - [`stepped`]: a hub in stepped time, and its streams piece by piece.
//! - [`waker`]: wakers that remember whether and how often they were woken.

pub mod shard;
pub mod stepped;
pub mod waker;

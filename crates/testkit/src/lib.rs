//! Parts that the workspace's tests share. Nothing here is published.
//!
//! - [`shard`]: a shard without sockets, by the rules that the real ones follow.
//! - [`waker`]: a waker that remembers whether it was woken.

pub mod shard;
pub mod waker;

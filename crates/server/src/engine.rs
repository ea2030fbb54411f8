//! The delivery engine: shards, each a thread with its own epoll, and the sockets they have taken over.
//!
//! ```text
//! connection ──take over──▶ Engine ──▶ Shard (slots, sweeps)   hub.publish ──▶ tap ──▶ wake
//!                                        ▲        │                                     │
//!                              thread ───┘        └──▶ sockets ◀── small turns, inline ─┘
//! ```
//!
//! The logic of a shard is in [`shard`], without threads and clocks; [`thread`] runs it.

pub(crate) mod ended_within;
pub(crate) mod failure;
mod gathered;
mod lists;
mod multi_lists;
mod place;
pub(crate) mod reason;
mod shard;
mod slot;
mod socket;
pub(crate) mod stream_spec;
pub(crate) mod streams;
pub(crate) mod subject;
mod sweep;
#[cfg(test)]
mod tests;
mod thread;

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidings_hub::engine::Reader;
use tidings_hub::{Hub, Start, View};

use self::failure::Failure;
pub(crate) use self::gathered::Framing;
use self::reason::Reason;
use self::shard::ShardConfig;
pub(crate) use self::slot::{Adopted, Subscription};
pub(crate) use self::socket::ShardSocket;
use self::streams::StreamPermit;
use self::subject::Subject;
pub(crate) use self::thread::Seen;
use self::thread::ShardThread;
use crate::config::ServerConfig;

/// All shards of a server.
#[derive(Debug)]
pub(crate) struct Engine {
    shards: Vec<ShardThread>,
    next: AtomicUsize,
    failure: Arc<Failure>,
}

impl Engine {
    /// Starts a shard for each core.
    pub(crate) fn start(hub: &Hub, config: &ServerConfig) -> io::Result<Self> {
        let config = ShardConfig::new(config, hub.config());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let failure = Arc::<Failure>::default();
        let start = |_| ShardThread::start(hub, config.clone(), Arc::clone(&failure));
        let shards = (0..cores).map(start).collect::<io::Result<_>>()?;
        Ok(Self { shards, next: AtomicUsize::new(0), failure })
    }

    /// The failure of a shard, if there is one.
    pub(crate) fn failure(&self) -> &Failure {
        &self.failure
    }

    /// Makes the thread of one shard panic.
    #[cfg(test)]
    pub(crate) fn break_one(&self) {
        self.shards[0].break_thread();
    }

    /// Subscribes for a slot of one of the shards, which take turns.
    pub(crate) fn subscribe(&self, view: &View, start: Start) -> (usize, Reader) {
        let shard = self.next.fetch_add(1, Ordering::Relaxed) % self.shards.len();
        (shard, self.shards[shard].subscribe(view, start))
    }

    /// Hands a socket to the shard that subscribed for it.
    pub(crate) fn adopt(&self, shard: usize, adopted: Adopted<ShardSocket, StreamPermit>) {
        self.shards[shard].adopt(adopted);
    }

    /// How many shards there are.
    pub(crate) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// How many streams there are.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(ShardThread::len).sum()
    }

    /// Visits a portion of a shard's streams, starting at a number, until `visit` breaks off; returns
    /// the number of the next portion.
    pub(crate) fn see(
        &self,
        shard: usize,
        from: usize,
        questions: usize,
        visit: impl FnMut(Seen<'_>) -> ControlFlow<()>,
    ) -> Option<usize> {
        self.shards[shard].see(from, questions, visit)
    }

    /// Closes all streams of a subject.
    pub(crate) fn close_subject(&self, subject: &Subject) {
        self.close_some(|seen| seen.subjects().contains(&Some(subject)));
    }

    /// Closes the selected streams.
    pub(crate) fn close_some(&self, is_selected: impl Fn(Seen<'_>) -> bool) {
        self.shards.iter().for_each(|shard| shard.close_some(&is_selected));
    }

    /// Ends all streams, spread over this time.
    pub(crate) fn drain(&self, over: Duration) {
        self.shards.iter().for_each(|shard| shard.drain(over));
    }

    /// The number of slots removed for a reason.
    pub(crate) fn ended(&self, reason: Reason) -> u64 {
        self.shards.iter().map(|shard| shard.ended(reason)).sum()
    }
}

//! The handshakes of a server, bounded in number and in their share of the processor.
//!
//! A handshake costs as much as thousands of deliveries. So only as many are worked on at a time as
//! half the cores, each until it waits for its client; the others wait for their turn, and deliveries
//! find a free thread. One that has not begun holds nothing but its socket.

use std::io;
use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::net::connections::{ConnectionPermit, Connections};

/// The handshakes of a server.
#[derive(Debug)]
pub(crate) struct Handshakes {
    turns: Semaphore,
    /// Those that have begun. One too many closes the oldest.
    begun: Arc<Connections>,
}

impl Handshakes {
    pub(crate) fn new(begun_max: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { turns: Semaphore::new((cores / 2).max(1)), begun: Connections::new(begun_max) }
    }

    /// Waits for a turn, which ends when it is dropped.
    pub(crate) async fn turn(&self) -> io::Result<SemaphorePermit<'_>> {
        self.turns.acquire().await.map_err(io::Error::other)
    }

    /// Begins a handshake. At the limit, the oldest one is closed.
    pub(crate) fn begin(&self) -> ConnectionPermit {
        self.begun.enter()
    }

    /// The number of handshakes that have begun and not ended.
    pub(crate) fn under_way(&self) -> usize {
        self.begun.heads()
    }
}

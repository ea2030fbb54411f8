//! The failure of a shard.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Whether a shard has failed. What a failed shard was doing is unknown, so it cannot go on, and a
/// server without it would leave its readers without events.
#[derive(Debug, Default)]
pub(crate) struct Failure {
    is_failed: AtomicBool,
    notify: Notify,
}

impl Failure {
    /// Notes that a shard has failed.
    pub(super) fn report(&self) {
        self.is_failed.store(true, Ordering::Release);
        self.notify.notify_waiters();
    }

    pub(crate) fn is_failed(&self) -> bool {
        self.is_failed.load(Ordering::Acquire)
    }

    /// Waits until a shard has failed.
    pub(crate) async fn failed(&self) -> ShardFailed {
        loop {
            // Created before the check, so that a failure in between is not missed.
            let notified = self.notify.notified();
            if self.is_failed() {
                return ShardFailed;
            }
            notified.await;
        }
    }
}

/// The error of a server whose shard has failed.
#[derive(Debug)]
pub(crate) struct ShardFailed;

impl fmt::Display for ShardFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a thread that writes streams has failed, so the server has ended; the log has the cause")
    }
}

impl std::error::Error for ShardFailed {}

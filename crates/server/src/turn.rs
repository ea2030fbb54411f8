//! The turn of a request on its worker thread, which others share.

use tokio::task::yield_now;

/// Bytes that a request may have parsed before others get their turn: a fraction of a millisecond.
pub(crate) const TURN_BYTES: usize = 16 * 1024;

/// The turn of one request.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    bytes: usize,
}

impl Turn {
    /// Counts bytes that were parsed. Lets others have their turn when they are many.
    pub(crate) async fn spend(&mut self, bytes: usize) {
        self.bytes += bytes;
        if self.bytes >= TURN_BYTES {
            self.bytes = 0;
            yield_now().await;
        }
    }
}

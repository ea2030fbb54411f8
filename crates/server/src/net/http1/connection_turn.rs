//! The turns of connections whose clients send request after request.

use tokio::task::yield_now;

/// The requests that one connection has been answered since other connections had a turn.
///
/// The requests of a client that pipelines have arrived whenever they are looked for, so its
/// connection would never wait, and all others would.
#[derive(Debug, Default)]
pub(super) struct ConnectionTurn {
    requests: u32,
    bytes: u64,
}

impl ConnectionTurn {
    /// The maximum number of requests in a turn: about half a millisecond. Ending a turn costs a look at
    /// all sockets, so a client with some dozens of unanswered requests should not come to its end.
    pub(super) const REQUESTS_MAX: u32 = 128;
    /// The maximum number of bytes of bodies in a turn, but for the last body.
    const BYTES_MAX: u64 = 64 * 1024;

    /// Counts a request with its body; at the end of the turn, lets others run.
    pub(super) async fn count(&mut self, body_bytes: u64) {
        self.requests += 1;
        self.bytes = self.bytes.saturating_add(body_bytes);
        if self.requests >= Self::REQUESTS_MAX || self.bytes >= Self::BYTES_MAX {
            *self = Self::default();
            yield_now().await;
        }
    }
}

//! The turns of connections whose clients send request after request.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::task::yield_now;

/// The requests that one connection has been answered since other connections had a turn.
///
/// The requests of a client that pipelines have arrived whenever they are looked for, so its
/// connection would never wait, and all others would.
#[derive(Debug, Default)]
pub(super) struct ConnectionTurn {
    requests: u32,
    bytes: u64,
    /// Whether the hub's time was advanced in it.
    is_dated: bool,
    /// Whether the connection has waited, so that others had a turn.
    is_over: bool,
}

impl ConnectionTurn {
    /// The maximum number of requests in a turn: about half a millisecond. Ending a turn costs a look at
    /// all sockets, so a client with some dozens of unanswered requests should not come to its end.
    pub(super) const REQUESTS_MAX: u32 = 128;
    /// The maximum number of bytes of bodies in a turn, but for the last body.
    const BYTES_MAX: u64 = 64 * 1024;

    /// Returns whether the hub's time has to be advanced for a request: once in a turn, which is shorter than
    /// the milliseconds that dates are made of.
    pub(super) fn needs_date(&mut self) -> bool {
        if self.is_over {
            *self = Self::default();
        }
        !std::mem::replace(&mut self.is_dated, true)
    }

    /// Ends the turn: the connection waits.
    pub(super) fn end(&mut self) {
        self.is_over = true;
    }

    /// Polls a part of the turn, which is over if the part has to wait.
    pub(super) fn poll<F: Future>(
        &mut self,
        part: Pin<&mut F>,
        cx: &mut Context<'_>,
    ) -> Poll<F::Output> {
        let polled = part.poll(cx);
        self.is_over |= polled.is_pending();
        polled
    }

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

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::pin::pin;
    use std::task::Waker;

    use super::*;

    fn spend<F: Future>(turn: &mut ConnectionTurn, part: F) {
        let _ = turn.poll(pin!(part), &mut Context::from_waker(Waker::noop()));
    }

    /// A request that waited for the disk would have dated all that had come with it.
    #[tokio::test]
    async fn time_is_advanced_once_until_the_connection_waits_or_others_have_their_turn() {
        let mut turn = ConnectionTurn::default();
        assert!(turn.needs_date());
        turn.count(1).await;
        spend(&mut turn, ready(()));
        assert!(!turn.needs_date());

        spend(&mut turn, pending::<()>());
        turn.count(1).await;
        assert!(turn.needs_date() && !turn.needs_date());
        turn.end();
        assert!(turn.needs_date() && !turn.needs_date());

        for _ in 0..ConnectionTurn::REQUESTS_MAX {
            turn.count(0).await;
        }
        assert!(turn.needs_date() && !turn.needs_date());
        turn.count(ConnectionTurn::BYTES_MAX).await;
        assert!(turn.needs_date());
    }
}

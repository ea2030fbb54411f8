//! The time that a connection waits for the head of a request.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use crate::net::connections::ConnectionPermit;

/// The events that end the wait for a head: the timeout, an eviction in favor of other connections,
/// the end of the server.
pub(super) struct Patience<'a, Closing> {
    closing: Pin<&'a mut Closing>,
    /// Reset only when it fires, not for each head: most heads arrive long before.
    timer: Pin<&'a mut Sleep>,
    head_timeout: Duration,
    until: Instant,
}

impl<'a, Closing: Future> Patience<'a, Closing> {
    pub(super) fn new(
        closing: Pin<&'a mut Closing>,
        timer: Pin<&'a mut Sleep>,
        head_timeout: Duration,
    ) -> Self {
        let until = timer.deadline();
        Self { closing, timer, head_timeout, until }
    }

    /// Begins to wait for another head.
    pub(super) fn begin(&mut self, now: Instant) {
        self.until = now + self.head_timeout;
    }

    /// Ready when the wait ends without a head.
    pub(super) fn poll_over(
        &mut self,
        permit: &ConnectionPermit,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            if self.until <= Instant::now() {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(self.until);
        }
        if permit.activity().poll_cut(cx).is_ready() {
            return Poll::Ready(());
        }
        self.closing.as_mut().poll(cx).map(drop)
    }
}

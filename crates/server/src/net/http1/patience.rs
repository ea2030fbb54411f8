//! How long a connection waits for the head of a request.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use crate::net::pending_heads::HeadPermit;

/// What ends a connection that waits for a head: time, others that need its permit, the server's end.
pub(super) struct Patience<'a, Closing, Cut> {
    closing: Pin<&'a mut Closing>,
    cut: Pin<&'a mut Cut>,
    /// Set again only when it goes off, and not for each head: most heads come long before.
    timer: Pin<&'a mut Sleep>,
    head_timeout: Duration,
    until: Instant,
}

impl<'a, Closing: Future, Cut: Future> Patience<'a, Closing, Cut> {
    pub(super) fn new(
        closing: Pin<&'a mut Closing>,
        cut: Pin<&'a mut Cut>,
        timer: Pin<&'a mut Sleep>,
        head_timeout: Duration,
    ) -> Self {
        let until = timer.deadline();
        Self { closing, cut, timer, head_timeout, until }
    }

    /// Begins to wait for another head.
    pub(super) fn begin(&mut self) {
        self.until = Instant::now() + self.head_timeout;
    }

    /// Ready when the wait is over without a head.
    pub(super) fn poll_over(&mut self, permit: &HeadPermit, cx: &mut Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            if self.until <= Instant::now() {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(self.until);
        }
        if !permit.has_left() && self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        self.closing.as_mut().poll(cx).map(drop)
    }
}

//! The time that a connection waits for the head of a request.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

use crate::net::connections::ConnectionPermit;
use crate::phase::Phase;

/// The events that end the wait for a head: the timeout, an eviction in favor of other connections,
/// the end of the server.
pub(super) struct Patience<'a, Closing> {
    closing: Pin<&'a mut Closing>,
    /// The task that `closing` wakes.
    waker: Waker,
    /// The phases of the server, to see that there was a change since the wait for a first head began.
    phases: watch::Receiver<Phase>,
    /// Reset only when it fires, not for each head: most heads arrive long before.
    timer: Pin<&'a mut Sleep>,
    head_timeout: Duration,
    until: Instant,
}

impl<'a, Closing: Future> Patience<'a, Closing> {
    pub(super) fn new(
        (closing, phases): (Pin<&'a mut Closing>, watch::Receiver<Phase>),
        timer: Pin<&'a mut Sleep>,
        head_timeout: Duration,
    ) -> Self {
        let until = timer.deadline();
        Self { closing, waker: Waker::noop().clone(), phases, timer, head_timeout, until }
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
        self.poll_closing(cx)
    }

    /// Ready when the server ends connections. The task is woken by each change of the phase, so nothing is
    /// looked at before there was one.
    fn poll_closing(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let has_changed = self.phases.has_changed().unwrap_or(true);
        if !has_changed && self.waker.will_wake(cx.waker()) {
            return Poll::Pending;
        }
        self.waker.clone_from(cx.waker());
        self.closing.as_mut().poll(cx).map(drop)
    }
}

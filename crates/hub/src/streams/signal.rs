//! Tells those who wait for a stop.

use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// The stop of one stream, as others wait for it.
#[derive(Debug, Default)]
pub(crate) struct StopSignal {
    waiters: Vec<Weak<Mutex<Waiter>>>,
}

/// Waits for the stop of a stream.
#[derive(Debug)]
pub(crate) struct StopWaiter(Arc<Mutex<Waiter>>);

#[derive(Debug, Default)]
struct Waiter {
    /// Whether the stream was stopped, once that is decided.
    told: Option<bool>,
    waker: Option<Waker>,
    is_producer: bool,
}

/// The one who waits for a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// The producer, whose request is still under way.
    Producer,
    Other,
}

impl StopSignal {
    /// Begins to wait. Waiters that have left are forgotten.
    pub(super) fn wait(&mut self, whose: Waiting) -> StopWaiter {
        self.waiters.retain(|waiter| waiter.strong_count() > 0);
        let waiter = Waiter { is_producer: whose == Waiting::Producer, ..Waiter::default() };
        let waiter = Arc::new(Mutex::new(waiter));
        self.waiters.push(Arc::downgrade(&waiter));
        StopWaiter(waiter)
    }

    /// Returns whether the producer is here and waits.
    pub(super) fn has_producer(&self) -> bool {
        self.waiters.iter().filter_map(Weak::upgrade).any(|waiter| waiter.lock().is_producer)
    }

    /// Tells that the stream was stopped, or has ended otherwise. The wakers are for the caller to wake.
    pub(super) fn tell(self, is_stopped: bool, woken: &mut Vec<Waker>) {
        for waiter in self.waiters.iter().filter_map(Weak::upgrade) {
            let mut waiter = waiter.lock();
            waiter.told = Some(is_stopped);
            woken.extend(waiter.waker.take());
        }
    }
}

impl StopWaiter {
    /// Waits until it is told whether the stream was stopped.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut waiter = self.0.lock();
        if let Some(is_stopped) = waiter.told {
            return Poll::Ready(is_stopped);
        }
        waiter.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

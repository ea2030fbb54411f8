//! Wakers that remember: one whether it was woken, one how often.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Wake, Waker};

/// Remembers whether it was woken.
#[derive(Debug, Default)]
pub struct Flag(AtomicBool);

impl Flag {
    /// A new flag and the waker that sets it.
    #[must_use]
    pub fn new() -> (Arc<Self>, Waker) {
        let flag = Arc::new(Self::default());
        (Arc::clone(&flag), flag.into())
    }

    /// Returns whether the waker was woken since the last call.
    pub fn take(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// Counts how often it was woken.
#[derive(Debug, Default)]
pub struct Count(AtomicUsize);

impl Count {
    /// A new count and the waker that it counts.
    #[must_use]
    pub fn new() -> (Arc<Self>, Waker) {
        let count = Arc::new(Self::default());
        (Arc::clone(&count), count.into())
    }

    /// How often the waker was woken since the last call.
    pub fn take(&self) -> usize {
        self.0.swap(0, Ordering::AcqRel)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

//! How many streams are open.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// A count of open streams with a limit.
#[derive(Debug)]
pub(crate) struct Streams {
    open: AtomicUsize,
    max: usize,
    none: Notify,
}

/// The place of one stream among those that may be open; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Streams>);

impl Streams {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { open: AtomicUsize::new(0), max, none: Notify::new() })
    }

    /// How many are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Takes a place; `None` if there is none left.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Place> {
        let more = |open: usize| (open < self.max).then_some(open + 1);
        let entered = self.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        entered.is_ok().then(|| Place(Arc::clone(self)))
    }

    /// Waits until no stream is open.
    pub(crate) async fn none_open(&self) {
        loop {
            // Made before the look, so that the last one to leave in between is not missed.
            let none = self.none.notified();
            if self.open() == 0 {
                return;
            }
            none.await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_are_limited_and_given_back() {
        let streams = Streams::new(2);
        streams.none_open().await;
        let places = [streams.enter().unwrap(), streams.enter().unwrap()];
        assert!(streams.enter().is_none());
        let waiting = tokio::spawn({
            let streams = Arc::clone(&streams);
            async move { streams.none_open().await }
        });
        drop(places);
        waiting.await.unwrap();
        assert_eq!(streams.open(), 0);
        assert!(streams.enter().is_some());
    }
}

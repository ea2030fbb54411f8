//! Connections that have not sent a whole request head yet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The connections that are still sending their head, limited in number.
///
/// At the limit, each new connection closes the one that has waited longest. So an attacker that
/// opens idle connections evicts only its own, and a client whose head arrives at once is never
/// refused.
#[derive(Debug)]
pub(crate) struct Connections {
    max: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    /// The permits by age, each with the time when it was taken.
    permits: BTreeMap<u64, (Instant, Arc<Signal>)>,
}

#[derive(Debug, Default)]
struct Signal {
    is_cut: AtomicBool,
    cut: Notify,
}

/// The permit of one connection to be without a head; released when its head has arrived, or when
/// it is dropped.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    heads: Arc<Connections>,
    number: u64,
    signal: Arc<Signal>,
    has_left: AtomicBool,
}

impl Connections {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max: max.max(1), waiting: Mutex::default() })
    }

    /// Takes a permit; at the limit, the oldest one is revoked.
    pub(crate) fn enter(self: &Arc<Self>) -> ConnectionPermit {
        let signal = Arc::<Signal>::default();
        let mut waiting = self.waiting.lock();
        let number = waiting.next;
        waiting.next += 1;
        if waiting.permits.len() >= self.max {
            waiting.cut_oldest();
        }
        waiting.permits.insert(number, (Instant::now(), Arc::clone(&signal)));
        drop(waiting);
        ConnectionPermit {
            heads: Arc::clone(self),
            number,
            signal,
            has_left: AtomicBool::new(false),
        }
    }

    /// Revokes some of the oldest permits, so that the next connections get descriptors; but none
    /// taken less than `grace` ago, whose heads may be on their way.
    pub(crate) fn give_way(&self, grace: Duration) {
        /// Few enough to spare clients that reconnect all at once, enough for hundreds of new
        /// connections per second.
        const AT_ONCE: usize = 64;
        let mut waiting = self.waiting.lock();
        for _ in 0..AT_ONCE {
            match waiting.permits.first_key_value() {
                Some((_, (taken_at, _))) if taken_at.elapsed() >= grace => waiting.cut_oldest(),
                _ => return,
            }
        }
    }
}

impl Waiting {
    /// Revokes the oldest permit, if any.
    fn cut_oldest(&mut self) {
        if let Some((_, (_, oldest))) = self.permits.pop_first() {
            oldest.is_cut.store(true, Ordering::Release);
            oldest.cut.notify_one();
        }
    }
}

impl ConnectionPermit {
    /// Releases the permit because the head has arrived. A permit revoked before stays revoked.
    pub(crate) fn leave(&self) {
        if !self.has_left.swap(true, Ordering::AcqRel) {
            self.heads.waiting.lock().permits.remove(&self.number);
        }
    }

    /// Returns whether the head has arrived.
    pub(crate) fn has_left(&self) -> bool {
        self.has_left.load(Ordering::Acquire)
    }

    /// Waits until the permit is revoked.
    pub(crate) async fn cut(&self) {
        while !self.signal.is_cut.load(Ordering::Acquire) {
            self.signal.cut.notified().await;
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_too_many_displaces_the_oldest() {
        let heads = Connections::new(2);
        let first = heads.enter();
        let second = heads.enter();
        second.leave();
        let third = heads.enter();
        assert!(!first.signal.is_cut.load(Ordering::Acquire));
        let fourth = heads.enter();
        first.cut().await;
        for permit in [&second, &third, &fourth] {
            assert!(!permit.signal.is_cut.load(Ordering::Acquire));
        }
        heads.give_way(Duration::from_secs(3600));
        assert!(!third.signal.is_cut.load(Ordering::Acquire), "its head may be on its way");
        heads.give_way(Duration::ZERO);
        third.cut().await;
        fourth.cut().await;
        drop((first, third, fourth));
        assert!(heads.waiting.lock().permits.is_empty());
    }
}

//! Connections that have not sent a whole request head yet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The connections still in their head, a limited number of them.
///
/// When one more comes, the one that has waited longest is closed. So an attacker who opens
/// connections and sends nothing displaces his own, and a client whose head comes at once is never
/// refused.
#[derive(Debug)]
pub(crate) struct PendingHeads {
    max: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    /// By age; each with the time when it was taken.
    permits: BTreeMap<u64, (Instant, Arc<Signal>)>,
}

#[derive(Debug, Default)]
struct Signal {
    is_cut: AtomicBool,
    cut: Notify,
}

/// The place of one connection among them; given up when its head has come, or when it is dropped.
#[derive(Debug)]
pub(crate) struct HeadPermit {
    heads: Arc<PendingHeads>,
    number: u64,
    signal: Arc<Signal>,
    has_left: AtomicBool,
}

impl PendingHeads {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max: max.max(1), waiting: Mutex::default() })
    }

    /// Takes a permit, at the cost of the oldest if there are too many.
    pub(crate) fn enter(self: &Arc<Self>) -> HeadPermit {
        let signal = Arc::<Signal>::default();
        let mut waiting = self.waiting.lock();
        let number = waiting.next;
        waiting.next += 1;
        if waiting.permits.len() >= self.max {
            waiting.cut_oldest();
        }
        waiting.permits.insert(number, (Instant::now(), Arc::clone(&signal)));
        drop(waiting);
        HeadPermit { heads: Arc::clone(self), number, signal, has_left: AtomicBool::new(false) }
    }

    /// Takes some permits away, the oldest ones, for whoever comes next has no descriptor otherwise; but
    /// none of those taken less than `grace` ago, whose heads may be on their way.
    pub(crate) fn give_way(&self, grace: Duration) {
        /// Few enough that a herd whose heads are under way is not undone, enough for hundreds of new
        /// connections a second.
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
    /// Takes the oldest permit away, if there is any.
    fn cut_oldest(&mut self) {
        if let Some((_, (_, oldest))) = self.permits.pop_first() {
            oldest.is_cut.store(true, Ordering::Release);
            oldest.cut.notify_one();
        }
    }
}

impl HeadPermit {
    /// Says that the head has come. A connection that was cut meanwhile stays cut.
    pub(crate) fn leave(&self) {
        if !self.has_left.swap(true, Ordering::AcqRel) {
            self.heads.waiting.lock().permits.remove(&self.number);
        }
    }

    /// Whether the head has come.
    pub(crate) fn has_left(&self) -> bool {
        self.has_left.load(Ordering::Acquire)
    }

    /// Waits until the permit is taken away.
    pub(crate) async fn cut(&self) {
        while !self.signal.is_cut.load(Ordering::Acquire) {
            self.signal.cut.notified().await;
        }
    }
}

impl Drop for HeadPermit {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_too_many_displaces_the_oldest() {
        let heads = PendingHeads::new(2);
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

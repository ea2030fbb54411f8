//! Watches: how waiting subscribers are woken, and the lists of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::task::Waker;

use parking_lot::Mutex;
use slab::Slab;
use smallvec::SmallVec;

/// One subscriber's waker, and the actions that are due.
#[derive(Debug)]
pub(crate) struct Watch {
    waker: Mutex<Option<Waker>>,
    due: AtomicU8,
    /// Tenths of a second between pings; 0 is none.
    ping: AtomicU16,
    /// Its place in the list of everybody.
    place: AtomicU32,
    /// When something was last sent, in milliseconds of the hub's steady clock.
    sent_at: AtomicU64,
    /// When the stream is over, likewise; `u64::MAX` is never.
    ends_at: AtomicU64,
}

/// An action that a subscriber finds due when it is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Due {
    /// A heartbeat.
    Heartbeat = 1,
    /// The end: its time is over.
    TimeOut = 2,
    /// The end: the hub drains.
    Drain = 4,
    /// The end: the stream's [`Closer`](crate::Closer) was used.
    Close = 8,
}

impl Watch {
    pub(crate) fn new(now: u64) -> Self {
        Self {
            waker: Mutex::new(None),
            due: AtomicU8::new(0),
            ping: AtomicU16::new(0),
            place: AtomicU32::new(0),
            sent_at: AtomicU64::new(now),
            ends_at: AtomicU64::new(u64::MAX),
        }
    }

    /// Keeps the waker. Done before looking, so that what comes after the look still wakes.
    pub(crate) fn register(&self, waker: &Waker) {
        let mut kept = self.waker.lock();
        match &mut *kept {
            Some(kept) => kept.clone_from(waker),
            None => *kept = Some(waker.clone()),
        }
    }

    pub(crate) fn is_due(&self, what: Due) -> bool {
        self.due.load(Ordering::Acquire) & what as u8 != 0
    }

    /// Notes what is due; whoever notes it wakes the subscriber.
    pub(crate) fn mark_due(&self, what: Due) {
        self.due.fetch_or(what as u8, Ordering::Release);
    }

    /// Notes what is due, and wakes the subscriber. No lock is held when the waker runs.
    pub(crate) fn wake_for(&self, what: Due) {
        self.mark_due(what);
        self.wake();
    }

    /// Wakes the subscriber. No lock is held when the waker runs.
    pub(crate) fn wake(&self) {
        let waker = self.waker.lock().take();
        waker.into_iter().for_each(Waker::wake);
    }

    /// Takes back a heartbeat that was due, since something has been sent.
    pub(crate) fn sent(&self, now: u64) {
        self.sent_at.store(now, Ordering::Relaxed);
        self.due.fetch_and(!(Due::Heartbeat as u8), Ordering::AcqRel);
    }

    /// Sets the time between pings, in tenths of a second; 0 is none.
    pub(crate) fn set_ping(&self, tenths: u16) {
        self.ping.store(tenths, Ordering::Relaxed);
    }

    /// The silence after which something is sent at the latest.
    pub(crate) fn silence(&self, heartbeat: u64) -> u64 {
        match self.ping.load(Ordering::Relaxed) {
            0 => heartbeat,
            tenths => heartbeat.min(u64::from(tenths) * 100),
        }
    }

    /// A number of its own.
    pub(crate) fn number(&self) -> u64 {
        std::ptr::from_ref(self).addr() as u64
    }

    pub(crate) fn sent_at(&self) -> u64 {
        self.sent_at.load(Ordering::Relaxed)
    }

    pub(crate) fn ends_at(&self) -> u64 {
        self.ends_at.load(Ordering::Relaxed)
    }

    /// Ends the stream at a time, unless it ends earlier. An end is never put off, so that the limits
    /// of a stream that is being opened and a drain may come in any order.
    pub(crate) fn end_at(&self, at: u64) {
        self.ends_at.fetch_min(at, Ordering::Relaxed);
    }
}

/// The watches of one topic, or of one pattern.
#[derive(Debug, Default)]
pub(crate) struct WatchList(Mutex<Watches>);

/// Watches at places that do not move.
#[derive(Debug)]
enum Watches {
    /// At most one, at place 0: a topic of one subscriber's own is small.
    Few(Option<Arc<Watch>>),
    Many(Box<Slab<Arc<Watch>>>),
}

/// Number of subscribers woken at a time. The list is locked while they are collected.
const WAKE_GROUP: usize = 64;

impl Default for Watches {
    fn default() -> Self {
        Self::Few(None)
    }
}

impl Watches {
    fn get(&self, place: usize) -> Option<&Arc<Watch>> {
        match self {
            Self::Few(watch) => watch.as_ref().filter(|_| place == 0),
            Self::Many(watches) => watches.get(place),
        }
    }

    /// One past the last place that may be taken.
    fn places(&self) -> usize {
        match self {
            Self::Few(_) => 1,
            Self::Many(watches) => watches.capacity(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Few(watch) => usize::from(watch.is_some()),
            Self::Many(watches) => watches.len(),
        }
    }
}

impl WatchList {
    /// Adds a watch; the answer is how to [remove](WatchList::remove) it.
    pub(crate) fn add(&self, watch: &Arc<Watch>) -> u32 {
        let mut watches = self.0.lock();
        let place = match &mut *watches {
            Watches::Few(none @ None) => {
                *none = Some(Arc::clone(watch));
                0
            }
            Watches::Few(first) => {
                let mut slab = Box::new(Slab::with_capacity(4));
                // An empty slab's first place is 0, where it has been until now.
                first.take().map(|first| slab.insert(first));
                let place = slab.insert(Arc::clone(watch));
                *watches = Watches::Many(slab);
                place
            }
            Watches::Many(slab) => slab.insert(Arc::clone(watch)),
        };
        u32::try_from(place).expect("memory ends before 2^32 subscribers")
    }

    pub(crate) fn remove(&self, place: u32) {
        let mut watches = self.0.lock();
        match &mut *watches {
            Watches::Few(watch) => *watch = None,
            Watches::Many(slab) => {
                slab.remove(place as usize);
                if slab.is_empty() {
                    *watches = Watches::default();
                }
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Adds a watch that keeps its place itself, to be [forgotten](WatchList::forget) later.
    pub(crate) fn keep(&self, watch: &Arc<Watch>) {
        watch.place.store(self.add(watch), Ordering::Relaxed);
    }

    /// Removes a watch that was [kept](WatchList::keep).
    pub(crate) fn forget(&self, watch: &Watch) {
        self.remove(watch.place.load(Ordering::Relaxed));
        // Whoever still has its closer is not to keep the task that it woke.
        let waker = watch.waker.lock().take();
        drop(waker);
    }

    /// Wakes everybody in the list.
    pub(crate) fn wake_all(&self) {
        self.for_each_group(|_| true);
    }

    /// Wakes the wanted subscribers, in groups. Places in the list do not move, so that none is skipped
    /// when others leave meanwhile; one that joins meanwhile reads from history at once.
    pub(crate) fn for_each_group(&self, mut wanted: impl FnMut(&Watch) -> bool) {
        let mut next = 0;
        let mut wakers: SmallVec<[Waker; WAKE_GROUP]> = SmallVec::new();
        loop {
            let watches = self.0.lock();
            let places = watches.places();
            let end = places.min(next + WAKE_GROUP);
            for watch in (next..end).filter_map(|key| watches.get(key)) {
                if wanted(watch) {
                    wakers.extend(watch.waker.lock().take());
                }
            }
            drop(watches);
            wakers.drain(..).for_each(Waker::wake);
            if end == places {
                return;
            }
            next = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn everybody_is_woken_once_however_many_groups_it_takes() {
        let list = WatchList::default();
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let watches: Vec<_> = (0..3 * WAKE_GROUP + 1).map(|_| Arc::new(Watch::new(0))).collect();
        let add = |watch| list.add(watch);
        watches.iter().for_each(|watch| watch.register(&Arc::clone(&count).into()));
        let keys: Vec<_> = watches.iter().map(add).collect();
        list.wake_all();
        assert_eq!(count.0.load(Ordering::Relaxed), watches.len());
        list.wake_all();
        assert_eq!(count.0.load(Ordering::Relaxed), watches.len());
        assert_eq!(list.len(), watches.len());
        keys.into_iter().for_each(|key| list.remove(key));
        assert_eq!(list.len(), 0);
    }

    #[test]
    fn an_end_is_never_put_off() {
        let watch = Watch::new(0);
        for (at, ends_at) in [(70, 70), (90, 70), (50, 50), (u64::MAX, 50)] {
            watch.end_at(at);
            assert_eq!(watch.ends_at(), ends_at);
        }
    }
}

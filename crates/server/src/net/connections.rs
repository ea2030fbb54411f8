//! The open connections that no shard has, and which of them give way to others.
//!
//! A connection is *quiet* while no request on it is being answered: before its first request,
//! between two requests, and while the rest of a body is awaited. Quiet connections are closed, the
//! longest quiet first, when descriptors run out. At any time, only so many may be without a first
//! head.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use slab::Slab;
use tokio::time::Instant;

/// The connections that no shard has, of which a limited number is still sending a first head.
///
/// At that limit, each new connection closes the one that has waited longest. So an attacker that
/// opens idle connections evicts only its own, and a client whose head arrives at once is never
/// refused.
#[derive(Debug)]
pub(crate) struct Connections {
    heads_max: usize,
    started: Instant,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    all: Slab<Arc<Activity>>,
    next: u64,
    /// The connections without a head, by age.
    heads: BTreeMap<u64, Arc<Activity>>,
}

/// The activity of one connection, and whether the connection is to be closed.
#[derive(Debug)]
pub(crate) struct Activity {
    started: Instant,
    /// The number of requests that are being answered, open streams included.
    busy: AtomicU32,
    /// When the connection last made progress, in milliseconds since `started`.
    quiet_since: AtomicU64,
    /// A [`Cut`].
    cut: AtomicU8,
    /// The task of the connection, while it waits.
    waker: Mutex<Option<Waker>>,
}

/// Whether a connection is to be closed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Cut {
    No,
    /// Yes, as soon as it is quiet.
    WhenQuiet,
    AtOnce,
}

/// The place of one connection among the open ones; released when it is dropped.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    connections: Arc<Connections>,
    key: usize,
    number: u64,
    activity: Arc<Activity>,
    has_left: AtomicU8,
}

/// A request that is being answered; there until the answer is complete. A pointer's size, because each
/// open stream has one.
#[derive(Debug)]
pub(crate) struct Answering(Option<Arc<Activity>>);

/// A request that waits for the rest of its body.
#[derive(Debug)]
pub(crate) struct Awaiting<'a>(&'a Activity);

impl Connections {
    pub(crate) fn new(heads_max: usize) -> Arc<Self> {
        let (heads_max, started) = (heads_max.max(1), Instant::now());
        Arc::new(Self { heads_max, started, open: Mutex::default() })
    }

    /// Adds a connection. At the limit of connections without a head, the oldest of these is
    /// closed.
    pub(crate) fn enter(self: &Arc<Self>) -> ConnectionPermit {
        let activity = Arc::new(Activity::new(self.started));
        let mut open = self.open.lock();
        let number = open.next;
        open.next += 1;
        if open.heads.len() >= self.heads_max
            && let Some((_, oldest)) = open.heads.pop_first()
        {
            oldest.cut(Cut::WhenQuiet);
        }
        open.heads.insert(number, Arc::clone(&activity));
        let key = open.all.insert(Arc::clone(&activity));
        drop(open);
        let (connections, has_left) = (Arc::clone(self), AtomicU8::new(0));
        ConnectionPermit { connections, key, number, activity, has_left }
    }

    /// The number of connections that have not sent a whole head yet.
    pub(crate) fn heads(&self) -> usize {
        self.open.lock().heads.len()
    }

    /// Closes some of the quiet connections, the longest quiet first, so that the next connections
    /// get descriptors; but none that was busy less than `grace` ago, whose next bytes may be on
    /// their way. Returns how many.
    pub(crate) fn give_way(&self, grace: Duration) -> usize {
        /// Few enough to spare clients that reconnect all at once, enough for hundreds of new
        /// connections per second.
        const AT_ONCE: usize = 64;
        let open = self.open.lock();
        let quiet = open.all.iter().filter_map(|(_, activity)| {
            let is_candidate = activity.is_quiet()
                && activity.cut.load(Ordering::Acquire) == Cut::No as u8
                && activity.quiet_for() >= grace;
            is_candidate.then(|| (activity.quiet_since.load(Ordering::Relaxed), activity))
        });
        let mut quiet: Vec<_> = quiet.collect();
        if quiet.len() > AT_ONCE {
            quiet.select_nth_unstable_by_key(AT_ONCE, |(since, _)| *since);
            quiet.truncate(AT_ONCE);
        }
        let longest: Vec<_> = quiet.into_iter().map(|(_, activity)| Arc::clone(activity)).collect();
        // Wakers run without the lock.
        drop(open);
        longest.iter().for_each(|activity| activity.cut(Cut::WhenQuiet));
        longest.len()
    }
}

impl Activity {
    fn new(started: Instant) -> Self {
        let activity = Self {
            started,
            busy: AtomicU32::new(0),
            quiet_since: AtomicU64::new(0),
            cut: AtomicU8::new(Cut::No as u8),
            waker: Mutex::new(None),
        };
        activity.progress(Instant::now());
        activity
    }

    fn is_quiet(&self) -> bool {
        self.busy.load(Ordering::Acquire) == 0
    }

    fn quiet_for(&self) -> Duration {
        let since = Duration::from_millis(self.quiet_since.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(since)
    }

    /// Notes progress, such as a request that was answered.
    fn progress(&self, at: Instant) {
        let millis = at.saturating_duration_since(self.started).as_millis();
        let millis = u64::try_from(millis).unwrap_or(u64::MAX);
        self.quiet_since.fetch_max(millis, Ordering::Relaxed);
    }

    fn cut(&self, cut: Cut) {
        self.cut.fetch_max(cut as u8, Ordering::AcqRel);
        let waker = self.waker.lock().take();
        waker.into_iter().for_each(Waker::wake);
    }

    /// Closes the connection at once, whatever is under way on it.
    pub(crate) fn close(&self) {
        self.cut(Cut::AtOnce);
    }

    /// Begins to wait for the rest of a body that last made progress at a time.
    pub(crate) fn await_body(&self, progress_at: Instant) -> Awaiting<'_> {
        self.progress(progress_at);
        self.busy.fetch_sub(1, Ordering::AcqRel);
        Awaiting(self)
    }

    /// Ready when the connection must be closed. Woken requests ask again, so that a connection
    /// that is to be closed when it is quiet is closed when it has become so.
    pub(crate) fn poll_cut(&self, cx: &mut Context<'_>) -> Poll<()> {
        // Before the check, so that a cut during the check still wakes.
        match &mut *self.waker.lock() {
            Some(waker) => waker.clone_from(cx.waker()),
            waker => *waker = Some(cx.waker().clone()),
        }
        let cut = self.cut.load(Ordering::Acquire);
        let is_due = cut == Cut::AtOnce as u8 || (cut == Cut::WhenQuiet as u8 && self.is_quiet());
        if is_due { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl ConnectionPermit {
    /// Notes that the first head has arrived.
    pub(crate) fn leave(&self) {
        if !self.has_left() && self.has_left.swap(1, Ordering::AcqRel) == 0 {
            self.connections.open.lock().heads.remove(&self.number);
        }
    }

    /// Returns whether the first head has arrived.
    pub(crate) fn has_left(&self) -> bool {
        self.has_left.load(Ordering::Acquire) != 0
    }

    pub(crate) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// Begins to answer a request.
    pub(crate) fn answer(&self) -> Answering {
        self.activity.busy.fetch_add(1, Ordering::AcqRel);
        Answering(Some(Arc::clone(&self.activity)))
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock();
        open.all.remove(self.key);
        if *self.has_left.get_mut() == 0 {
            open.heads.remove(&self.number);
        }
    }
}

impl Answering {
    /// Notes that the answer is complete, at a time that the caller has read.
    pub(crate) fn end(mut self, at: Instant) {
        self.end_at(|| at);
    }

    fn end_at(&mut self, at: impl FnOnce() -> Instant) {
        if let Some(activity) = self.0.take() {
            activity.progress(at());
            activity.busy.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.end_at(Instant::now);
    }
}

impl Drop for Awaiting<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_cut(permit: &ConnectionPermit) -> bool {
        permit.activity.poll_cut(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[tokio::test]
    async fn one_too_many_displaces_the_oldest() {
        let connections = Connections::new(2);
        let first = connections.enter();
        let second = connections.enter();
        second.leave();
        let third = connections.enter();
        assert!(!is_cut(&first));
        let fourth = connections.enter();
        assert!(is_cut(&first));
        assert!([&second, &third, &fourth].into_iter().all(|permit| !is_cut(permit)));
        drop((first, second, third, fourth));
        let open = connections.open.lock();
        assert!(open.heads.is_empty() && open.all.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_is_quiet_gives_way_and_whatever_is_answered_does_not() {
        let connections = Connections::new(usize::MAX);
        let second = Duration::from_secs(1);
        let head = connections.enter();
        tokio::time::advance(second).await;
        let idle = connections.enter();
        idle.leave();
        drop(idle.answer());
        let streaming = connections.enter();
        let _stream = streaming.answer();
        let uploading = connections.enter();
        let upload = uploading.answer();
        let body = uploading.activity().await_body(Instant::now());

        assert_eq!(connections.give_way(second), 1, "only the head is old enough");
        assert!(is_cut(&head) && !is_cut(&idle) && !is_cut(&uploading));
        tokio::time::advance(second).await;
        assert_eq!(connections.give_way(second), 2);
        assert!(is_cut(&idle) && is_cut(&uploading) && !is_cut(&streaming));
        // The rest of the body has come first.
        drop(body);
        assert!(!is_cut(&uploading));
        drop(upload);
        assert!(is_cut(&uploading));
        streaming.activity().close();
        assert!(is_cut(&streaming));
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_quiet_give_way_first() {
        let connections = Connections::new(usize::MAX);
        let mut permits = Vec::new();
        for _ in 0..100 {
            permits.push(connections.enter());
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!(connections.give_way(Duration::ZERO), 64);
        assert_eq!(permits.iter().filter(|permit| is_cut(permit)).count(), 64);
        assert!(permits[..64].iter().all(is_cut));
        assert_eq!(connections.give_way(Duration::ZERO), 36);
    }

    #[tokio::test]
    async fn a_connection_that_waits_is_woken_to_be_closed() {
        let connections = Connections::new(usize::MAX);
        let permit = connections.enter();
        let cut = std::future::poll_fn(|cx| permit.activity.poll_cut(cx));
        let (connections, ()) = (Arc::clone(&connections), tokio::task::yield_now().await);
        let giving = tokio::spawn(async move { connections.give_way(Duration::ZERO) });
        cut.await;
        assert_eq!(giving.await.unwrap(), 1);
    }
}

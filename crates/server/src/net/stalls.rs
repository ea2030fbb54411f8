//! Responses that hyper writes, and the end of those whose clients take nothing.
//!
//! hyper asks a body for more as soon as its client has taken what it was given. A body that is not
//! asked for too long is cut: over HTTP/2 its stream alone, over HTTP/1 its connection. Responses
//! that shards write have the same rule in [`engine`](crate::engine).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tidings_hub::{Hub, Sequence};

use crate::evicted::EvictedRests;
use crate::net::connections::Activity;
use crate::net::stream_tasks::WakeTask;
use crate::paged_slab::PagedSlab;

/// The responses that hyper writes.
#[derive(Debug, Default)]
pub(crate) struct Stalls {
    /// The time of the latest look.
    now: AtomicU32,
    all: Mutex<PagedSlab<Arc<Progress>>>,
    /// The number of answers, streams excluded, whose clients took nothing for too long.
    answers: AtomicU64,
    /// The evicted events in which streams have stopped, as far as the look under way has found them.
    evicted: Mutex<EvictedRests<Arc<Progress>>>,
}

/// Tenths of a second of the hub's steady clock: thirteen years of them fit.
type Tick = u32;

/// The progress of one response. Small, because every stream on HTTP/2 has one.
#[derive(Debug)]
struct Progress {
    /// When its client was given bytes that it has not taken, plus one; 0 if it has taken all.
    waits_since: AtomicU32,
    /// The value of `waits_since` when the response was last found late. It is cut only at the next
    /// look: after a pause of the process, its client may have taken everything meanwhile.
    late: AtomicU32,
    /// Its place among the responses.
    key: u32,
    is_stalled: AtomicBool,
    // Boxed, because few streams have large events.
    large: Mutex<Option<Box<LastPieces>>>,
    cutter: Cutter,
}

/// The large events among the last two pieces that a response was given, the older one first: while its
/// client takes nothing, hyper keeps one, and HTTP/2 another.
type LastPieces = [Option<LargeEvent>; 2];

/// An event of history that a piece keeps in memory, and its size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LargeEvent {
    pub(crate) sequence: Sequence,
    pub(crate) bytes: usize,
}

/// The part of a connection that ends with a response that is cut.
#[derive(Debug)]
pub(crate) enum Cutter {
    /// The task of its HTTP/2 stream.
    Task(Arc<WakeTask>),
    /// Its HTTP/1 connection.
    Connection(Arc<Activity>),
}

/// A response among the others; it leaves them when it is dropped.
#[derive(Debug)]
pub(crate) struct Watched {
    stalls: Arc<Stalls>,
    progress: Arc<Progress>,
}

/// The time after which a client that takes nothing has stopped, as in [`engine`](crate::engine).
const STOPPED: Duration = Duration::from_secs(5);
/// The number of responses looked at with the list locked.
const PORTION: usize = 1024;

impl Stalls {
    /// Adds a response.
    pub(crate) fn enter(self: &Arc<Self>, cutter: Cutter) -> Watched {
        let mut all = self.all.lock();
        let progress = Arc::new(Progress {
            waits_since: AtomicU32::new(0),
            late: AtomicU32::new(0),
            key: u32::try_from(all.vacant_key()).expect("memory holds fewer responses"),
            is_stalled: AtomicBool::new(false),
            large: Mutex::default(),
            cutter,
        });
        all.insert(Arc::clone(&progress));
        drop(all);
        Watched { stalls: Arc::clone(self), progress }
    }

    /// Counts an answer, not a stream, that was given up because its client took nothing.
    pub(crate) fn count_answer(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of answers that were given up.
    pub(crate) fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    /// Looks at a portion of the responses, starting at a number, and cuts those that were already
    /// late at the last look; returns the number of the next portion. After the last one, it cuts the
    /// streams that keep too many evicted events in memory.
    pub(crate) fn look(
        &self,
        hub: &Hub,
        now: Duration,
        timeout: Duration,
        from: usize,
    ) -> Option<usize> {
        let now = ticks(now);
        self.now.store(now, Ordering::Relaxed);
        let all = self.all.lock();
        let to = all.bound().min(from + PORTION);
        let portion = || (from..to).filter_map(|key| all.get(key));
        let mut stalled: Vec<_> = portion()
            .filter(|progress| progress.has_stalled(now, ticks(timeout)))
            .cloned()
            .collect();
        let stopped = portion().filter(|progress| progress.has_stopped(now));
        let stopped: Vec<_> = stopped.cloned().collect();
        let next = (to < all.bound()).then_some(to);
        // Wakers run and history is asked without the lock.
        drop(all);
        let mut evicted = self.evicted.lock();
        for progress in stopped {
            let large = progress.large.lock().as_deref().copied().unwrap_or_default();
            for LargeEvent { sequence, bytes } in large.into_iter().flatten() {
                if !hub.holds(sequence) {
                    evicted.add(sequence, bytes, Arc::clone(&progress));
                }
            }
        }
        if next.is_none() {
            let beyond = evicted.take_beyond(hub.evicted_bytes_max());
            stalled.extend(beyond.into_iter().filter(|progress| progress.has_stopped(now)));
        }
        drop(evicted);
        for progress in stalled {
            progress.is_stalled.store(true, Ordering::Relaxed);
            match &progress.cutter {
                Cutter::Task(task) => task.cut(),
                Cutter::Connection(activity) => activity.close(),
            }
        }
        next
    }
}

impl Progress {
    fn has_stalled(&self, now: Tick, timeout: Tick) -> bool {
        let since = self.waits_since.load(Ordering::Relaxed);
        let is_late = since > 0 && now.saturating_sub(since - 1) >= timeout;
        is_late && self.late.swap(since, Ordering::Relaxed) == since
    }

    /// Returns whether its client has stopped taking bytes.
    fn has_stopped(&self, now: Tick) -> bool {
        let since = self.waits_since.load(Ordering::Relaxed);
        since > 0 && now.saturating_sub(since - 1) >= ticks(STOPPED)
    }
}

impl Watched {
    /// Notes that the client has taken everything, but for a piece that HTTP/2 may keep, and whether
    /// it is given more now.
    pub(crate) fn asked(&self, is_given_more: bool) {
        let since = if is_given_more { self.stalls.now.load(Ordering::Relaxed) + 1 } else { 0 };
        self.progress.waits_since.store(since, Ordering::Relaxed);
        self.progress.late.store(0, Ordering::Relaxed);
    }

    /// Notes which large event a piece is that the client is given, if it is one.
    pub(crate) fn gave(&self, large: Option<LargeEvent>) {
        let mut pieces = self.progress.large.lock();
        let [_, last] = pieces.as_deref().copied().unwrap_or_default();
        *pieces = match (last, large) {
            (None, None) => None,
            two => Some(Box::new(two.into())),
        };
    }

    /// Counts the response as an answer that was given up, if it was.
    pub(crate) fn count_answer(&self) {
        if self.is_stalled() {
            self.stalls.count_answer();
        }
    }

    /// Returns whether the response was cut.
    pub(crate) fn is_stalled(&self) -> bool {
        self.progress.is_stalled.load(Ordering::Relaxed)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.stalls.all.lock().try_remove(self.progress.key as usize);
    }
}

fn ticks(time: Duration) -> Tick {
    Tick::try_from(time.as_millis() / 100).unwrap_or(Tick::MAX)
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;
    use crate::net::connections::{ConnectionPermit, Connections};

    const TIMEOUT: Duration = Duration::from_secs(60);

    #[test]
    fn the_progress_of_a_response_takes_48_bytes() {
        // With the two counts of an `Arc`, a size class of the allocator.
        assert_eq!(size_of::<Progress>(), 48);
    }

    fn response(stalls: &Arc<Stalls>) -> (ConnectionPermit, Watched) {
        let permit = Connections::new(1).enter();
        let watched = stalls.enter(Cutter::Connection(Arc::clone(permit.activity())));
        (permit, watched)
    }

    fn look(stalls: &Stalls, second: u64) {
        let mut next = Some(0);
        while let Some(from) = next {
            next = stalls.look(&Hub::default(), Duration::from_secs(second), TIMEOUT, from);
        }
    }

    fn is_cut((permit, watched): &(ConnectionPermit, Watched)) -> bool {
        let is_cut = permit.activity().poll_cut(&mut Context::from_waker(Waker::noop())).is_ready();
        assert_eq!(is_cut, watched.is_stalled());
        is_cut
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_cut_and_one_that_waits_for_events_is_not() {
        let stalls = Arc::<Stalls>::default();
        let [waits, takes, stalled] = [(), (), ()].map(|()| response(&stalls));
        waits.1.asked(false);
        takes.1.asked(true);
        stalled.1.asked(true);
        for second in 0..=59 {
            look(&stalls, second);
        }
        takes.1.asked(true);
        look(&stalls, 60);
        assert!(!is_cut(&stalled), "it may have taken everything during a pause");
        look(&stalls, 61);
        assert!(is_cut(&stalled) && !is_cut(&waits) && !is_cut(&takes));
        drop((waits, takes, stalled));
        assert!(stalls.all.lock().is_empty());
    }

    #[tokio::test]
    async fn after_a_pause_a_client_is_read_first() {
        let stalls = Arc::<Stalls>::default();
        let response = response(&stalls);
        response.1.asked(true);
        look(&stalls, 3600);
        response.1.asked(true);
        look(&stalls, 3601);
        assert!(!is_cut(&response));
    }

    #[tokio::test]
    async fn all_of_many_responses_are_looked_at() {
        let stalls = Arc::<Stalls>::default();
        let responses: Vec<_> = (0..2 * PORTION + 1).map(|_| response(&stalls)).collect();
        responses.iter().for_each(|(_, watched)| watched.asked(true));
        look(&stalls, 60);
        look(&stalls, 61);
        assert!(responses.iter().all(is_cut));
    }
}

//! A clock that stands still until a test advances it.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use crate::timer::{Sleep, Timer};

/// A clock that only [`advance`](Self::advance) moves. Clones share the time.
#[derive(Debug, Clone)]
pub struct SteppedTimer(Arc<Mutex<Clock>>);

#[derive(Debug)]
struct Clock {
    now: Instant,
    wall: SystemTime,
    sleepers: BTreeMap<(Instant, u64), Waker>,
    next_sleeper: u64,
    watchers: Vec<Waker>,
}

impl SteppedTimer {
    /// Makes a clock.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Clock {
            now: Instant::now(),
            wall: SystemTime::UNIX_EPOCH,
            sleepers: BTreeMap::new(),
            next_sleeper: 0,
            watchers: Vec::new(),
        })))
    }

    /// Advances the time, and wakes the sleepers whose deadline has passed.
    pub fn advance(&self, time: Duration) {
        let woken = {
            let mut clock = self.clock();
            clock.now += time;
            clock.wall += time;
            let now = clock.now;
            let asleep = clock.sleepers.split_off(&(now, u64::MAX));
            std::mem::replace(&mut clock.sleepers, asleep)
        };
        // After unlocking: a woken sleeper locks the clock first.
        woken.into_values().for_each(Waker::wake);
    }

    /// Waits until a sleep is under way that ends between `low` and `high` (inclusive) from now,
    /// and returns its length. If there are several, the shortest counts.
    ///
    /// A test uses this to wait until the program under test waits.
    pub async fn armed_between(&self, low: Duration, high: Duration) -> Duration {
        poll_fn(|cx| {
            let mut clock = self.clock();
            let (from, to) = ((clock.now + low, 0), (clock.now + high, u64::MAX));
            if let Some(((deadline, _), _)) = clock.sleepers.range(from..=to).next() {
                return Poll::Ready(*deadline - clock.now);
            }
            clock.watchers.push(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Waits until a sleep is under way that ends exactly `time` from now.
    pub async fn armed(&self, time: Duration) {
        self.armed_between(time, time).await;
    }

    /// The time until the first sleep ends, if any is under way.
    #[must_use]
    pub fn next_wake(&self) -> Option<Duration> {
        let clock = self.clock();
        clock.sleepers.keys().next().map(|(deadline, _)| *deadline - clock.now)
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for SteppedTimer {
    fn default() -> Self {
        Self::new()
    }
}

impl Timer for SteppedTimer {
    fn now(&self) -> Instant {
        self.clock().now
    }

    fn wall(&self) -> SystemTime {
        self.clock().wall
    }

    fn wake_at(&self, deadline: Instant) -> Sleep {
        let mut clock = self.clock();
        let number = clock.next_sleeper;
        clock.next_sleeper += 1;
        Box::pin(Sleeper { timer: self.clone(), key: (deadline, number) })
    }
}

struct Sleeper {
    timer: SteppedTimer,
    key: (Instant, u64),
}

impl Future for Sleeper {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let watchers = {
            let mut clock = self.timer.clock();
            if clock.now >= self.key.0 {
                return Poll::Ready(());
            }
            clock.sleepers.insert(self.key, cx.waker().clone());
            std::mem::take(&mut clock.watchers)
        };
        watchers.into_iter().for_each(Waker::wake);
        Poll::Pending
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.timer.clock().sleepers.remove(&self.key);
    }
}

//! A hub's time: the work due when it advances, and draining.

use std::task::Waker;
use std::time::Duration;

use crate::hub::{Hub, Inner};
use crate::lifetime::drain_delay;
use crate::time::{Now, Time, millis};
use crate::watch::Due;

impl Hub {
    /// Advances the hub's time and does the work that is due: heartbeats, the ends of streams, the ages of
    /// events. Cheap when nothing is; call it several times a second, and whenever exact dates matter.
    pub fn tick(&self, now: Now) {
        if !self.inner.clock.advance(now) {
            return;
        }
        let clock = &self.inner.clock;
        let uptime = clock.uptime();
        let at_end = if clock.is_draining() { Due::Drain } else { Due::TimeOut };
        self.inner.everybody.for_each_group(|watch| {
            let ends = uptime >= watch.ends_at();
            if ends {
                watch.mark_due(at_end);
            }
            let quiet = clock.is_quiet(watch);
            if quiet {
                watch.mark_due(Due::Heartbeat);
            }
            ends || quiet
        });
        self.expire();
        if self.read().keeps() {
            self.expire_kept();
        }
        if self.read().is_asked() {
            self.inner.reads.try_again();
        }
        self.end_due_streams();
        // Shards have no clock; they do their due work when they are woken.
        let taps = self.read().shards.wakers();
        taps.into_iter().for_each(Waker::wake);
    }

    /// Lets go of the events that are too old now: with the first tick alone, a hub that is opened would send those once more
    /// that reached their age while it was closed.
    pub(super) fn expire(&self) {
        let uptime = self.inner.clock.uptime() as i64;
        while self.write().expire(uptime) {}
    }

    /// Drops entries that are too old from pages and from the journal.
    fn expire_kept(&self) {
        let Inner { reads, history, journal, .. } = &*self.inner;
        self.note_oldest();
        let Some(time) = self.inner.source().expired_before else { return };
        if let Some(old) = reads.newest_before(time) {
            history.write().raise_floor(old);
        }
        let floor = history.read().floor();
        if journal.oldest().is_some_and(|oldest| oldest < floor) {
            reads.evict(floor);
        }
    }

    /// Notes the place before the oldest entry that the journal keeps.
    pub(crate) fn note_oldest(&self) {
        self.inner.source().note_oldest();
    }

    /// The wall clock's time, as the last tick told it.
    #[must_use]
    pub fn time(&self) -> Time {
        self.inner.clock.time()
    }

    /// How long the hub has been there, as its ticks have told it.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        Duration::from_millis(self.inner.clock.uptime())
    }

    /// Ends every stream, spread at random over a time, each with a reconnection time of its own, up to
    /// 3 s above the usual: readers then come back to the next server spread as well. Streams opened
    /// from now on end at once.
    ///
    /// The streams end as the hub's time goes on, so keep [ticking](Hub::tick) it;
    /// [`HubStats::subscribers`](crate::HubStats::subscribers) says how many are left. What was published before is sent first.
    pub fn drain(&self, over: Duration) {
        let clock = &self.inner.clock;
        clock.drain();
        self.inner.everybody.for_each_group(|watch| {
            let delay = millis(drain_delay(over));
            watch.end_at(clock.uptime() + delay);
            if delay == 0 {
                watch.mark_due(Due::Drain);
            }
            delay == 0
        });
    }

    /// Returns whether the hub has been [drained](Hub::drain).
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.inner.clock.is_draining()
    }
}

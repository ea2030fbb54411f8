//! A hub's time, as its ticks have told it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::lifetime::quiet_max;
use crate::time::{Now, Time, millis};
use crate::watch::Watch;

/// Time as the last tick told it: a steady one since the hub was made, and the wall clock's.
pub(crate) struct Clock {
    started: Instant,
    uptime: AtomicU64,
    time: AtomicU64,
    pass_interval: u64,
    next_pass: AtomicU64,
    heartbeat: u64,
    draining: AtomicBool,
    warned: AtomicBool,
}

impl Clock {
    pub(super) fn new(now: Now, heartbeat_interval: Duration) -> Self {
        // Often enough that a heartbeat which is not due at one pass is not late at the next, even
        // if ticks come irregularly: a fifth of the interval is there for both. And often enough that a
        // stream ends within a second after its time, as the stream of an expired token must.
        let heartbeat = millis(heartbeat_interval).max(1);
        let pass_interval = (heartbeat / 10).clamp(1, 500);
        Self {
            started: now.instant,
            uptime: AtomicU64::new(0),
            time: AtomicU64::new(now.time.unix_millis()),
            pass_interval,
            next_pass: AtomicU64::new(0),
            heartbeat,
            draining: AtomicBool::new(false),
            warned: AtomicBool::new(false),
        }
    }

    /// Takes in what the clocks say; `true` if it is time to pass over all subscribers, which is
    /// then the caller's to do.
    pub(super) fn advance(&self, now: Now) -> bool {
        let uptime = millis(now.instant.saturating_duration_since(self.started));
        self.uptime.fetch_max(uptime, Ordering::AcqRel);
        self.time.store(now.time.unix_millis(), Ordering::Release);
        let next = self.next_pass.load(Ordering::Acquire);
        let interval = if self.is_draining() { 1 } else { self.pass_interval };
        let is_due = uptime >= next || self.is_draining();
        is_due
            && self
                .next_pass
                .compare_exchange(next, uptime + interval, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
    }

    /// Warns, once, if the hub should have been ticked long since and never was.
    pub(crate) fn warn_if_idle(&self) {
        // The first tick makes it positive, so a hub that is driven pays for one look.
        if self.next_pass.load(Ordering::Relaxed) == 0 {
            self.warn_if_late(Now::read());
        }
    }

    #[cold]
    fn warn_if_late(&self, now: Now) {
        let age = millis(now.instant.saturating_duration_since(self.started));
        if age >= self.heartbeat && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "hub is not driven, so it sends no heartbeats and ends no streams: \
                 spawn Hub::drive or call Hub::tick"
            );
        }
    }

    /// The heartbeat interval, in milliseconds.
    pub(crate) fn heartbeat(&self) -> u64 {
        self.heartbeat
    }

    /// Milliseconds since the hub was made.
    pub(crate) fn uptime(&self) -> u64 {
        self.uptime.load(Ordering::Acquire)
    }

    /// Both clocks, as the last tick told them.
    pub(super) fn now(&self) -> Now {
        let instant = self.started + Duration::from_millis(self.uptime());
        Now { instant, time: self.time() }
    }

    pub(super) fn time(&self) -> Time {
        Time::from_unix_millis(self.time.load(Ordering::Acquire))
    }

    /// Returns whether a stream has been silent for so long that it is due for a heartbeat.
    pub(super) fn is_quiet(&self, watch: &Watch) -> bool {
        let (stream, sent_at) = (watch.number(), watch.sent_at());
        let silence = self.uptime().saturating_sub(sent_at);
        silence >= quiet_max(watch.silence(self.heartbeat), stream, sent_at).max(1)
    }

    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}

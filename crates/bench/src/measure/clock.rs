//! The time since the start of the run.

use std::time::{Duration, Instant};

/// A clock that counts nanoseconds from its start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    #[inline]
    pub(crate) fn now(&self) -> u64 {
        nanos(self.0.elapsed())
    }
}

/// Returns a duration in nanoseconds. Durations beyond 584 years are capped.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Converts nanoseconds to seconds.
pub(crate) fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

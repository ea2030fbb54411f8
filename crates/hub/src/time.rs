//! Time, which enters a hub as an argument of [`Hub::tick`](crate::Hub::tick) and nowhere else.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A point in time by the wall clock, in milliseconds since 1970 (UTC).
///
/// It dates events. Whether something is due is told by the other, steady clock of [`Now`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The time so many milliseconds after the start of 1970.
    #[must_use]
    pub const fn from_unix_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the start of 1970.
    #[must_use]
    pub const fn unix_millis(self) -> u64 {
        self.0
    }

    /// The time `age` earlier, or the start of 1970.
    #[must_use]
    pub fn saturating_sub(self, age: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// What the clocks say: a steady one for waiting and the wall clock for dating.
///
/// Both, because a wall clock that is set back by an hour must not stop heartbeats for an hour.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The steady clock.
    pub instant: Instant,
    /// The wall clock.
    pub time: Time,
}

impl Now {
    /// Reads the machine's clocks.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads clocks, for the caller"
    )]
    pub fn read() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
        Self { instant: Instant::now(), time: Time(millis) }
    }
}

impl std::ops::Add<Duration> for Now {
    type Output = Self;

    /// Both clocks, moved on by `duration`: how tests step time.
    fn add(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self { instant: self.instant + duration, time: Time(self.time.0.saturating_add(millis)) }
    }
}

/// Whole milliseconds, as far as they can be counted.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4).min(u64::MAX / 4)
}

//! Time, which enters a hub as an argument of [`Hub::tick`](crate::Hub::tick) and nowhere else.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A point in time by the wall clock, in milliseconds since 1970 (UTC).
///
/// It dates events. The steady clock of [`Now`] tells whether something is due.
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

impl Time {
    /// The time that has passed since an earlier time; none since a later one.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Time {
    /// Writes the time as in RFC 3339, in UTC and to the millisecond: `2026-11-21T10:52:13.042Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.0 / 1000, self.0 % 1000);
        let (year, month, day) = date(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

/// The date so many days after the first of 1970, in the Gregorian calendar: year, month, day.
fn date(days: u64) -> (u64, usize, u64) {
    /// After so many days, and 400 years, the calendar repeats itself.
    const CYCLE_DAYS: u64 = 146_097;
    let divides = |year: u64, by| year.is_multiple_of(by);
    let is_leap = |year: u64| divides(year, 4) && (!divides(year, 100) || divides(year, 400));
    let mut year = 1970 + days / CYCLE_DAYS * 400;
    let mut day = days % CYCLE_DAYS;
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while day >= months[month] {
        day -= months[month];
        month += 1;
    }
    (year, month + 1, day + 1)
}

/// A reading of both clocks: a steady one for waiting, and the wall clock for dating.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_spelled_as_rfc_3339_has_it() {
        // Seconds by `date -u +%s`; the days around the ends of February in years of each kind.
        let spelled = [
            (0, "1970-01-01T00:00:00.000Z"),
            (68_255_999_999, "1972-02-29T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_795_258_333_042, "2026-11-21T10:52:13.042Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ];
        for (millis, text) in spelled {
            assert_eq!(Time::from_unix_millis(millis).to_string(), text);
        }
        assert!(Time::from_unix_millis(u64::MAX).to_string().ends_with('Z'));
    }
}

//! The wait before the next attempt.
//!
//! [`Backoff`] is the rule. `Pacing` applies it: it counts failures, remembers the server's
//! `retry`, and draws the jitter from a seeded generator, so that a test can replay a whole run.

use std::time::Duration;

use fastrand::Rng;

/// The rule for the wait between attempts.
///
/// After a stream that delivered an event, or that stayed open for [`stable_after`], the wait is
/// the reconnection time plus up to [`spread`]. After every failed attempt (a refused connection, a
/// temporary status, a stream that ended at once) it is the reconnection time plus a random share
/// of an excess that doubles with each failure, from [`excess_first`] to [`excess_max`]. A
/// `Retry-After` is a lower bound, to which the excess is added.
///
/// ```
/// use std::time::Duration;
/// use tidings_client::{Backoff, EventSource};
///
/// let mut backoff = Backoff::default();
/// backoff.excess_max = Duration::from_secs(10);
/// let builder = EventSource::get("http://localhost:8080/topics/news").backoff(backoff);
/// ```
///
/// [`stable_after`]: Self::stable_after
/// [`spread`]: Self::spread
/// [`excess_first`]: Self::excess_first
/// [`excess_max`]: Self::excess_max
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backoff {
    /// The reconnection time until the server sets another with `retry`. 3 s, as in browsers.
    pub reconnection_time: Duration,
    /// The maximum reconnection time; a larger `retry` is cut to it. One hour: a typing error on
    /// the server must not silence a client for years.
    pub reconnection_time_max: Duration,
    /// The minimum wait. 50 ms: with `retry: 0` and a server that ends every stream after one
    /// event, a client without a minimum would send requests as fast as the network allows. Less
    /// than 1 ms counts as 1 ms.
    pub delay_min: Duration,
    /// The maximum random time added after a good stream, so that clients disconnected together do
    /// not come back together. 200 ms.
    pub spread: Duration,
    /// The maximum random time added after the first failure; it doubles with each further one.
    /// 1 s.
    pub excess_first: Duration,
    /// The limit of the doubling. 30 s: after an outage of any length, the client is back within
    /// about half a minute.
    pub excess_max: Duration,
    /// The maximum `Retry-After`; a larger one is cut to it. One hour, as for `retry`.
    pub retry_after_max: Duration,
    /// The age at which a stream without events counts as a good one. 60 s.
    pub stable_after: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            reconnection_time: Duration::from_secs(3),
            reconnection_time_max: Duration::from_secs(3_600),
            delay_min: Duration::from_millis(50),
            spread: Duration::from_millis(200),
            excess_first: Duration::from_secs(1),
            excess_max: Duration::from_secs(30),
            retry_after_max: Duration::from_secs(3_600),
            stable_after: Duration::from_secs(60),
        }
    }
}

/// The shortest wait, whatever a caller sets: a loop without any would occupy the processor.
const DELAY_FLOOR: Duration = Duration::from_millis(1);

/// The state that applies a [`Backoff`].
#[derive(Debug)]
pub(crate) struct Pacing {
    backoff: Backoff,
    reconnection_time: Duration,
    failures: u32,
    rng: Rng,
}

impl Pacing {
    pub(crate) fn new(backoff: Backoff, seed: u64) -> Self {
        let reconnection_time = backoff.reconnection_time;
        Self { backoff, reconnection_time, failures: 0, rng: Rng::with_seed(seed) }
    }

    /// The reconnection time in force.
    pub(crate) fn reconnection_time(&self) -> Duration {
        self.reconnection_time
    }

    /// Handles the server's `retry`.
    pub(crate) fn handle_retry(&mut self, retry: Duration) {
        self.reconnection_time = retry.min(self.backoff.reconnection_time_max);
    }

    /// Handles a good stream: forgets the failures before it.
    pub(crate) fn handle_success(&mut self) {
        self.failures = 0;
    }

    /// Handles a failed attempt.
    pub(crate) fn handle_failure(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// The number of failures in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// The age at which a stream without events counts as a good one.
    pub(crate) fn stable_after(&self) -> Duration {
        self.backoff.stable_after
    }

    /// Draws the wait before the next attempt: at least `retry_after`, which is cut to its maximum.
    pub(crate) fn delay(&mut self, retry_after: Option<Duration>) -> Duration {
        let retry_after = retry_after.unwrap_or_default().min(self.backoff.retry_after_max);
        let lowest = self.reconnection_time.max(retry_after);
        let excess = match self.failures {
            0 => self.backoff.spread,
            failures => self.excess(failures),
        };
        (lowest + self.share_of(excess)).max(self.backoff.delay_min).max(DELAY_FLOOR)
    }

    fn excess(&self, failures: u32) -> Duration {
        // 2^31 times any excess is past every cap, so the exponent need not grow further.
        let doublings = (failures - 1).min(31);
        self.backoff.excess_first.saturating_mul(1 << doublings).min(self.backoff.excess_max)
    }

    /// Draws a random share of `whole`: full jitter, because clients that failed together must not
    /// retry together.
    fn share_of(&mut self, whole: Duration) -> Duration {
        whole.mul_f64(self.rng.f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The minimum and the maximum of many draws.
    fn range(failures: u32, retry: Option<u64>, retry_after: Option<u64>) -> (Duration, Duration) {
        let delays: Vec<_> = (0..2_000)
            .map(|seed| {
                let mut pacing = Pacing::new(Backoff::default(), seed);
                if let Some(retry) = retry {
                    pacing.handle_retry(Duration::from_millis(retry));
                }
                (0..failures).for_each(|_| pacing.handle_failure());
                pacing.delay(retry_after.map(Duration::from_secs))
            })
            .collect();
        (*delays.iter().min().expect("drawn"), *delays.iter().max().expect("drawn"))
    }

    #[track_caller]
    fn check(range: (Duration, Duration), low_ms: u64, high_ms: u64) {
        let (low, high) = (Duration::from_millis(low_ms), Duration::from_millis(high_ms));
        assert!(low <= range.0 && range.1 <= high, "{range:?} is outside {low:?}..={high:?}");
        // Draws that lie close together would be within the bounds without being jitter.
        let width = high - low;
        assert!(range.1 - range.0 >= width.mul_f64(0.9), "{range:?} hardly uses {width:?}");
    }

    #[test]
    fn after_a_good_stream_the_wait_is_the_reconnection_time_and_up_to_200_ms() {
        check(range(0, None, None), 3_000, 3_200);
        check(range(0, Some(700), None), 700, 900);
    }

    #[test]
    fn the_excess_doubles_with_each_failure_up_to_its_cap() {
        check(range(1, Some(1_000), None), 1_000, 2_000);
        check(range(2, Some(1_000), None), 1_000, 3_000);
        check(range(3, Some(1_000), None), 1_000, 5_000);
        check(range(6, Some(1_000), None), 1_000, 31_000);
        check(range(7, Some(1_000), None), 1_000, 31_000);
        check(range(5_000, Some(1_000), None), 1_000, 31_000);
    }

    #[test]
    fn retry_after_is_a_lower_bound_that_jitter_is_added_to() {
        check(range(1, None, Some(120)), 120_000, 121_000);
        check(range(1, Some(10_000), Some(2)), 10_000, 11_000);
    }

    #[test]
    fn what_a_server_asks_for_is_capped_at_an_hour() {
        check(range(0, Some(u64::MAX), None), 3_600_000, 3_600_200);
        check(range(1, None, Some(u64::MAX)), 3_600_000, 3_601_000);
    }

    #[test]
    fn a_retry_of_zero_still_leaves_a_floor() {
        let (low, high) = range(0, Some(0), None);
        assert_eq!(low, Duration::from_millis(50));
        assert!(high <= Duration::from_millis(200));
    }

    #[test]
    fn no_setting_leaves_a_loop_without_a_wait() {
        let zero = Duration::ZERO;
        let backoff = Backoff {
            reconnection_time: zero,
            delay_min: zero,
            spread: zero,
            excess_first: zero,
            ..Backoff::default()
        };
        let mut pacing = Pacing::new(backoff, 1);
        assert_eq!(pacing.delay(None), DELAY_FLOOR);
        pacing.handle_failure();
        assert_eq!(pacing.delay(None), DELAY_FLOOR);
    }

    #[test]
    fn the_same_seed_draws_the_same_waits() {
        let draw = |seed| {
            let mut pacing = Pacing::new(Backoff::default(), seed);
            [pacing.delay(None), pacing.delay(None)]
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}

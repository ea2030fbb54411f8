//! The schedule of a key set's fetches: plain code, which is told the time.

use std::time::Duration;

use tokio::time::Instant;

/// The time between two fetches that succeed. Issuers announce a key for hours before they sign with
/// it, and a key that was taken back is believed for so long.
pub(super) const REFRESH: Duration = Duration::from_secs(300);
/// The time from the begin of one fetch to the next one that is asked for by tokens with unknown key
/// IDs: anyone can send those, and the issuer's server must not pay for them.
pub(super) const ASKED_MIN: Duration = Duration::from_secs(10);
/// The first wait after a fetch that failed. Each further one doubles it, up to [`REFRESH`].
const RETRY: Duration = Duration::from_secs(5);

/// When the next fetch begins.
#[derive(Debug)]
pub(super) struct Schedule {
    due: Instant,
    /// When the last fetch began.
    begun: Option<Instant>,
    is_under_way: bool,
    failures: u32,
}

impl Schedule {
    /// The first fetch is due at once.
    pub(super) fn new(now: Instant) -> Self {
        Self { due: now, begun: None, is_under_way: false, failures: 0 }
    }

    /// When the next fetch begins.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Handles a token whose key is unknown; returns whether a fetch is under way or begins at once.
    pub(super) fn handle_asked(&mut self, now: Instant) -> bool {
        if self.is_under_way {
            return true;
        }
        let is_early = self.begun.is_some_and(|begun| now < begun + ASKED_MIN);
        if !is_early {
            self.due = self.due.min(now);
        }
        self.due <= now
    }

    pub(super) fn handle_begun(&mut self, now: Instant) {
        self.begun = Some(now);
        self.is_under_way = true;
    }

    pub(super) fn handle_ended(&mut self, now: Instant, is_good: bool) {
        self.is_under_way = false;
        self.failures = if is_good { 0 } else { self.failures.saturating_add(1) };
        let wait = match self.failures.checked_sub(1) {
            None => REFRESH,
            Some(doublings) => RETRY.saturating_mul(1 << doublings.min(8)).min(REFRESH),
        };
        self.due = now + wait;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(begin: Instant, seconds: u64) -> Instant {
        begin + Duration::from_secs(seconds)
    }

    #[test]
    fn a_good_set_is_fetched_again_later_and_a_bad_one_sooner_and_sooner_never() {
        let begin = Instant::now();
        let mut schedule = Schedule::new(begin);
        assert_eq!(schedule.due(), begin);
        schedule.handle_begun(begin);
        schedule.handle_ended(begin, true);
        assert_eq!(schedule.due(), begin + REFRESH);
        let mut waits = Vec::new();
        for _ in 0..8 {
            schedule.handle_begun(begin);
            schedule.handle_ended(begin, false);
            waits.push((schedule.due() - begin).as_secs());
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300]);
        schedule.handle_ended(begin, true);
        assert_eq!(schedule.due(), begin + REFRESH);
    }

    #[test]
    fn unknown_keys_are_asked_for_once_in_a_while() {
        let begin = Instant::now();
        let mut schedule = Schedule::new(begin);
        assert!(schedule.handle_asked(begin));
        schedule.handle_begun(begin);
        assert!(schedule.handle_asked(after(begin, 1)), "one is under way");
        schedule.handle_ended(after(begin, 2), true);
        assert!(!schedule.handle_asked(after(begin, 9)));
        assert_eq!(schedule.due(), after(begin, 2) + REFRESH);
        assert!(schedule.handle_asked(after(begin, 10)));
        assert_eq!(schedule.due(), after(begin, 10));
    }
}

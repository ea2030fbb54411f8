//! How often each address and each subject does something.

use std::collections::HashMap;
use std::mem::take;
use std::num::NonZeroU32;
use std::time::Duration;

use parking_lot::Mutex;

use super::key::Key;

/// Rates by address and by subject, in a table of bounded size.
///
/// For each there is one number: the time until which its rate is used up (the generic cell rate
/// algorithm). An entry whose time has passed says nothing, so that all entries of one age are
/// forgotten together.
#[derive(Debug, Default)]
pub(super) struct Rates(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    current: HashMap<Key, Duration>,
    /// Those that have not been used since `current` was begun.
    previous: HashMap<Key, Duration>,
    begun: Duration,
}

/// The seconds for which a sender may save up its rate. All readers of an office reconnect at once
/// after a restart, and a page loads a dozen files.
pub(super) const SAVED_SECONDS: u32 = 10;
/// The number of entries in each of the two tables, of 24 bytes and more. An attacker that has more
/// addresses than that makes the server forget what others have used, and has a rate for each of them
/// anyway.
const ENTRIES_MAX: usize = 32 * 1024;
/// The age of a table: longer than anything that is saved up.
const AGE: Duration = Duration::from_secs(2 * SAVED_SECONDS as u64);

impl Rates {
    /// Takes so much of a rate, which is given by the second. More than what can be saved up counts as
    /// that.
    ///
    /// # Errors
    ///
    /// The time after which there is enough left, if there is not now. Nothing is taken then.
    pub(super) fn take(
        &self,
        key: Key,
        (count, per_second): (u32, NonZeroU32),
        now: Duration,
    ) -> Result<(), Duration> {
        let saved = Duration::from_secs(u64::from(SAVED_SECONDS));
        let each = Duration::from_secs(1) / per_second.get();
        let cost = each.saturating_mul(count).min(saved);
        let mut tables = self.0.lock();
        tables.turn(now);
        let used_until = tables.used_until(key).max(now);
        let then = used_until + cost;
        let beyond = then.saturating_sub(now + saved);
        if !beyond.is_zero() {
            return Err(beyond);
        }
        tables.current.insert(key, then);
        Ok(())
    }
}

impl Tables {
    /// Begins a new table if it is time, or if there are too many entries.
    fn turn(&mut self, now: Duration) {
        if self.current.len() >= ENTRIES_MAX || now.saturating_sub(self.begun) >= AGE {
            self.previous = take(&mut self.current);
            self.begun = now;
        }
    }

    fn used_until(&self, key: Key) -> Duration {
        let found = self.current.get(&key).or_else(|| self.previous.get(&key));
        found.copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const RATE: NonZeroU32 = NonZeroU32::new(4).unwrap();
    const BURST: u32 = 4 * SAVED_SECONDS;

    #[test]
    fn a_rate_may_be_saved_up_and_comes_back_with_time() {
        let (rates, key) = (Rates::default(), Key(1));
        for _ in 0..BURST {
            assert_eq!(rates.take(key, (1, RATE), SECOND), Ok(()));
        }
        assert_eq!(rates.take(key, (1, RATE), SECOND), Err(SECOND / 4));
        assert_eq!(rates.take(Key(2), (1, RATE), SECOND), Ok(()));
        assert_eq!(rates.take(key, (1, RATE), 2 * SECOND), Ok(()));
        assert_eq!(rates.take(key, (4, RATE), 2 * SECOND), Err(SECOND / 4));
        // Much later, no more than a burst.
        assert_eq!(rates.take(key, (BURST, RATE), 3600 * SECOND), Ok(()));
        assert_eq!(rates.take(key, (1, RATE), 3600 * SECOND), Err(SECOND / 4));
        // More than can be saved up waits for all of it.
        assert_eq!(rates.take(key, (u32::MAX, RATE), 3605 * SECOND), Err(5 * SECOND));
    }

    #[test]
    fn what_is_used_up_is_remembered_although_a_new_table_is_begun() {
        let (rates, key) = (Rates::default(), Key(1));
        rates.take(key, (BURST, RATE), AGE - SECOND / 4).unwrap();
        assert_eq!(rates.take(key, (2, RATE), AGE), Err(SECOND / 4));
        assert_eq!(rates.take(key, (1, RATE), AGE), Ok(()));
    }

    #[test]
    fn the_tables_are_bounded_whatever_comes() {
        let rates = Rates::default();
        for number in 0..5 * ENTRIES_MAX as u64 {
            let _ = rates.take(Key(number), (1, RATE), SECOND);
        }
        let tables = rates.0.lock();
        assert!(tables.current.len() + tables.previous.len() <= 2 * ENTRIES_MAX);
    }
}

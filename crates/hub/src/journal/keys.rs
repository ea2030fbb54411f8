//! The idempotency keys a journal remembers.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::cursor::Sequence;
use crate::draft::IdempotencyKey;
use crate::time::Time;

/// Keys remembered at most: about 10 MB of them, and one streamed request of as many events.
pub(super) const KEYS_MAX: usize = 100_000;
/// How long a key is remembered: far beyond every publisher's retries.
pub(super) const KEYS_AGE_MAX: Duration = Duration::from_secs(600);

/// The latest keys and where their events were committed.
#[derive(Default)]
pub(super) struct Keys {
    sequences: HashMap<IdempotencyKey, Sequence>,
    oldest_first: VecDeque<(Time, IdempotencyKey)>,
}

impl Keys {
    /// Where the event of `key` was committed, if that is remembered.
    pub(super) fn find(&self, key: &IdempotencyKey) -> Option<Sequence> {
        self.sequences.get(key).copied()
    }

    /// Remembers a key that was not found, and forgets what is too old or too many.
    pub(super) fn remember(&mut self, key: IdempotencyKey, sequence: Sequence, now: Time) {
        self.forget(now);
        if self.sequences.insert(key.clone(), sequence).is_none() {
            self.oldest_first.push_back((now, key));
        }
    }

    fn forget(&mut self, now: Time) {
        let horizon = now.saturating_sub(KEYS_AGE_MAX);
        while let Some((time, _)) = self.oldest_first.front() {
            if *time >= horizon && self.oldest_first.len() < KEYS_MAX {
                break;
            }
            if let Some((_, key)) = self.oldest_first.pop_front() {
                self.sequences.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_unix_millis(1_700_000_000_000 + millis)
    }

    #[test]
    fn a_key_is_remembered_for_ten_minutes() {
        let mut keys = Keys::default();
        let key = IdempotencyKey::new("a").unwrap();
        keys.remember(key.clone(), Sequence::new(1).unwrap(), at(0));
        keys.remember(key.at(1), Sequence::new(2).unwrap(), at(600_000));
        assert_eq!(keys.find(&key), Sequence::new(1));
        keys.remember(key.at(2), Sequence::new(3).unwrap(), at(600_001));
        assert_eq!(keys.find(&key), None);
        assert_eq!(keys.find(&key.at(1)), Sequence::new(2));
    }

    #[test]
    fn the_oldest_key_makes_room_for_one_too_many() {
        let mut keys = Keys::default();
        let key = IdempotencyKey::new("a").unwrap();
        for index in 0..=KEYS_MAX as u64 {
            keys.remember(key.at(index), Sequence::new(index + 1).unwrap(), at(0));
        }
        assert_eq!(keys.find(&key.at(0)), None);
        assert_eq!(keys.find(&key.at(1)), Sequence::new(2));
        assert_eq!(keys.find(&key.at(KEYS_MAX as u64)), Sequence::new(KEYS_MAX as u64 + 1));
        assert_eq!(keys.oldest_first.len(), KEYS_MAX);
    }
}

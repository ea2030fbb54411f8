//! The age of what is held, by the steady clock: setting the wall clock changes nothing.

use std::collections::VecDeque;
use std::time::Duration;

use crate::cursor::Sequence;
use crate::time::millis;

/// When entries were appended, in milliseconds of the hub's steady clock; below zero for those that a
/// journal has kept from before.
///
/// Entries that were appended within a thousandth of the maximum age share a mark, so that there are few.
/// They reach the age together, when the last of them does.
#[derive(Debug, Default)]
pub(super) struct Ages {
    /// From the oldest to the newest.
    marks: VecDeque<Mark>,
    /// Everything up to here is too old.
    through: Sequence,
}

/// Entries from `first` on, up to the next mark.
#[derive(Clone, Copy, Debug)]
struct Mark {
    first: Sequence,
    since: i64,
    until: i64,
}

/// Marks within the maximum age.
const MARKS: u32 = 1024;

impl Ages {
    /// Notes that entries from `first` on are appended at `time`.
    pub(super) fn note(&mut self, first: Sequence, time: i64, age_max: Duration) {
        match self.marks.back_mut() {
            Some(last) if time - last.since <= millis(age_max / MARKS) as i64 => {
                last.until = last.until.max(time);
            }
            _ => self.marks.push_back(Mark { first, since: time, until: time }),
        }
    }

    /// The newest entry that is older than `age_max`, with everything before it.
    pub(super) fn through(&mut self, now: i64, tail: Sequence, age_max: Duration) -> Sequence {
        let horizon = now - millis(age_max) as i64;
        while self.marks.pop_front_if(|mark| mark.until < horizon).is_some() {
            self.through = self.marks.front().map_or(tail, |next| next.first.before());
        }
        self.through
    }

    /// Bytes allocated.
    pub(super) fn bytes(&self) -> usize {
        self.marks.capacity() * size_of::<Mark>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_too_old_after_its_age_and_at_most_a_thousandth_more() {
        let age_max = Duration::from_secs(1024);
        let mut ages = Ages::default();
        let sequence = |number: u64| Sequence::new(number).unwrap();
        // One entry every 100 ms for an hour.
        let appended = |number: u64| number as i64 * 100;
        for number in 1..=36_000 {
            let now = appended(number);
            ages.note(sequence(number), now, age_max);
            let evicted = ages.through(now, sequence(number), age_max).get();
            let oldest = now - appended(evicted + 1);
            assert!(oldest <= 1_024_000 + 1_100, "{oldest} at {now}");
            assert!(evicted == 0 || now - appended(evicted) > 1_024_000, "{evicted} at {now}");
            assert!(ages.marks.len() <= 1_030);
        }
        let end = appended(36_000) + 1_024_001;
        assert_eq!(ages.through(end, sequence(36_000), age_max), sequence(36_000));
    }
}

//! The moments at which readers of patterns were told of gaps.
//!
//! A page of the journal says by which entry, or at which time, an event came to be beyond a limit of its topic. A reader
//! of exact topics has them counted, so that each loss has a stamp. A reader of a pattern that meets such an event has
//! been told of it if it was told of a gap after that moment.

use std::collections::VecDeque;

use super::EvictionStamp;
use crate::cursor::Sequence;
use crate::time::Time;

/// The latest moments at which gaps were told, in their order.
#[derive(Debug, Default)]
pub(super) struct Tellings {
    list: VecDeque<Telling>,
}

#[derive(Clone, Copy, Debug)]
struct Telling {
    /// The stamp that readers told then have, and nobody told before.
    stamp: EvictionStamp,
    /// Losses by the commit of an entry up to here were told.
    through: Sequence,
    time: Time,
}

/// The moment of a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// An entry was committed.
    Entry(Sequence),
    /// The event became too old.
    Time(Time),
}

/// Moments that are kept. Readers told before them may be told again.
const TELLINGS_MAX: usize = 1024;

impl Tellings {
    pub(super) fn note(&mut self, stamp: EvictionStamp, through: Sequence, time: Time) {
        if self.list.len() == TELLINGS_MAX {
            self.list.pop_front();
        }
        self.list.push_back(Telling { stamp, through, time });
    }

    /// Returns whether a reader with a stamp was told of a loss.
    pub(super) fn has_told(&self, moment: Moment, told_at: EvictionStamp) -> bool {
        let last = self.list.partition_point(|telling| telling.stamp <= told_at).checked_sub(1);
        let told = last.map(|last| self.list[last]);
        told_at == EvictionStamp::MAX
            || told.is_some_and(|told| match moment {
                Moment::Entry(sequence) => sequence <= told.through,
                Moment::Time(time) => time <= told.time,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_was_told_to_those_who_were_told_of_a_gap_after_it() {
        let sequence = |number| Sequence::new(number).unwrap();
        let stamps: Vec<_> =
            std::iter::successors(Some(EvictionStamp::default()), |s| Some(s.next()))
                .take(2 * TELLINGS_MAX)
                .collect();
        let mut tellings = Tellings::default();
        let entry = |number| Moment::Entry(sequence(number));
        assert!(!tellings.has_told(entry(1), stamps[1]));
        assert!(tellings.has_told(entry(1), EvictionStamp::MAX));
        tellings.note(stamps[1], sequence(10), Time::from_unix_millis(5));
        tellings.note(stamps[3], sequence(20), Time::from_unix_millis(9));
        for (told_at, told) in [(0, 0), (1, 10), (2, 10), (3, 20), (4, 20)] {
            let is_told = |number| tellings.has_told(entry(number), stamps[told_at]);
            assert_eq!((is_told(told), is_told(told + 1)), (told_at > 0, false), "{told_at}");
        }
        assert!(tellings.has_told(Moment::Time(Time::from_unix_millis(5)), stamps[1]));
        assert!(!tellings.has_told(Moment::Time(Time::from_unix_millis(6)), stamps[2]));
        for &stamp in &stamps[4..] {
            tellings.note(stamp, sequence(30), Time::from_unix_millis(9));
        }
        assert_eq!(tellings.list.len(), TELLINGS_MAX);
        assert!(!tellings.has_told(entry(1), stamps[3]), "it was told too long ago");
    }
}

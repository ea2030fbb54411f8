//! A ladder: events of a topic along which its limits move on as newer events come, so that the topic need not be counted
//! again for each of them.

use crate::cursor::Sequence;
use crate::retention::TopicLimits;

/// Events of a topic in their order, one after the other, and a count of those within its limits.
#[derive(Debug, Default)]
pub(super) struct Ladder {
    /// Each with the bytes of those before it.
    rungs: Vec<(Sequence, usize)>,
    /// Bytes of all of them.
    rungs_bytes: usize,
    /// How many of them were beyond the limits.
    beyond: usize,
    /// How many events of the topic were within the limits, and their bytes. They begin after those that were beyond.
    events: usize,
    bytes: usize,
}

/// The difference to the count.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Change {
    /// Newer events, or, below zero, those that are left out.
    pub(super) events: i64,
    pub(super) bytes: i64,
}

/// The place that a limit has reached on a ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// The first so many events on the ladder are beyond the limits.
    Rung(usize),
    /// All events on the ladder are beyond the limits, and perhaps some after them.
    End,
}

impl Change {
    pub(super) fn minus(self, other: Self) -> Self {
        Self { events: self.events - other.events, bytes: self.bytes - other.bytes }
    }
}

impl Ladder {
    /// Makes a ladder of events, each with its bytes. Those up to `beyond` were beyond the limits, and `events` events after
    /// it, with `bytes` bytes, were not.
    pub(super) fn new(
        events: impl Iterator<Item = (Sequence, usize)>,
        beyond: Option<Sequence>,
        (within, bytes): (usize, usize),
    ) -> Self {
        let mut rungs_bytes = 0;
        let rung = |(event, bytes)| {
            let before = rungs_bytes;
            rungs_bytes += bytes;
            (event, before)
        };
        let rungs: Vec<_> = events.map(rung).collect();
        let beyond = rungs.partition_point(|(event, _)| Some(*event) <= beyond);
        Self { rungs, rungs_bytes, beyond, events: within, bytes }
    }

    /// The place that the limits have reached after a change.
    pub(super) fn reach(&self, limits: &TopicLimits, change: Change) -> Reached {
        let bytes_to = |rung: usize| self.rungs.get(rung).map_or(self.rungs_bytes, |rung| rung.1);
        let is_beyond = |rung: usize| {
            let between = self.beyond as i64 - rung as i64;
            let newer = self.events as i64 + between - 1 + change.events;
            let bytes = self.bytes as i64 + bytes_to(self.beyond) as i64 - bytes_to(rung) as i64;
            limits.events_max.is_some_and(|max| newer >= whole(max.get()))
                || limits
                    .bytes_max
                    .is_some_and(|max| newer > 0 && bytes + change.bytes > whole(max.get()))
        };
        let (mut low, mut high) = match change.events < 0 || change.bytes < 0 {
            true => (0, self.rungs.len()),
            // The topic has only grown: events that were beyond the limits are beyond them still.
            false => (self.beyond, self.rungs.len()),
        };
        while low < high {
            let middle = low + (high - low) / 2;
            match is_beyond(middle) {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        let is_whole = self.rungs.len() - self.beyond >= self.events;
        match low == self.rungs.len() && !is_whole && is_beyond(low) {
            true => Reached::End,
            false => Reached::Rung(low),
        }
    }

    /// The last of the first so many events.
    pub(super) fn last_of(&self, events: usize) -> Option<Sequence> {
        Some(self.rungs.get(events.checked_sub(1)?)?.0)
    }

    /// How many events are on it.
    pub(super) fn len(&self) -> usize {
        self.rungs.len()
    }

    /// Forgets the events, but not the count.
    pub(super) fn shorten(&mut self) {
        (self.rungs, self.rungs_bytes, self.beyond) = (Vec::new(), 0, 0);
    }

    /// Bytes allocated.
    pub(super) fn heap_bytes(&self) -> usize {
        self.rungs.capacity() * size_of::<(Sequence, usize)>()
    }
}

/// The largest limits are none.
fn whole(max: usize) -> i64 {
    i64::try_from(max).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    fn sequence(number: u64) -> Sequence {
        Sequence::new(number).unwrap()
    }

    /// A ladder of the first events of a topic that has so many, of ten bytes each.
    fn ladder(rungs: u64, of: usize, limits: &TopicLimits) -> Ladder {
        let all = (1..=of as u64).map(|number| (sequence(number), 10));
        let max = limits.events_max.map_or(usize::MAX, NonZeroUsize::get);
        let within = max.min(limits.bytes_max.map_or(usize::MAX, |max| max.get() / 10)).min(of);
        let beyond = sequence((of - within) as u64);
        let next = all.take(rungs as usize);
        Ladder::new(next, Some(beyond), (within, within * 10))
    }

    #[test]
    fn limits_move_on_by_one_event_for_each_new_one_and_back_for_each_that_is_left_out() {
        let number = |number| NonZeroUsize::new(number).unwrap();
        for limits in [
            TopicLimits::default().with_events_max(number(5)),
            TopicLimits::default().with_bytes_max(number(50)),
            TopicLimits::default().with_bytes_max(number(59)),
        ] {
            let ladder = ladder(12, 12, &limits);
            for new in -4_i64..=5 {
                let change = Change { events: new, bytes: new * 10 };
                let reached = ladder.reach(&limits, change);
                assert_eq!(reached, Reached::Rung((7 + new) as usize), "{limits:?} {new}");
            }
            assert_eq!(ladder.last_of(7), Some(sequence(7)));
            assert_eq!(ladder.last_of(0), None);
        }
    }

    #[test]
    fn a_ladder_that_is_too_short_says_so_and_one_of_all_events_ends_with_them() {
        let limits = TopicLimits::default().with_events_max(NonZeroUsize::new(5).unwrap());
        let reach = |ladder: &Ladder, events| ladder.reach(&limits, Change { events, bytes: 0 });
        let short = ladder(9, 12, &limits);
        assert_eq!((reach(&short, 2), reach(&short, 3)), (Reached::Rung(9), Reached::End));
        let whole = ladder(12, 12, &limits);
        assert_eq!((reach(&whole, 5), reach(&whole, 50)), (Reached::Rung(12), Reached::Rung(12)));
        let few = ladder(3, 3, &limits);
        assert_eq!((reach(&few, 2), reach(&few, 3)), (Reached::Rung(0), Reached::Rung(1)));
    }

    #[test]
    fn the_newest_event_is_within_a_limit_on_bytes_whatever_its_size() {
        let limits = TopicLimits::default().with_bytes_max(NonZeroUsize::new(5).unwrap());
        let one = Ladder::new([(sequence(1), 10)].into_iter(), None, (1, 10));
        assert_eq!(one.reach(&limits, Change::default()), Reached::Rung(0));
        assert_eq!(one.reach(&limits, Change { events: 1, bytes: 10 }), Reached::Rung(1));
    }
}

//! The places of some events of a stream, so that an index finds its event, and an event its index.

use crate::cursor::Sequence;

/// Places of a stream at which the number of its events up to there is known, in order.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    list: Vec<Counted>,
    /// So many events are between two of them.
    step: u64,
}

/// A stream has so many events up to a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) place: Sequence,
    pub(crate) events: u64,
}

/// Few enough to be counted at once, and a quarter of a byte for each event.
const STEP: u64 = 64;
/// 16 KiB of a stream. A longer list keeps every second place.
const PLACES_MAX: usize = 1024;

impl Default for Places {
    fn default() -> Self {
        Self { list: Vec::new(), step: STEP }
    }
}

impl Places {
    /// Notes a place, after all others, if it is far enough from the one before.
    pub(super) fn note(&mut self, counted: Counted) {
        let newest = self.list.last().map_or(0, |last| last.events);
        if counted.events < newest + self.step {
            return;
        }
        self.list.push(counted);
        if self.list.len() > PLACES_MAX {
            self.thin_out();
        }
    }

    /// Adds places that were found by counting.
    pub(super) fn learn(&mut self, found: &[Counted]) {
        self.list.extend_from_slice(found);
        self.list.sort_unstable_by_key(|counted| counted.place);
        self.list.dedup_by_key(|counted| counted.place);
        while self.list.len() > PLACES_MAX {
            self.thin_out();
        }
    }

    /// Notes that there are more events before all of them.
    pub(super) fn shift(&mut self, events: u64) {
        self.list.iter_mut().for_each(|counted| counted.events += events);
    }

    fn thin_out(&mut self) {
        self.step *= 2;
        let mut number = 0;
        self.list.retain(|_| {
            number += 1;
            number % 2 == 0
        });
    }

    /// The first one at or after a place.
    pub(super) fn at_or_after(&self, place: Sequence) -> Option<Counted> {
        self.list.get(self.list.partition_point(|counted| counted.place < place)).copied()
    }

    /// The last one before the event with an index, and the first one from that event on.
    pub(super) fn around(&self, index: u64) -> (Option<Counted>, Option<Counted>) {
        let at = self.list.partition_point(|counted| counted.events <= index);
        let before = at.checked_sub(1).and_then(|before| self.list.get(before));
        (before.copied(), self.list.get(at).copied())
    }

    /// Bytes that it has allocated.
    pub(super) fn heap_bytes(&self) -> usize {
        self.list.capacity() * size_of::<Counted>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every third sequence is an event of the stream.
    fn counted(events: u64) -> Counted {
        Counted { place: Sequence::new(3 * events).unwrap(), events }
    }

    #[test]
    fn any_event_is_near_a_place_and_a_long_stream_has_no_more_of_them() {
        for events in [0, 1, STEP, 1000, 20_000, 1_000_000] {
            let mut places = Places::default();
            (1..=events).for_each(|number| places.note(counted(number)));
            assert!(places.list.len() <= PLACES_MAX);
            assert!(places.step <= STEP.max(2 * events / PLACES_MAX as u64 + 2));
            for index in [0, events / 3, events / 2, events.saturating_sub(1)] {
                let (before, through) = places.around(index);
                let (after, through) = (before.map_or(0, |it| it.events), through);
                assert!(after <= index && index - after < 2 * places.step, "{index} of {events}");
                let through = through.map_or(events.max(index + 1), |it| it.events);
                assert!(through > index && through - index <= 2 * places.step, "{index}");
                let next = places.at_or_after(counted(index + 1).place);
                assert!(next.is_none_or(|next| next.events == through));
            }
        }
    }

    #[test]
    fn places_found_by_counting_come_between_the_others() {
        let mut places = Places::default();
        places.learn(&[counted(100), counted(150)]);
        places.learn(&[counted(20), counted(100)]);
        assert_eq!(places.around(99), (Some(counted(20)), Some(counted(100))));
        assert_eq!(places.at_or_after(counted(101).place), Some(counted(150)));
        let many: Vec<_> = (1..=5000).map(counted).collect();
        places.learn(&many);
        assert!(places.list.len() <= PLACES_MAX && places.list.is_sorted_by_key(|it| it.place));
    }
}

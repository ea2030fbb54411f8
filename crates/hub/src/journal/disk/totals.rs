//! Totals: how many records a topic may have in the journal at most, and how large they may be.
//!
//! Most topics are within their limits. Without totals, each page of all topics would look for each of its topics in
//! all later segments, only to find that.

use crate::cursor::Sequence;
use crate::retention::TopicLimits;

/// Upper bounds for all topics in a fixed amount of memory: topics share them.
#[derive(Default)]
pub(super) struct Totals {
    bounds: Vec<Bound>,
    /// Everything up to here is counted.
    pub(super) through: Sequence,
    /// The place that the oldest record passes when it is time to count anew, because much was removed.
    pub(super) anew_at: Sequence,
    /// Whether the sizes of records are counted, too.
    pub(super) has_bytes: bool,
}

/// An upper bound of the records of a topic.
#[derive(Clone, Copy, Default)]
pub(super) struct Bound {
    records: u32,
    /// In units of [`UNIT_BYTES`], rounded up for each record.
    units: u32,
}

/// Number of bounds: 2 MiB of memory, and about one topic for each bound with a quarter of a million topics.
const BOUNDS: usize = 1 << 18;
const UNIT_BYTES: usize = 64;

impl Bound {
    /// Some records, with their sizes if these are counted.
    pub(super) fn new(records: usize, sizes: impl Iterator<Item = usize>) -> Self {
        let units = sizes.map(|size| size.div_ceil(UNIT_BYTES)).sum::<usize>();
        let bound = |number| u32::try_from(number).unwrap_or(u32::MAX);
        Self { records: bound(records), units: bound(units) }
    }
}

impl Totals {
    /// Totals of nothing.
    pub(super) fn new(anew_at: Sequence, has_bytes: bool) -> Self {
        let bounds = vec![Bound::default(); BOUNDS];
        Self { bounds, through: Sequence::ZERO, anew_at, has_bytes }
    }

    /// Returns whether nothing was ever counted.
    pub(super) fn is_unused(&self) -> bool {
        self.bounds.is_empty()
    }

    /// Adds records of a topic, by the hash of its name.
    pub(super) fn add(&mut self, hash: u64, more: Bound) {
        let bound = &mut self.bounds[hash as usize % BOUNDS];
        bound.records = bound.records.saturating_add(more.records);
        bound.units = bound.units.saturating_add(more.units);
    }

    /// Returns whether a topic, by the hash of its name, may have something beyond its limits. Each of `uncounted` records
    /// may be of any topic.
    pub(super) fn may_exceed(&self, hash: u64, limits: &TopicLimits, uncounted: u64) -> bool {
        let Some(bound) = self.bounds.get(hash as usize % BOUNDS) else { return true };
        let (records, bytes) =
            (u64::from(bound.records) + uncounted, bound.units as usize * UNIT_BYTES);
        limits.events_max.is_some_and(|max| records > max.get() as u64)
            || limits.bytes_max.is_some_and(|max| bytes > max.get())
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    #[test]
    fn a_topic_may_exceed_a_limit_once_so_much_is_counted_or_uncounted() {
        let number = |number| NonZeroUsize::new(number).unwrap();
        let events = TopicLimits::default().with_events_max(number(3));
        let bytes = TopicLimits::default().with_bytes_max(number(256));
        let mut totals = Totals::default();
        assert!(totals.may_exceed(7, &events, 0), "nothing is known");
        totals = Totals::new(Sequence::ZERO, true);
        totals.add(7, Bound::new(3, [100, 100].into_iter()));
        let exceeds =
            |totals: &Totals| [&events, &bytes].map(|limits| totals.may_exceed(7, limits, 0));
        assert_eq!(exceeds(&totals), [false, false]);
        assert!(totals.may_exceed(7, &events, 1) && !totals.may_exceed(8, &events, 3));
        totals.add(7, Bound::new(1, [1].into_iter()));
        assert_eq!(exceeds(&totals), [true, true]);
    }
}

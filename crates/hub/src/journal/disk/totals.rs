//! Totals: how many records a topic may have in the journal at most, and how large they may be.
//!
//! Most topics are within their limits. Without totals, each page of all topics would look for each of its topics in
//! all later segments, only to find that.

use crate::cursor::Sequence;

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

    /// The events and bytes that a topic, by the hash of its name, has at most. Each of `uncounted` records may be of any
    /// topic.
    pub(super) fn at_most(&self, hash: u64, uncounted: u64) -> (usize, usize) {
        let Some(bound) = self.bounds.get(hash as usize % BOUNDS) else {
            return (usize::MAX, usize::MAX);
        };
        let uncounted = usize::try_from(uncounted).unwrap_or(usize::MAX);
        ((bound.records as usize).saturating_add(uncounted), bound.units as usize * UNIT_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_has_at_most_what_is_counted_and_uncounted() {
        let mut totals = Totals::default();
        assert_eq!(totals.at_most(7, 0), (usize::MAX, usize::MAX), "nothing is known");
        totals = Totals::new(Sequence::ZERO, true);
        totals.add(7, Bound::new(3, [100, 100].into_iter()));
        assert_eq!((totals.at_most(7, 0), totals.at_most(8, 3)), ((3, 256), (3, 0)));
        totals.add(7, Bound::new(1, [1].into_iter()));
        assert_eq!(totals.at_most(7, 1), (5, 320));
    }
}

//! Statistics of the writer, for operators.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// Statistics of an open journal.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct DiskStats {
    /// Size of the segments in bytes.
    pub bytes: u64,
    /// Number of segments.
    pub segments: usize,
    /// Number of entries.
    pub entries: u64,
    /// Duration of each commit in seconds: writing and syncing the submissions that it consists of.
    pub commit_seconds: Histogram,
    /// Number of entries of each commit.
    pub commit_entries: Histogram,
    /// Number of commits that were refused because the disk was full.
    pub refused: u64,
}

/// A distribution of values.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Histogram {
    /// Number of values.
    pub count: u64,
    /// Sum of all values.
    pub sum: f64,
    /// Upper bounds in rising order, each with the number of values that are at most the bound and
    /// above the one before. The last bound is infinite.
    pub buckets: Vec<(f64, u64)>,
}

impl Histogram {
    fn new(bounds: &[f64]) -> Self {
        let bounds = bounds.iter().copied().chain([f64::INFINITY]);
        Self { count: 0, sum: 0.0, buckets: bounds.map(|bound| (bound, 0)).collect() }
    }

    fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        if let Some((_, count)) = self.buckets.iter_mut().find(|(bound, _)| value <= *bound) {
            *count += 1;
        }
    }
}

/// From a tenth of a millisecond, which a fast disk takes, to a second, which is a failing disk.
const SECONDS: [f64; 13] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];
const ENTRIES: [f64; 9] = [1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0];

/// Counts the commits of the writer and the bytes of its idempotency keys.
pub(super) struct Tally {
    counted: Mutex<Counted>,
    /// Bytes of the idempotency keys, so that the history can be charged without waiting for the writer.
    keys_bytes: AtomicUsize,
}

struct Counted {
    seconds: Histogram,
    entries: Histogram,
    refused: u64,
}

impl Default for Tally {
    fn default() -> Self {
        let (seconds, entries) = (Histogram::new(&SECONDS), Histogram::new(&ENTRIES));
        let counted = Mutex::new(Counted { seconds, entries, refused: 0 });
        Self { counted, keys_bytes: AtomicUsize::new(0) }
    }
}

impl Tally {
    pub(super) fn committed(&self, entries: usize, took: Duration) {
        let mut counted = self.counted.lock();
        counted.seconds.add(took.as_secs_f64());
        counted.entries.add(entries as f64);
    }

    pub(super) fn keep_keys(&self, bytes: usize) {
        self.keys_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn keys_bytes(&self) -> usize {
        self.keys_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn refused(&self) {
        self.counted.lock().refused += 1;
    }

    /// Returns the statistics, without those of the segments.
    pub(super) fn stats(&self) -> DiskStats {
        let counted = self.counted.lock();
        DiskStats {
            commit_seconds: counted.seconds.clone(),
            commit_entries: counted.entries.clone(),
            refused: counted.refused,
            ..DiskStats::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_counted_below_the_first_bound_that_is_not_smaller() {
        let mut histogram = Histogram::new(&[1.0, 4.0]);
        [1.0, 1.5, 4.0, 4.5].into_iter().for_each(|value| histogram.add(value));
        assert_eq!(histogram.buckets, [(1.0, 1), (4.0, 2), (f64::INFINITY, 1)]);
        assert_eq!((histogram.count, histogram.sum), (4, 11.0));
    }
}

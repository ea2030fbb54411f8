//! Latencies, counted in buckets whose width grows with the time.

use serde::Serialize;

/// A histogram of times, from which percentiles are computed.
///
/// The width of a bucket is at most 1/64 of the times in it, and a percentile is the middle of a
/// bucket, so it is off by less than 1 %. The maximum is exact.
#[derive(Debug)]
pub(crate) struct Latencies {
    /// Indexed by [`bucket`].
    counts: Vec<u64>,
    count: u64,
    max: u64,
}

/// Percentiles, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], count: 0, max: 0 }
    }
}

impl Latencies {
    /// Adds a time in nanoseconds.
    #[inline]
    pub(crate) fn add(&mut self, nanos: u64) {
        self.counts[bucket(nanos)] += 1;
        self.count += 1;
        self.max = self.max.max(nanos);
    }

    /// Returns the percentiles; `None` if there are no times.
    pub(crate) fn percentiles(&self) -> Option<Percentiles> {
        (self.count > 0).then(|| Percentiles {
            p50: self.percentile(500),
            p90: self.percentile(900),
            p99: self.percentile(990),
            p999: self.percentile(999),
            max: millis(self.max),
        })
    }

    /// Returns the smallest time that is not exceeded by `per_mille` of a thousand times.
    fn percentile(&self, per_mille: u64) -> f64 {
        let rank = (u128::from(self.count) * u128::from(per_mille)).div_ceil(1000).max(1) as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return millis(middle(bucket).min(self.max));
            }
        }
        millis(self.max)
    }
}

/// Each time below this has a bucket of its own.
const EXACT: u64 = 128;
/// The number of buckets for each doubling above that.
const STEPS: usize = 64;
/// Enough for every 64-bit number.
const BUCKETS: usize = 58 * STEPS + STEPS;

#[inline]
fn bucket(nanos: u64) -> usize {
    let shift = (EXACT.leading_zeros() + 1).saturating_sub(nanos.leading_zeros()) as usize;
    // If the shift is above 0, this is between 64 and 127.
    shift * STEPS + (nanos >> shift) as usize
}

fn middle(bucket: usize) -> u64 {
    if bucket < EXACT as usize {
        return bucket as u64;
    }
    let shift = bucket / STEPS - 1;
    let low = ((bucket - shift * STEPS) as u64) << shift;
    low + (1 << shift) / 2
}

fn millis(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_times_within_a_hundredth() {
        for shift in 0..64 {
            for step in 0..64 {
                let nanos = (1_u64 << shift).saturating_add((1_u64 << shift) / 64 * step);
                let told = middle(bucket(nanos));
                let off = nanos.abs_diff(told) as f64 / nanos as f64;
                assert!(off < 0.01, "{nanos} is told as {told}");
            }
        }
        assert!(bucket(u64::MAX) < BUCKETS);
    }

    #[test]
    fn buckets_follow_one_another_without_a_hole() {
        let mut last = 0;
        for nanos in 0..100_000 {
            let bucket = bucket(nanos);
            assert!(bucket == last || bucket == last + 1, "{nanos}");
            last = bucket;
        }
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_times() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.percentiles(), None);
        for micros in (1..=10_000).rev() {
            latencies.add(micros * 1_000);
        }
        let told = latencies.percentiles().unwrap();
        for (told, exact) in [(told.p50, 5.0), (told.p90, 9.0), (told.p99, 9.9), (told.p999, 9.99)]
        {
            assert!((told - exact).abs() < exact / 100.0, "{told} is not about {exact}");
        }
        assert_eq!(told.max, 10.0);
    }

    #[test]
    fn one_time_is_every_percentile_and_none_exceeds_the_maximum() {
        let mut latencies = Latencies::default();
        latencies.add(1_000_001);
        let told = latencies.percentiles().unwrap();
        assert!(told.p50 <= told.max && told.p999 <= told.max);
        assert_eq!(told.max, 1.000_001);
    }
}

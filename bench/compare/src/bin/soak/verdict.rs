//! The rule by which memory is flat, and what else has to hold.

use crate::sample::Sample;
use crate::tally::Tally;

/// The slope of a fitted line over the second half has to be less, in MB per minute: a tenth of
/// what a fragmenting heap shows under this load after a quarter of an hour.
pub(crate) const SLOPE_MAX: f64 = 0.05;
/// The last quarter's mean has to be less than the third quarter's, times this.
pub(crate) const GROWTH_MAX: f64 = 1.02;

/// The findings.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// MB per minute over the second half.
    pub(crate) slope: f64,
    /// The mean of the third quarter and of the last, in MB.
    pub(crate) quarters: [f64; 2],
    /// Descriptors that are left when all clients have gone, beyond those before they came.
    pub(crate) descriptors_left: usize,
    /// All faults of the load and the clients.
    pub(crate) faults: u64,
}

impl Verdict {
    pub(crate) fn new(samples: &[Sample], before: &Sample, after: &Sample, tally: &Tally) -> Self {
        let half = &samples[samples.len() / 2..];
        let (third, last) = half.split_at(half.len() / 2);
        Self {
            slope: slope(half),
            quarters: [mean(third), mean(last)],
            descriptors_left: after.descriptors.saturating_sub(before.descriptors),
            faults: tally.faults.values().sum(),
        }
    }

    pub(crate) fn is_flat(&self) -> bool {
        let [third, last] = self.quarters;
        self.slope < SLOPE_MAX && last < third * GROWTH_MAX
    }

    /// Fails with all that does not hold.
    pub(crate) fn result(&self) -> Result<(), String> {
        let mut wrong = Vec::new();
        if !self.is_flat() {
            let [third, last] = self.quarters;
            wrong.push(format!(
                "memory is not flat: {:.3} MB per minute, {third:.2} MB and then {last:.2} MB",
                self.slope
            ));
        }
        if self.descriptors_left > 0 {
            wrong.push(format!("{} descriptors are left", self.descriptors_left));
        }
        if self.faults > 0 {
            wrong.push(format!("there were {} faults", self.faults));
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }
}

/// Returns the slope of the least squares' line through the samples' memory, in MB per minute.
fn slope(samples: &[Sample]) -> f64 {
    let minutes = |sample: &Sample| sample.at.as_secs_f64() / 60.0;
    let middle = samples.iter().map(minutes).sum::<f64>() / samples.len() as f64;
    let height = mean(samples);
    let (mut together, mut square) = (0.0, 0.0);
    for sample in samples {
        let x = minutes(sample) - middle;
        together += x * (sample.memory - height);
        square += x * x;
    }
    together / square
}

fn mean(samples: &[Sample]) -> f64 {
    samples.iter().map(|sample| sample.memory).sum::<f64>() / samples.len() as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Verdict;
    use crate::sample::Sample;
    use crate::tally::Tally;

    /// Samples of an hour, one each 10 s.
    fn verdict(memory: impl Fn(f64) -> f64) -> Verdict {
        let samples: Vec<_> = (1..=360)
            .map(|number| Sample {
                at: Duration::from_secs(10 * number),
                memory: memory(number as f64 / 6.0),
                ..Sample::default()
            })
            .collect();
        let idle = Sample::default();
        Verdict::new(&samples, &idle, &idle, &Tally::default())
    }

    #[test]
    fn a_slope_counts_in_the_second_half_alone() {
        assert!((verdict(|minute| 20.0 + minute / 10.0).slope - 0.1).abs() < 1e-9);
        let warms_up = verdict(|minute| 20.0 + minute.min(25.0));
        assert!(warms_up.slope.abs() < 1e-9);
        assert_eq!(warms_up.result(), Ok(()));
    }

    #[test]
    fn growth_is_not_flat_and_a_saw_is() {
        assert!(!verdict(|minute| 20.0 + 0.06 * minute).is_flat());
        // Slower than the slope allows, but 3 % from quarter to quarter.
        assert!(!verdict(|minute| 10.0 + 0.04 * (minute - 30.0).max(0.0)).is_flat());
        assert!(verdict(|minute| 20.0 + minute % 2.0).is_flat());
    }

    #[test]
    fn one_fault_is_too_many() {
        let mut verdict = verdict(|_| 20.0);
        assert_eq!(verdict.result(), Ok(()));
        verdict.faults = 1;
        assert!(verdict.result().is_err());
    }

    #[test]
    fn nothing_sampled_is_not_flat() {
        let idle = Sample::default();
        assert!(!Verdict::new(&[], &idle, &idle, &Tally::default()).is_flat());
    }
}

//! Failures: reads that the journal could not do, and when that is told.

/// How many reads have failed and have not succeeded since.
#[derive(Debug, Default)]
pub(super) struct Failures {
    failing: usize,
    /// When a failure was told last, by the hub's steady clock, in milliseconds.
    told_at: Option<u64>,
}

/// Least time between two failures that are told, in milliseconds.
const TELLING_INTERVAL: u64 = 60_000;

impl Failures {
    /// Returns whether there are reads that failed when they were last tried.
    pub(super) fn is_failing(&self) -> bool {
        self.failing > 0
    }

    /// Notes a read that has failed for the first time; `true` if that is to be told: no other one is failing,
    /// and none was told in the last minute.
    pub(super) fn begin(&mut self, now: u64) -> bool {
        self.failing += 1;
        let is_told =
            self.failing == 1 && self.told_at.is_none_or(|at| now >= at + TELLING_INTERVAL);
        if is_told {
            self.told_at = Some(now);
        }
        is_told
    }

    /// Notes that a read which had failed has succeeded, or is needed no more; `true` if it was the last one.
    pub(super) fn end(&mut self) -> bool {
        self.failing -= 1;
        self.failing == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads that succeed between those that fail made each tick tell the failure again.
    #[test]
    fn a_failure_is_told_when_it_begins_and_at_most_once_a_minute() {
        let mut failures = Failures::default();
        assert!(failures.begin(5), "the first");
        assert!(!failures.begin(6) && !failures.end() && failures.is_failing(), "another one");
        assert!(failures.end() && !failures.is_failing());
        assert!(!failures.begin(5 + TELLING_INTERVAL - 1) && failures.end(), "too soon");
        assert!(failures.begin(5 + TELLING_INTERVAL));
    }
}

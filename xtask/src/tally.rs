//! Sums up the results of test runners, for the last line of a run.

use std::fmt;
use std::ops::AddAssign;

/// The numbers of tests by result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Tests that passed.
    pub(crate) passed: u64,
    /// Tests that failed or were cut off.
    pub(crate) failed: u64,
    /// Tests that the runner skipped.
    pub(crate) skipped: u64,
}

impl Tally {
    /// Adds one line of a runner's output, if it is part of a summary.
    ///
    /// Recognizes cargo's `test result: …` and the last lines of Node's test runner.
    pub(crate) fn read_line(&mut self, line: &str) {
        if let Some(result) = line.trim().strip_prefix("test result: ") {
            self.read_cargo(result);
        } else if let Some(total) = line.trim_end().strip_prefix("ℹ ") {
            self.read_node(total);
        }
    }

    /// Returns whether no test ran.
    pub(crate) fn is_empty(&self) -> bool {
        self.passed + self.failed == 0
    }

    fn read_cargo(&mut self, result: &str) {
        // `ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s`
        let counts = result.split_once(". ").map_or("", |(_, counts)| counts);
        for count in counts.split("; ") {
            let Some((number, what)) = count.split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }

    fn read_node(&mut self, total: &str) {
        let Some((what, number)) = total.split_once(' ') else { return };
        let Ok(number) = number.parse::<u64>() else { return };
        match what {
            "pass" => self.passed += number,
            "fail" | "cancelled" => self.failed += number,
            "skipped" | "todo" => self.skipped += number,
            _ => {}
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[track_caller]
    fn check(output: &str, passed: u64, failed: u64, skipped: u64) {
        let mut tally = Tally::default();
        output.lines().for_each(|line| tally.read_line(line));
        assert_eq!(tally, Tally { passed, failed, skipped });
    }

    #[test]
    fn cargos_results_are_summed_over_all_binaries() {
        check(
            "running 3 tests\n\
             test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; \
             finished in 0.00s\n\
             test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; \
             finished in 1.50s\n",
            13,
            2,
            1,
        );
    }

    #[test]
    fn nodes_summary_counts_cancelled_tests_as_failed_and_todo_as_skipped() {
        check(
            "✔ a claim (1.2ms)\nℹ tests 9\nℹ suites 0\nℹ pass 3\nℹ fail 1\nℹ cancelled 2\n\
             ℹ skipped 1\nℹ todo 2\nℹ duration_ms 51.2\n",
            3,
            3,
            3,
        );
    }

    #[test]
    fn a_line_that_only_resembles_a_summary_counts_nothing() {
        check("test result\nℹ pass\nℹ pass many\npass 3\n  ℹ pass 3\n", 0, 0, 0);
    }

    #[test]
    fn a_run_without_tests_is_empty_even_if_some_were_skipped() {
        let mut tally = Tally::default();
        tally.read_line("test result: ok. 0 passed; 0 failed; 4 ignored; 0 measured");
        assert!(tally.is_empty());
    }

    #[test]
    fn the_closing_line_names_passed_and_failed() {
        let tally = Tally { passed: 41, failed: 1, skipped: 0 };
        assert_eq!(tally.to_string(), "41 passed, 1 failed");
    }
}

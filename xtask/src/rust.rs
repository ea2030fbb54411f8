//! The steps that consist of one cargo command.

use crate::run::{Failure, cargo, command, count_tests, show};
use crate::setup::Setup;
use crate::tally::Tally;

pub(crate) fn fmt() -> Result<(), Failure> {
    show(cargo().args(["fmt", "--all", "--check"]))
        .map_err(|failure| Failure::new(format!("{failure}; `cargo fmt --all` formats the code")))
}

pub(crate) fn clippy() -> Result<(), Failure> {
    show(
        cargo()
            .args(["clippy", "--workspace", "--all-targets", "--all-features", "--locked"])
            .args(DENY_WARNINGS),
    )
}

pub(crate) fn test(tally: &mut Tally) -> Result<(), Failure> {
    // Runs all test binaries even if one fails, so that the final count is complete.
    let result =
        count_tests(cargo().args(["test", "--workspace", "--locked", "--no-fail-fast"]), tally);
    result.and_then(|()| all_ran(tally))
}

pub(crate) fn doc() -> Result<(), Failure> {
    show(
        cargo()
            .args(["doc", "--workspace", "--no-deps", "--document-private-items"])
            .args(["--all-features", "--locked"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}

pub(crate) fn features(setup: &Setup) -> Result<(), Failure> {
    show(
        command(setup.cargo_tool("cargo-hack"))
            .args(["hack", "clippy", "--workspace", "--feature-powerset", "--locked"])
            // It only stands for others, of which there is every combination already.
            .args(["--exclude-features", "default"])
            .args(DENY_WARNINGS),
    )
}

pub(crate) fn package() -> Result<(), Failure> {
    // Together, so that one crate finds the other before both are published.
    show(
        cargo().args(["package", "--package", "tidings-proto", "--package", "tidings-hub"]).args([
            "--allow-dirty",
            "--locked",
            "--quiet",
        ]),
    )
}

pub(crate) fn deny(setup: &Setup) -> Result<(), Failure> {
    show(command(setup.cargo_tool("cargo-deny")).args([
        "--all-features",
        "--locked",
        "check",
        "bans",
        "licenses",
        "sources",
    ]))
}

/// Fails a run that skipped a test or found none.
pub(crate) fn all_ran(tally: &Tally) -> Result<(), Failure> {
    if tally.is_empty() {
        return Err(Failure::new("no test ran"));
    }
    match tally.skipped {
        0 => Ok(()),
        skipped => Err(Failure::new(format!("{skipped} tests were skipped; every test must run"))),
    }
}

const DENY_WARNINGS: [&str; 3] = ["--", "-D", "warnings"];

#[cfg(test)]
mod tests {
    use super::all_ran;
    use crate::tally::Tally;

    #[test]
    fn a_run_of_no_tests_fails() {
        let failure = all_ran(&Tally::default()).expect_err("nothing ran");
        assert_eq!(failure.to_string(), "no test ran");
    }

    #[test]
    fn a_run_that_skipped_a_test_fails() {
        let tally = Tally { passed: 7, failed: 0, skipped: 1 };
        let failure = all_ran(&tally).expect_err("one was skipped");
        assert_eq!(failure.to_string(), "1 tests were skipped; every test must run");
    }

    #[test]
    fn a_run_in_which_every_test_ran_passes() {
        assert!(all_ran(&Tally { passed: 1, failed: 0, skipped: 0 }).is_ok());
    }
}

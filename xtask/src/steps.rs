//! The steps of CI, the cheapest failures first.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::run::Failure;
use crate::setup::{Need, Setup};
use crate::tally::Tally;
use crate::{e2e, examples, fuzz, layers, no_std, rust, tidy};

/// One step of CI, which also runs alone.
struct Step {
    name: &'static str,
    about: &'static str,
    needs: &'static [Need],
    run: fn(&Setup, &mut Tally) -> Result<(), Failure>,
}

/// All of CI.
const STEPS: [Step; 13] = [
    Step {
        name: "fmt",
        about: "the code is formatted",
        needs: &[Need::Rustfmt],
        run: |_, _| rust::fmt(),
    },
    Step {
        name: "clippy",
        about: "no lint warns, in any target",
        needs: &[Need::Clippy, Need::Make],
        run: |_, _| rust::clippy(),
    },
    Step {
        name: "layers",
        about: "crates depend only on what lies below them",
        needs: &[],
        run: |_, _| layers::run(),
    },
    Step {
        name: "tidy",
        about: "the house rules hold, and every rule of the event stream has a test",
        needs: &[Need::Git],
        run: |_, _| tidy::run(),
    },
    Step {
        name: "test",
        about: "the tests of all crates",
        needs: &[Need::Make],
        run: |_, tally| rust::test(tally),
    },
    Step {
        name: "doc",
        about: "the documentation builds, private items included",
        needs: &[Need::Make],
        run: |_, _| rust::doc(),
    },
    Step {
        name: "no-std",
        about: "the crate proto does not need the standard library",
        needs: &[],
        run: |_, _| no_std::run(),
    },
    Step {
        name: "features",
        about: "every combination of features is free of warnings",
        needs: &[Need::Clippy, Need::Make, Need::CargoTool("cargo-hack")],
        run: |setup, _| rust::features(setup),
    },
    Step {
        name: "examples",
        about: "programs outside the workspace that use the library build and pass their tests",
        needs: &[],
        run: |_, tally| examples::run(tally),
    },
    Step {
        name: "package",
        about: "the published libraries build from their packages",
        needs: &[],
        run: |_, _| rust::package(),
    },
    Step {
        name: "deny",
        about: "dependencies: licenses, duplicates, sources",
        needs: &[Need::CargoTool("cargo-deny")],
        run: |setup, _| rust::deny(setup),
    },
    Step {
        name: "fuzz",
        about: "every fuzz target runs briefly without a finding",
        needs: &[Need::CxxCompiler, Need::CargoTool("cargo-fuzz")],
        run: |setup, _| fuzz::run(setup),
    },
    Step {
        name: "e2e",
        about: "the program against real browsers, proxies and clients",
        needs: &[
            Need::Make,
            Need::Node,
            Need::Python,
            Need::Chromium,
            Need::Nginx,
            Need::Haproxy,
            Need::Caddy,
            Need::Apache,
            Need::Promtool,
            Need::SystemdAnalyze,
            Need::Php,
            Need::Ruby,
            Need::Go,
            Need::Java,
            Need::Curl,
            Need::NodePackages,
            Need::PythonPackages,
        ],
        run: |_, tally| e2e::run(tally),
    },
];

/// The output of `cargo xtask help`.
pub(crate) fn help() -> String {
    let mut text =
        String::from("cargo xtask CHORE\n\n  ci        everything below, in this order\n");
    for step in &STEPS {
        writeln!(text, "  {:<9} {}", step.name, step.about).expect("a String takes any text");
    }
    text.push_str(
        "  e2e PART  the files of e2e/ with this in their name, without a limit of time\n",
    );
    text.push_str("  setup     installs the requirements of all steps, or names what is missing\n");
    text
}

/// Runs every step and stops at the first failure.
pub(crate) fn run_all() -> Result<(), Failure> {
    let mut setup = Setup::default();
    let mut tally = Tally::default();
    let mut durations = String::new();
    let result = STEPS.iter().try_for_each(|step| {
        let took = run(step, &mut setup, &mut tally)?;
        writeln!(durations, "  {:<9} {:>7.1} s", step.name, took.as_secs_f64())
            .expect("a String takes any text");
        Ok(())
    });
    println!("\nSteps passed:\n{durations}");
    close(&tally);
    result
}

/// Runs the one step called `name`.
pub(crate) fn run_one(name: &str) -> Result<(), Failure> {
    let Some(step) = STEPS.iter().find(|step| step.name == name) else {
        return Err(Failure::new(format!(
            "no chore is called `{name}`; `cargo xtask help` lists them"
        )));
    };
    let mut tally = Tally::default();
    let result = run(step, &mut Setup::default(), &mut tally);
    close(&tally);
    result.map(|_| ())
}

/// Runs the end-to-end tests whose files have `part` in their names.
pub(crate) fn run_e2e(part: &str) -> Result<(), Failure> {
    let needs = STEPS.iter().filter(|step| step.name == "e2e").flat_map(|step| step.needs);
    Setup::default().provide(&needs.copied().collect::<Vec<_>>())?;
    let mut tally = Tally::default();
    let result = e2e::run_part(part, &mut tally);
    close(&tally);
    result
}

/// Installs the requirements of all steps.
pub(crate) fn set_up_all() -> Result<(), Failure> {
    let mut setup = Setup::default();
    let needs: Vec<Need> = STEPS.iter().flat_map(|step| step.needs).copied().collect();
    setup.provide(&needs)
}

/// Prints the last line, on success and failure alike: the counts of all test runners.
fn close(tally: &Tally) {
    if !tally.is_empty() {
        println!("{tally}");
    }
}

fn run(step: &Step, setup: &mut Setup, tally: &mut Tally) -> Result<Duration, Failure> {
    println!("\n── {}: {}", step.name, step.about);
    let started = Instant::now();
    setup.provide(step.needs)?;
    let mut counted = Tally::default();
    let result = (step.run)(setup, &mut counted);
    *tally += counted;
    let took = started.elapsed();
    result.map_err(|failure| Failure::new(format!("step `{}` failed: {failure}", step.name)))?;
    println!("── {}: passed in {:.1} s", step.name, took.as_secs_f64());
    Ok(took)
}

#[cfg(test)]
mod tests {
    use super::{STEPS, help};

    #[test]
    fn help_names_every_step() {
        let help = help();
        for step in &STEPS {
            assert!(help.contains(&format!("\n  {} ", step.name)), "{} is missing", step.name);
        }
    }

    #[test]
    fn the_order_is_the_one_in_which_a_failure_is_cheapest() {
        let names: Vec<_> = STEPS.iter().map(|step| step.name).collect();
        assert_eq!(
            names.join(" "),
            "fmt clippy layers tidy test doc no-std features examples package deny fuzz e2e"
        );
    }
}

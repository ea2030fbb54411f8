//! Runs every fuzz target briefly: long enough to notice a target that does not build or fails at once.
//! Finding deep bugs takes hours: run `cargo fuzz run NAME` by hand.

use std::process::Command;
use std::sync::Mutex;
use std::thread;

use crate::run::{Failure, command, read, root, said, show};
use crate::setup::Setup;

pub(crate) fn run(setup: &Setup) -> Result<(), Failure> {
    let listed = read(cargo_fuzz(setup).arg("list"))?;
    let targets: Vec<&str> = listed.split_whitespace().collect();
    if targets.is_empty() {
        return Err(Failure::new("fuzz/ holds no target"));
    }
    // All at once, which keeps every core busy.
    show(cargo_fuzz(setup).arg("build"))?;
    side_by_side(&targets, |target| {
        let mut run = cargo_fuzz(setup);
        run.args(["run", target, "--", SECONDS_EACH, QUIET, "-print_final_stats=1"]);
        said(&mut run).map(|said| println!("fuzzed {target}\n{}", said.trim_end()))
    })
}

/// Runs all targets, as many at a time as there are cores, because each keeps one busy. Returns the first failure.
fn side_by_side(
    targets: &[&str],
    run: impl Fn(&str) -> Result<(), Failure> + Sync,
) -> Result<(), Failure> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let next = Mutex::new(targets.iter());
    let take = || next.lock().expect("nobody panics with it").next().copied();
    thread::scope(|scope| {
        let work = || {
            while let Some(target) = take() {
                run(target)?;
            }
            Ok(())
        };
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a target was run"))
    })
}

/// Time per target that CI can afford.
const SECONDS_EACH: &str = "-max_total_time=15";

/// Omits a line for every input that reaches new code; findings are still reported in full.
const QUIET: &str = "-verbosity=0";

fn cargo_fuzz(setup: &Setup) -> Command {
    let mut command = command(setup.cargo_tool("cargo-fuzz"));
    command
        .arg("fuzz")
        .current_dir(root().join("fuzz"))
        // libFuzzer's coverage options are unstable. This makes the stable compiler accept them, so
        // that no second toolchain is needed.
        .env("RUSTC_BOOTSTRAP", "1");
    command
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::side_by_side;
    use crate::run::Failure;

    #[test]
    fn each_target_is_run_once_and_a_failure_is_not_lost() {
        let seen = Mutex::new(Vec::new());
        let run = |failing: &'static str| {
            side_by_side(&["a", "b", "c"], |target| {
                seen.lock().expect("nobody panics").push(target.to_owned());
                if target == failing { Err(Failure::new(target)) } else { Ok(()) }
            })
        };
        run("none").expect("no target fails");
        let mut all = std::mem::take(&mut *seen.lock().expect("nobody panics"));
        all.sort();
        assert_eq!(all, ["a", "b", "c"]);
        assert_eq!(run("c").expect_err("one fails").to_string(), "c");
    }
}

//! Runs every fuzz target for a short while: long enough to notice a target that no longer builds
//! or falls over at once. Finding deep bugs takes hours, by hand: `cargo fuzz run NAME`.

use std::process::Command;

use crate::run::{Failure, command, read, root, show};
use crate::setup::Setup;

pub(crate) fn run(setup: &Setup) -> Result<(), Failure> {
    let listed = read(cargo_fuzz(setup).arg("list"))?;
    let targets: Vec<&str> = listed.split_whitespace().collect();
    if targets.is_empty() {
        return Err(Failure::new("fuzz/ holds no target"));
    }
    for target in targets {
        println!("fuzzing {target}");
        show(cargo_fuzz(setup).args([
            "run",
            target,
            "--",
            SECONDS_EACH,
            QUIET,
            "-print_final_stats=1",
        ]))?;
    }
    Ok(())
}

/// What CI can afford for each target.
const SECONDS_EACH: &str = "-max_total_time=15";

/// Without a line for every input that reached something new; a finding is still told in full.
const QUIET: &str = "-verbosity=0";

fn cargo_fuzz(setup: &Setup) -> Command {
    let mut command = command(setup.cargo_tool("cargo-fuzz"));
    command
        .arg("fuzz")
        .current_dir(root().join("fuzz"))
        // The coverage flags that libFuzzer needs are unstable; this lets the stable compiler the
        // rest is built with take them, so that no second toolchain is needed.
        .env("RUSTC_BOOTSTRAP", "1");
    command
}

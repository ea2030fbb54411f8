//! Runs every fuzz target briefly: long enough to notice a target that does not build or fails at once.
//! Finding deep bugs takes hours: run `cargo fuzz run NAME` by hand.

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

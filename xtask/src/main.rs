//! The workspace's chores: `cargo xtask help` lists them.
//!
//! `cargo xtask ci` is what CI runs, step by step; each step also runs alone. Start at [`steps`].

mod e2e;
mod examples;
mod fuzz;
mod layers;
mod no_std;
mod run;
mod rust;
mod setup;
mod steps;
mod tally;
mod tidy;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] | ["help" | "--help" | "-h"] => {
            print!("{}", steps::help());
            Ok(())
        }
        ["ci"] => steps::run_all(),
        ["setup"] => steps::set_up_all(),
        [name] => steps::run_one(name),
        ["e2e", part] => steps::run_e2e(part),
        [..] => Err(run::Failure::new("one chore at a time; `cargo xtask help` lists them")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

//! The `tidings` program: arguments in, a hub or an error in one sentence out.

mod args;
mod config;
mod demo;
mod serve;

use std::error::Error;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;

use crate::args::{Cli, Command, ServeArgs};
use crate::config::Config;

/// The status of a command line that cannot be understood, as shells and getopt have it.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse_arguments(&error),
    };
    let (args, site): (ServeArgs, _) = match cli.command {
        Command::Serve(args) => (args, serve::Site::Hub),
        Command::Demo(args) => (args, serve::Site::Demo),
    };
    let config = match Config::check(&args) {
        Ok(config) => config,
        Err(mistakes) => {
            mistakes.to_string().lines().for_each(|mistake| eprintln!("tidings: {mistake}"));
            return ExitCode::from(USAGE);
        }
    };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        // Colours are for people; a file or a journal would be full of escape codes.
        .with_ansi(std::io::stderr().is_terminal())
        .with_max_level(config.log)
        .init();
    match serve::run(config, site) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidings: {}", sentence(&*error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes, as one sentence.
fn sentence(error: &dyn Error) -> String {
    let mut sentence = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        sentence.push_str(": ");
        sentence.push_str(&error.to_string());
        cause = error.source();
    }
    sentence
}

/// Shows help where it was asked for, and otherwise says what is wrong in one sentence.
fn refuse_arguments(error: &clap::Error) -> ExitCode {
    let text = error.to_string();
    let asked = [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion];
    if asked.contains(&error.kind()) {
        print!("{text}");
        return ExitCode::SUCCESS;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        eprint!("{text}");
        return ExitCode::from(USAGE);
    }
    let line = |start: &str| {
        let found = text.lines().find_map(|line| line.trim_start().strip_prefix(start));
        found.map(str::trim)
    };
    let what = line("error:").unwrap_or("these arguments cannot be understood");
    let tip =
        line("tip:").unwrap_or("'tidings --help' and 'tidings serve --help' say what there is");
    eprintln!("tidings: {what}; {tip}");
    ExitCode::from(USAGE)
}

//! The `tidings` program: parses arguments, runs a command, and reports errors as one sentence.

mod args;
mod bench;
mod certificates;
mod config;
mod demo;
mod follow;
mod journal;
mod listen;
mod log;
mod message;
mod print;
mod publish;
mod relay;
mod say;
mod sentence;
mod serve;
mod signals;
mod state_file;
mod terminal;
mod token;

use std::error::Error;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};

use crate::args::{Cli, Command, KeyCommand, ServeArgs};
use crate::config::{
    BenchConfig, KeyConfig, ListenConfig, Mistakes, PublishConfig, RelayConfig, ServeConfig,
    TokenConfig,
};
use crate::log::Log;
use crate::message::tell;
use crate::sentence::sentence;

/// jemalloc in place of glibc's allocator, whose heaps a hub fragments: names of topics outlive the
/// events around them, and resident memory goes on growing although history does not. jemalloc keeps
/// sizes apart and returns free pages, after a second by `.cargo/config.toml`. `bench/README.md` says how
/// to measure that.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The exit status for a malformed command line, as in shells and getopt.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse_arguments(&error),
    };
    let done = match cli.command {
        Command::Serve(args) => {
            ServeConfig::read(&args).map(|config| serve(&args, config, serve::Site::Hub))
        }
        Command::Demo(args) => {
            ServeConfig::read_demo(&args).map(|config| serve(&args, config, serve::Site::Demo))
        }
        Command::Check(args) => check(&args),
        Command::Token(args) => TokenConfig::check(&args).map(token::run),
        Command::Key(args) => match args.command {
            KeyCommand::New(args) => KeyConfig::check(args).map(token::new_key),
        },
        Command::Listen(args) => ListenConfig::check(&args).map(listen::run),
        Command::Publish(args) => PublishConfig::check(&args).map(publish::run),
        Command::Relay(args) => RelayConfig::check(&args).map(relay::run),
        Command::Bench(args) => BenchConfig::check(&args).map(bench::run),
        Command::Journal(args) => Ok(journal::run(args.command)),
        Command::Completions(args) => Ok(print::completions(&args)),
        Command::Man(args) => Ok(print::man(&args)),
    };
    match done {
        Err(mistakes) => {
            mistakes.to_string().lines().for_each(tell);
            ExitCode::from(USAGE)
        }
        Ok(Err(error)) => {
            tell(&sentence(&*error));
            bench::interrupted(&*error)
                .map_or(ExitCode::FAILURE, |signal| ExitCode::from(signal.status()))
        }
        Ok(Ok(())) => ExitCode::SUCCESS,
    }
}

/// The result of a command that was started.
type CommandResult = Result<(), Box<dyn Error>>;

fn serve(args: &ServeArgs, config: ServeConfig, site: serve::Site) -> CommandResult {
    let log = Log::start(config.log)?;
    let served = serve::run(args, config, site, &log);
    log.finish();
    served
}

/// Shows the configuration, and warns of what is legal and unwise.
fn check(args: &ServeArgs) -> Result<CommandResult, Mistakes> {
    let config = ServeConfig::read(args)?;
    let text = format!("{}{}", config.settings, config.sections);
    let shown = print::print(text.as_bytes());
    config.warnings().iter().for_each(|warning| tell(&format!("warning: {warning}")));
    Ok(shown.map_err(Into::into))
}

/// Prints help if it was requested; otherwise reports the mistake in one sentence.
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
    let mut what = line("error:").unwrap_or("the arguments cannot be parsed").to_owned();
    if what.ends_with(':') {
        // The missing arguments or possible values are on the lines below.
        let listed = text.lines().skip(1).map_while(|line| line.strip_prefix("  "));
        what = format!("{what} {}", listed.map(str::trim).collect::<Vec<_>>().join(", "));
    }
    let tip = line("tip:").map_or_else(String::new, |tip| format!("{tip}; "));
    let command = asked_command(std::env::args().skip(1));
    tell(&format!("{what}; {tip}see '{command} --help'"));
    ExitCode::from(USAGE)
}

/// Returns the command that a command line asks for, such as `tidings bench churn`.
fn asked_command(words: impl Iterator<Item = String>) -> String {
    let mut command = Cli::command();
    let mut name = command.get_name().to_owned();
    for word in words.filter(|word| !word.starts_with('-')) {
        let Some(found) = command.find_subcommand(&word).cloned() else { break };
        name = format!("{name} {word}");
        command = found;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usage_error_points_at_the_help_of_its_own_command() {
        for (line, command) in [
            ("", "tidings"),
            ("--loud", "tidings"),
            ("lisen a", "tidings"),
            ("publish --loud", "tidings publish"),
            ("bench --json churn --no", "tidings bench churn"),
            ("listen publish", "tidings listen"),
        ] {
            assert_eq!(asked_command(line.split_whitespace().map(str::to_owned)), command);
        }
    }
}

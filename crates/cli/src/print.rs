//! `tidings completions` and `tidings man`.

use std::error::Error;
use std::io::{self, Write as _};

use clap::CommandFactory as _;
use clap_mangen::Man;

use crate::args::{Cli, CompletionsArgs, ManArgs};

/// Prints the completion script of a shell.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<(), Box<dyn Error>> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tidings", &mut script);
    Ok(print(&script)?)
}

/// Prints a manual page.
pub(crate) fn man(args: &ManArgs) -> Result<(), Box<dyn Error>> {
    let mut program = Cli::command();
    // This gives every command its full name.
    program.build();
    let command = match &args.command {
        Some(name) => find(&program, name).cloned().unwrap_or(program),
        None => program,
    };
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    Ok(print(&page)?)
}

/// Finds the command of this name. The page of a scenario of `bench` is named `bench-…`, that of a
/// command of `journal` likewise.
fn find<'a>(program: &'a clap::Command, name: &str) -> Option<&'a clap::Command> {
    match name.split_once('-') {
        Some((group, command)) => program.find_subcommand(group)?.find_subcommand(command),
        None => program.find_subcommand(name),
    }
}

/// Writes to standard output. It is no failure if the reader stops in the middle, as `head` does.
pub(crate) fn print(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

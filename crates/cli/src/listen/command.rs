//! Passes events to a shell command.

use std::error::Error;
use std::fmt;
use std::io;
use std::process::{ExitStatus, Stdio};

use tidings_client::{Event, Signal};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

use super::json;
use crate::config::{Exec, ExecInput};
use crate::message::{name, tell};

/// The maximum size of a value in the environment. The kernel refuses to start a program with a longer
/// one than twice this, and a type or an ID may have any length.
const VARIABLE_BYTES_MAX: usize = 64 << 10;

/// A command did not handle an event.
#[derive(Debug)]
pub(super) enum CommandFailed {
    NotStarted(io::Error),
    /// Its standard input could not be written.
    Input(io::Error),
    Status {
        status: ExitStatus,
        id: String,
    },
}

impl fmt::Display for CommandFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted(_) => write!(f, "the command could not be started"),
            Self::Input(_) => write!(f, "the command's standard input could not be written"),
            Self::Status { status, id } => {
                write!(f, "the command failed for the event with the ID {id:?}: {status}")
            }
        }
    }
}

impl Error for CommandFailed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotStarted(error) | Self::Input(error) => Some(error),
            Self::Status { .. } => None,
        }
    }
}

/// Runs the command with an event once, and waits until it ends.
pub(super) async fn run(exec: &Exec, event: &Event) -> Result<(), CommandFailed> {
    let mut child = start(exec, event).map_err(CommandFailed::NotStarted)?;
    if let Some(mut stdin) = child.stdin.take() {
        let written = match exec.input {
            ExecInput::Data => stdin.write_all(event.data().as_bytes()).await,
            ExecInput::Json => {
                let line = json::line(&Signal::Event(event.clone())).unwrap_or_default();
                stdin.write_all(line.as_bytes()).await
            }
        };
        match written {
            // A command need not read its input.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                return Err(CommandFailed::Input(error));
            }
            _ => drop(stdin),
        }
    }
    let status = child.wait().await.map_err(CommandFailed::Input)?;
    match status.success() {
        true => Ok(()),
        false => Err(CommandFailed::Status { status, id: name(event.last_event_id()) }),
    }
}

fn start(exec: &Exec, event: &Event) -> io::Result<Child> {
    let mut command = Command::new("sh");
    command.arg("-c").arg(&exec.command).stdin(Stdio::piped());
    // The environment cannot hold NUL, but the type of a received event can.
    let event_type = event.event_type().replace('\0', "\u{FFFD}");
    let values =
        [("TIDINGS_EVENT_TYPE", &*event_type), ("TIDINGS_EVENT_ID", event.last_event_id())];
    for (variable, value) in values {
        set(&mut command, variable, value, exec.input);
    }
    match command.spawn() {
        // Together with the environment of this program even these are too long.
        Err(error) if error.kind() == io::ErrorKind::ArgumentListTooLong => {
            tell(
                "the environment is too long for the type and the ID of an event: they are not set",
            );
            command.env_remove(values[0].0).env_remove(values[1].0).spawn()
        }
        started => started,
    }
}

/// Sets a variable, or reports that the value is too long for it.
fn set(command: &mut Command, variable: &str, value: &str, input: ExecInput) {
    if value.len() <= VARIABLE_BYTES_MAX {
        command.env(variable, value);
        return;
    }
    // The command must not take this program's own variable for the event's.
    command.env_remove(variable);
    let bytes = value.len();
    tell(&match input {
        ExecInput::Data => format!(
            "{variable} is not set: its {bytes} bytes are too many for the environment; with --json, \
             standard input contains them"
        ),
        ExecInput::Json => format!(
            "{variable} is not set: its {bytes} bytes are too many for the environment; standard input \
             contains them"
        ),
    });
}

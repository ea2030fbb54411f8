//! Passes events to a shell command.

use std::io;
use std::process::Stdio;

use tidings_client::Event;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Runs `command` with an event and waits until it ends. A command that fails is reported, which is
/// not an error: it may succeed with the next event.
///
/// # Errors
///
/// The command cannot be started.
pub(super) async fn run(command: &str, event: &Event) -> io::Result<()> {
    // The environment cannot hold NUL, but the type of a received event can.
    let event_type = event.event_type().replace('\0', "\u{FFFD}");
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(command)
        .env("TIDINGS_EVENT_TYPE", event_type)
        .env("TIDINGS_EVENT_ID", event.last_event_id())
        .stdin(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(event.data().as_bytes()).await {
            // A command need not read its input.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
            _ => drop(stdin),
        }
    }
    let status = child.wait().await?;
    if !status.success() {
        let id = event.last_event_id();
        eprintln!("tidings: the command failed for the event with the ID {id:?}: {status}");
    }
    Ok(())
}

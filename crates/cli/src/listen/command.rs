//! Handing an event to a shell command.

use std::io;
use std::process::Stdio;

use tidings_client::Event;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Runs `command` with the event and waits until it has ended. One that fails is reported, and no
/// error: the next event may fare better.
///
/// # Errors
///
/// If it could not be run at all.
pub(super) async fn run(command: &str, event: &Event) -> io::Result<()> {
    // No environment can hold a NUL, which a type that was read may.
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
            // A command need not read what it is given.
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

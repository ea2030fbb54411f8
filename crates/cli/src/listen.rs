//! `tidings listen`: follows an event stream and hands each event on.

mod command;
mod json;
mod reader;

use std::error::Error;
use std::io;
use std::time::Duration;

use tidings_client::{Event, Signal};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use self::command::CommandFailed;
use self::reader::Reader;
use crate::config::{Color, Exec, Interactive, ListenConfig, OnFailure, Sink};
use crate::follow::Failed;
use crate::message::tell;
use crate::sentence::sentence;
use crate::signals::Signals;
use crate::terminal::{self, ConnectionReport};

/// How long output may take after the process was asked to end: the thread that writes it may have
/// done so already.
const WRITTEN_WITHIN: Duration = Duration::from_millis(500);
/// The waits before a command that failed runs again for its event: they double.
const RERUN_FIRST: Duration = Duration::from_secs(1);
const RERUN_MAX: Duration = Duration::from_secs(60);

/// Listens until the server ends the stream for good or a process signal arrives.
pub(crate) fn run(config: ListenConfig) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(listen(config));
    // A thread may hang in a write that is never read. The process ends without it.
    runtime.shutdown_background();
    result
}

async fn listen(config: ListenConfig) -> Result<(), Box<dyn Error>> {
    let ListenConfig { mut follower, sink } = config;
    let mut signals = Signals::new()?;
    let mut connection = ConnectionReport::new(match sink {
        Sink::Terminal(_) => Interactive::Yes,
        _ => Interactive::No,
    });
    let reader = match sink {
        Sink::Pipe | Sink::Json => Reader::of_standard_output(),
        // A command has its own use for standard output.
        Sink::Terminal(_) | Sink::Command(_) => Reader::nobody(),
    };
    let mut ending = Ending::No;
    loop {
        let signal = tokio::select! {
            signal = follower.next() => signal?,
            // The reader has seen enough, as `head` has. The stream may be silent for long.
            () = reader.gone() => return Ok(follower.flush()?),
            _ = signals.next(), if ending == Ending::No => {
                ending = Ending::Asked;
                follower.close();
                continue;
            }
        };
        let Some(signal) = signal else { return Ok(()) };
        report(&sink, &mut connection, &signal);
        match hand_on(&sink, &signal, &mut signals).await? {
            HandedOn::Whole => follower.save(&signal)?,
            HandedOn::WholeAndEnd => {
                ending = Ending::Asked;
                follower.save(&signal)?;
                follower.close();
            }
            HandedOn::Not => return Ok(()),
        }
        if let Signal::Closed(closed) = signal {
            return match closed.is_failure() {
                true => Err(Failed(closed).into()),
                false => Ok(()),
            };
        }
    }
}

/// Whether a process signal has asked for the end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    No,
    Asked,
}

/// The result of handing on a signal of the source.
enum HandedOn {
    Whole,
    /// Like `Whole`, but the process was asked to end in the meantime.
    WholeAndEnd,
    /// The output was not taken, so the last event ID must not advance past it.
    Not,
}

/// Hands a signal on. A process signal abandons output that is not being read, but a running
/// command is waited for until there is a second process signal. Output that was written at the same
/// time counts as handed on: the next run would write it again.
async fn hand_on(
    sink: &Sink,
    signal: &Signal,
    signals: &mut Signals,
) -> Result<HandedOn, Box<dyn Error>> {
    let text = match (sink, signal) {
        (Sink::Command(exec), Signal::Event(event)) => {
            return Ok(hand_to_command(exec, event, signals).await?);
        }
        (Sink::Json, signal) => json::line(signal),
        (Sink::Terminal(color), Signal::Event(event)) => Some(terminal::event(event, *color)),
        (Sink::Pipe, Signal::Event(event)) => Some(format!("{}\n", event.data())),
        _ => None,
    };
    let Some(text) = text else { return Ok(HandedOn::Whole) };
    let writing = write(&text);
    tokio::pin!(writing);
    let (written, handed_on) = tokio::select! {
        written = &mut writing => (written, HandedOn::Whole),
        _ = signals.next() => match timeout(WRITTEN_WITHIN, writing).await {
            Ok(written) => (written, HandedOn::WholeAndEnd),
            Err(_) => return Ok(HandedOn::Not),
        },
    };
    match written {
        Ok(()) => Ok(handed_on),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(HandedOn::Not),
        Err(error) => Err(error.into()),
    }
}

/// Runs the command for an event, again and again if it fails and may be run again.
async fn hand_to_command(
    exec: &Exec,
    event: &Event,
    signals: &mut Signals,
) -> Result<HandedOn, CommandFailed> {
    let mut wait = RERUN_FIRST;
    loop {
        let running = command::run(exec, event);
        tokio::pin!(running);
        let (ran, asked) = tokio::select! {
            ran = &mut running => (ran, Ending::No),
            _ = signals.next() => tokio::select! {
                ran = running => (ran, Ending::Asked),
                _ = signals.next() => return Ok(HandedOn::Not),
            },
        };
        let handed_on = match asked {
            Ending::No => HandedOn::Whole,
            Ending::Asked => HandedOn::WholeAndEnd,
        };
        let Err(failed) = ran else { return Ok(handed_on) };
        match (exec.on_failure, &failed) {
            (OnFailure::Skip, CommandFailed::Status { .. }) => {
                tell(&sentence(&failed));
                return Ok(handed_on);
            }
            // A command that cannot be started would pass over every event.
            (OnFailure::Skip | OnFailure::Stop, _) => return Err(failed),
            (OnFailure::Retry, _) if asked == Ending::Asked => return Err(failed),
            (OnFailure::Retry, _) => {
                let seconds = wait.as_secs();
                tell(&format!("{}; running it again in {seconds} s", sentence(&failed)));
            }
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = signals.next() => return Ok(HandedOn::Not),
        }
        wait = (2 * wait).min(RERUN_MAX);
    }
}

async fn write(text: &str) -> io::Result<()> {
    let mut out = tokio::io::stdout();
    out.write_all(text.as_bytes()).await?;
    out.flush().await
}

/// Reports on standard error what is not an event: everything at a terminal, otherwise only gaps,
/// ends and failed attempts, and nothing that the output itself contains.
fn report(sink: &Sink, connection: &mut ConnectionReport, signal: &Signal) {
    let color = match sink {
        Sink::Terminal(color) => *color,
        Sink::Json => return,
        Sink::Pipe | Sink::Command(_) => Color::No,
    };
    let text = match signal {
        Signal::Gap(gap) => Some(terminal::gap(gap)),
        Signal::End(end) => Some(terminal::end(end)),
        Signal::Open(open) => connection.open(open),
        Signal::Retrying(retrying) => connection.retrying(retrying),
        Signal::Closed(closed) if !closed.is_failure() => match sink {
            Sink::Terminal(_) => Some(closed.to_string()),
            _ => None,
        },
        _ => None,
    };
    if let Some(text) = text {
        terminal::tell_in(&text, color);
    }
}

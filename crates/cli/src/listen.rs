//! `tidings listen`: follows an event stream and hands each event on.

mod command;
mod json;

use std::error::Error;
use std::io;

use tidings_client::Signal;
use tokio::io::AsyncWriteExt as _;

use crate::config::{Color, ListenConfig, Sink};
use crate::follow::Failed;
use crate::signals::Signals;
use crate::terminal;

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
    let mut ending = Ending::No;
    loop {
        let signal = tokio::select! {
            signal = follower.next() => signal?,
            _ = signals.next(), if ending == Ending::No => {
                ending = Ending::Asked;
                follower.close();
                continue;
            }
        };
        let Some(signal) = signal else { return Ok(()) };
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
/// command is waited for until there is a second process signal.
async fn hand_on(sink: &Sink, signal: &Signal, signals: &mut Signals) -> io::Result<HandedOn> {
    report(sink, signal);
    let text = match (sink, signal) {
        (Sink::Command(command), Signal::Event(event)) => {
            let running = command::run(command, event);
            tokio::pin!(running);
            tokio::select! {
                ran = &mut running => return ran.map(|()| HandedOn::Whole),
                _ = signals.next() => {}
            }
            return tokio::select! {
                ran = running => ran.map(|()| HandedOn::WholeAndEnd),
                _ = signals.next() => Ok(HandedOn::Not),
            };
        }
        (Sink::Json, signal) => json::line(signal),
        (Sink::Terminal(color), Signal::Event(event)) => Some(terminal::event(event, *color)),
        (Sink::Pipe, Signal::Event(event)) => Some(format!("{}\n", event.data())),
        _ => None,
    };
    let Some(text) = text else { return Ok(HandedOn::Whole) };
    tokio::select! {
        written = write(&text) => match written {
            Ok(()) => Ok(HandedOn::Whole),
            // The reader has seen enough, as `head` has.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(HandedOn::Not),
            Err(error) => Err(error),
        },
        _ = signals.next() => Ok(HandedOn::Not),
    }
}

async fn write(text: &str) -> io::Result<()> {
    let mut out = tokio::io::stdout();
    out.write_all(text.as_bytes()).await?;
    out.flush().await
}

/// Reports on standard error what is not an event: everything at a terminal, otherwise only gaps,
/// and nothing that the output itself contains.
fn report(sink: &Sink, signal: &Signal) {
    let color = match sink {
        Sink::Terminal(color) => Some(*color),
        Sink::Json => return,
        Sink::Pipe | Sink::Command(_) => None,
    };
    let text = match signal {
        Signal::Gap(gap) => Some(terminal::gap(gap)),
        Signal::Open(open) if color.is_some() => Some(terminal::open(open)),
        Signal::Retrying(retrying) if color.is_some() => Some(terminal::retrying(retrying)),
        Signal::Closed(closed) if color.is_some() && !closed.is_failure() => {
            Some(closed.to_string())
        }
        _ => None,
    };
    if let Some(text) = text {
        let text = terminal::harmless(&text);
        eprintln!("{}", terminal::dim(&format!("tidings: {text}"), color.unwrap_or(Color::No)));
    }
}

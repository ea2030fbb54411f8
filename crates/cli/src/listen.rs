//! `tidings listen`: follows an event stream and hands each event on.

mod command;
mod json;

use std::error::Error;
use std::io;

use tidings_client::Signal;
use tokio::io::AsyncWriteExt as _;

use crate::config::{Colour, ListenConfig, Sink};
use crate::follow::Failed;
use crate::signals::Signals;
use crate::terminal;

/// Listens until the server says not to come back, or a signal ends it.
pub(crate) fn run(config: ListenConfig) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(listen(config));
    // A write that nobody reads may hang in a thread; the process ends without it.
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
            HandedOn::Whole => follower.keep(&signal)?,
            HandedOn::WholeAndEnd => {
                ending = Ending::Asked;
                follower.keep(&signal)?;
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

/// Whether a signal has asked for the end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    No,
    Asked,
}

/// What became of a signal of the source.
enum HandedOn {
    Whole,
    /// As `Whole`, and the process was asked to end meanwhile.
    WholeAndEnd,
    /// Nobody took it, so the place must not move past it.
    Not,
}

/// Hands one signal on. A process signal abandons output that nobody reads; a command that runs is
/// waited for, unless there is a second one.
async fn hand_on(sink: &Sink, signal: &Signal, signals: &mut Signals) -> io::Result<HandedOn> {
    tell(sink, signal);
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
        (Sink::Terminal(colour), Signal::Event(event)) => Some(terminal::event(event, *colour)),
        (Sink::Pipe, Signal::Event(event)) => Some(format!("{}\n", event.data())),
        _ => None,
    };
    let Some(text) = text else { return Ok(HandedOn::Whole) };
    tokio::select! {
        written = write(&text) => match written {
            Ok(()) => Ok(HandedOn::Whole),
            // Whoever read has seen enough, as `head` does.
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

/// Tells people on standard error what is no event: everything where they watch, and a gap always,
/// unless it is in the output itself.
fn tell(sink: &Sink, signal: &Signal) {
    let colour = match sink {
        Sink::Terminal(colour) => Some(*colour),
        Sink::Json => return,
        Sink::Pipe | Sink::Command(_) => None,
    };
    let told = match signal {
        Signal::Gap(gap) => Some(terminal::gap(gap)),
        Signal::Open(open) if colour.is_some() => Some(terminal::open(open)),
        Signal::Retrying(retrying) if colour.is_some() => Some(terminal::retrying(retrying)),
        Signal::Closed(closed) if colour.is_some() && !closed.is_failure() => {
            Some(closed.to_string())
        }
        _ => None,
    };
    if let Some(told) = told {
        let told = terminal::harmless(&told);
        eprintln!("{}", terminal::dim(&format!("tidings: {told}"), colour.unwrap_or(Colour::No)));
    }
}

//! The signals that end the process.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Receives SIGINT and SIGTERM.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

/// A signal that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caught {
    pub(crate) name: &'static str,
    pub(crate) number: u8,
}

impl Caught {
    /// Returns the exit status of a program ended by this signal, as shells report it.
    pub(crate) fn status(self) -> u8 {
        128 + self.number
    }
}

impl Signals {
    /// Takes over both signals: they no longer end the process by themselves.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) -> Caught {
        tokio::select! {
            _ = self.interrupt.recv() => Caught { name: "SIGINT", number: 2 },
            _ = self.terminate.recv() => Caught { name: "SIGTERM", number: 15 },
        }
    }
}

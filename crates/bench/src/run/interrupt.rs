//! Ending a run early.

use std::fmt;
use std::sync::{Arc, OnceLock};

use mio::Waker;

/// A signal ended the run before it was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted {
    /// The signal's name, such as `SIGINT`.
    pub name: &'static str,
    /// The signal's number.
    pub number: u8,
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: this is what was measured until then", self.name)
    }
}

/// Ends a run early, from another thread.
#[derive(Debug)]
pub struct Interrupter {
    interrupt: Interrupt,
    waker: Waker,
}

impl Interrupter {
    /// Has the run end at its next turn.
    pub fn interrupt(&self, signal: Interrupted) {
        // The first signal is the one that is reported.
        let _ = self.interrupt.0.set(signal);
        // Without it the signal is seen at the next turn all the same.
        let _ = self.waker.wake();
    }
}

/// Says whether a signal has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<OnceLock<Interrupted>>);

impl Interrupt {
    /// Makes an [`Interrupter`], which wakes a run by `waker`.
    pub(crate) fn interrupter(&self, waker: Waker) -> Interrupter {
        Interrupter { interrupt: self.clone(), waker }
    }

    /// Returns the signal that has come, if one has.
    pub(crate) fn came(&self) -> Option<Interrupted> {
        self.0.get().copied()
    }
}

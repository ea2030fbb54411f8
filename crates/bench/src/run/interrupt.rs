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
        write!(f, "interrupted by {}; these are the results so far", self.name)
    }
}

/// Ends a run early, from another thread.
#[derive(Debug)]
pub struct Interrupter {
    interrupt: Interrupt,
    waker: Waker,
}

impl Interrupter {
    /// Ends the run at its next turn.
    pub fn interrupt(&self, signal: Interrupted) {
        // The first signal is the one that is reported.
        let _ = self.interrupt.0.set(signal);
        // If this fails, the signal is noticed at the next tick.
        let _ = self.waker.wake();
    }
}

/// Tells whether a run was interrupted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<OnceLock<Interrupted>>);

impl Interrupt {
    /// Makes an [`Interrupter`], which uses `waker` to wake the run.
    pub(crate) fn interrupter(&self, waker: Waker) -> Interrupter {
        Interrupter { interrupt: self.clone(), waker }
    }

    /// Returns the signal that ended the run, if one did.
    pub(crate) fn came(&self) -> Option<Interrupted> {
        self.0.get().copied()
    }
}

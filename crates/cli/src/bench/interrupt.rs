//! Signals that end a run early.

use std::fmt;
use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

use mio::Waker;

use crate::signals::Signals;

/// Says whether a signal has come.
#[derive(Clone, Debug)]
pub(super) struct Interrupt(Arc<AtomicU8>);

/// A signal ended the run before it was over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interrupted {
    name: &'static str,
    pub(crate) number: u8,
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: this is what was measured until then", self.name)
    }
}

impl std::error::Error for Interrupted {}

const SIGNALS: [Interrupted; 2] =
    [Interrupted { name: "SIGINT", number: 2 }, Interrupted { name: "SIGTERM", number: 15 }];

impl Interrupt {
    /// Watches for signals from here on; the first of them wakes `waker`, the second ends the process.
    ///
    /// A thread of its own waits for them, and does nothing else.
    pub(super) fn watch(waker: Waker) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut signals = {
            let _inside = runtime.enter();
            Signals::new()?
        };
        let interrupt = Self(Arc::default());
        let told = interrupt.clone();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let mut next = || {
                let name = runtime.block_on(signals.next());
                SIGNALS.iter().find(|signal| signal.name == name).map_or(0, |signal| signal.number)
            };
            told.0.store(next(), Ordering::Relaxed);
            // Without it the signal is seen at the next turn all the same.
            let _ = waker.wake();
            process::exit(128 + i32::from(next()));
        })?;
        Ok(interrupt)
    }

    /// Returns the signal that has come, if one has.
    pub(super) fn came(&self) -> Option<Interrupted> {
        let number = self.0.load(Ordering::Relaxed);
        SIGNALS.into_iter().find(|signal| signal.number == number)
    }
}

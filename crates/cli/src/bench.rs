//! `tidings bench`: runs a scenario of [`tidings_bench`] and prints the results.

use std::error::Error;
use std::io;
use std::process;
use std::thread;

use tidings_bench::{Interrupted, Interrupter, RunError};

use crate::config::{BenchConfig, Output};
use crate::message::harmless;
use crate::print::print;
use crate::signals::{Caught, Signals};

/// Runs a scenario and prints its report, even if the run fails.
pub(crate) fn run(config: BenchConfig) -> Result<(), Box<dyn Error>> {
    let outcome = tidings_bench::run(&config.run, watch_signals)?;
    let text = match config.output {
        Output::Json => outcome.report.json(),
        // The report quotes the server, which may have sent anything.
        Output::People => harmless(&outcome.report.text()),
    };
    print(text.as_bytes())?;
    Ok(outcome.result?)
}

/// Lets the first signal end the run, and the second the process.
///
/// Signals are awaited on a thread of their own, because the run itself has no runtime.
fn watch_signals(interrupter: Interrupter) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signals = {
        let _inside = runtime.enter();
        Signals::new()?
    };
    let watch = move || {
        let Caught { name, number } = runtime.block_on(signals.next());
        interrupter.interrupt(Interrupted { name, number });
        process::exit(runtime.block_on(signals.next()).status().into());
    };
    thread::Builder::new().name("signals".to_owned()).spawn(watch)?;
    Ok(())
}

/// Returns the signal that ended a run, if a signal did.
pub(crate) fn interrupted(error: &(dyn Error + 'static)) -> Option<Caught> {
    match error.downcast_ref()? {
        RunError::Interrupted(Interrupted { name, number }) => {
            Some(Caught { name, number: *number })
        }
        _ => None,
    }
}

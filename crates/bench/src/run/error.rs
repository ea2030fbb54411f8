//! Why a run failed.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use super::interrupt::Interrupted;
use crate::report::Verdict;
use crate::words::failures;

/// Why a run ended early, or what was wrong with it.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// The scenario needs more connections than this process may open. None was made.
    TooManyConnections {
        /// Connections that are needed at a time.
        connections: u64,
        /// The limit on this process's descriptors.
        limit: u64,
    },
    /// A signal ended the run.
    Interrupted(Interrupted),
    /// There was no progress for too long.
    Silent {
        /// How long there was none.
        timeout: Duration,
        /// The name of the count.
        what: &'static str,
        /// The count so far.
        done: u64,
        /// The expected count.
        all: u64,
    },
    /// Too many connections or publishes failed for the rest to be worth a try.
    Refused {
        /// How many failed.
        count: u64,
        /// The most frequent cause.
        mostly: String,
    },
    /// Every event stream has ended.
    AllEnded,
    /// The run finished with faults.
    Faulty(Verdict),
    /// This machine failed.
    Io(io::Error),
}

/// Descriptors beside those of connections: standard streams, epoll, those of libraries.
pub(crate) const DESCRIPTORS_BESIDE: u64 = 32;

impl From<io::Error> for RunError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyConnections { connections, limit } => write!(
                f,
                "{connections} connections and {DESCRIPTORS_BESIDE} other descriptors are needed, \
                 but the limit of this process is {limit}; 'ulimit -Hn' sets it"
            ),
            Self::Interrupted(interrupted) => write!(f, "{interrupted}"),
            Self::Silent { timeout, what, done, all } => {
                let timeout = humantime::format_duration(*timeout);
                write!(f, "gave up: no progress within {timeout}; {what}: {done} of {all}")
            }
            Self::Refused { count, mostly } => {
                write!(f, "gave up: {}; {mostly}", failures(*count))
            }
            Self::AllEnded => write!(f, "gave up: every event stream has ended"),
            Self::Faulty(verdict) => write!(f, "{verdict}"),
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

impl Error for RunError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // `Display` shows the error itself, so the sources are those of the error.
            Self::Io(error) => error.source(),
            _ => None,
        }
    }
}

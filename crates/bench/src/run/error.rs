//! Why a run failed.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use super::interrupt::Interrupted;
use crate::report::Verdict;
use crate::words::failures;

/// Why a run did not come to its end, or what was wrong when it did.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// The scenario needs more connections than this process may have. Nothing was connected.
    TooManyConnections {
        /// Connections that are needed at a time.
        connections: u64,
        /// Descriptors that this process may have.
        limit: u64,
    },
    /// A signal ended the run.
    Interrupted(Interrupted),
    /// The run made no progress.
    Silent {
        /// How long it made none.
        timeout: Duration,
        /// What was being counted.
        what: &'static str,
        /// The count so far.
        done: u64,
        /// What the count should have come to.
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
    /// The run was finished, and something was wrong.
    Faulty(Verdict),
    /// This machine failed.
    Io(io::Error),
}

/// Descriptors that are needed beside those of connections: standard ones, epoll, libraries' own.
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
                 and this process may have {limit}; 'ulimit -Hn' sets how many"
            ),
            Self::Interrupted(interrupted) => write!(f, "{interrupted}"),
            Self::Silent { timeout, what, done, all } => {
                let timeout = humantime::format_duration(*timeout);
                write!(f, "given up: nothing more came within {timeout}; {what}: {done} of {all}")
            }
            Self::Refused { count, mostly } => {
                write!(f, "given up: {}; {mostly}", failures(*count))
            }
            Self::AllEnded => write!(f, "given up: every event stream has ended"),
            Self::Faulty(verdict) => write!(f, "{verdict}"),
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

impl Error for RunError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // It stands for the error itself.
            Self::Io(error) => error.source(),
            _ => None,
        }
    }
}

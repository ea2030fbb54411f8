//! Requests that were not committed.

use crate::journal::NotCommitted;

/// The fate of a request that was not committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    NotCommitted(NotCommitted),
    Unknown,
}

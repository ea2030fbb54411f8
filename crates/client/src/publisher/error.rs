//! The ways in which publishing can fail.

use std::error::Error;
use std::fmt;
use std::num::NonZeroU32;

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;

use crate::signal::Cause;

use super::key::IdempotencyKey;

/// The reason why an event was not, or may not have been, published.
#[derive(Debug)]
#[non_exhaustive]
pub enum PublishError {
    /// The hub refused the request, and would refuse it again. Nothing of the request was
    /// published, with one exception: if the refusal is about authentication (401, 403), an earlier
    /// attempt without an answer may have been. To settle this, repeat the request with the same
    /// key and the right to publish.
    Refused(RefusedPublish),
    /// No attempt reached the hub. Nothing was published.
    Unreachable {
        /// The number of attempts.
        attempts: NonZeroU32,
        /// The cause of the last failure.
        last: Cause,
    },
    /// An attempt may have reached the hub, but none was answered: the event may have been
    /// published. To settle this without publishing it twice, publish it again with the same key,
    /// within ten minutes of the first attempt.
    Unsettled {
        /// The key of the request.
        key: IdempotencyKey,
        /// The number of attempts.
        attempts: NonZeroU32,
        /// The cause of the last failure.
        last: Cause,
    },
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refused) => write!(f, "{refused}"),
            Self::Unreachable { attempts, .. } => {
                write!(f, "the hub could not be reached in {attempts} attempts")
            }
            Self::Unsettled { attempts, .. } => {
                write!(f, "the hub did not say in {attempts} attempts whether it published")
            }
        }
    }
}

impl Error for PublishError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused(_) => None,
            Self::Unreachable { last, .. } | Self::Unsettled { last, .. } => Some(last),
        }
    }
}

/// A hub's refusal to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedPublish {
    /// The status.
    pub status: StatusCode,
    /// The hub's explanation, or the beginning of its answer.
    pub detail: String,
    /// The index of the refused event in the request, from 0, if the hub named it.
    pub index: Option<u64>,
}

impl fmt::Display for RefusedPublish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the hub refused with {}: {}", self.status, self.detail)
    }
}

/// The error of publishing many events: not all of them were published.
#[derive(Debug)]
#[non_exhaustive]
pub struct PublishManyError {
    /// The number of events that were published: the first ones.
    pub committed: u64,
    /// The reason why the request after them failed.
    pub source: PublishError,
}

impl fmt::Display for PublishManyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "publishing stopped after {} events", self.committed)
    }
}

impl Error for PublishManyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// Reads the hub's problem document, or any other answer in its place.
pub(super) fn refused(status: StatusCode, body: &Bytes) -> RefusedPublish {
    #[derive(Deserialize)]
    struct Problem {
        detail: Option<String>,
        title: Option<String>,
        index: Option<u64>,
    }
    let problem: Option<Problem> = serde_json::from_slice(body).ok();
    let index = problem.as_ref().and_then(|problem| problem.index);
    let detail = problem.and_then(|problem| problem.detail.or(problem.title));
    let detail = detail.unwrap_or_else(|| {
        String::from_utf8_lossy(body).trim().chars().take(DETAIL_CHARS_MAX).collect()
    });
    RefusedPublish { status, detail, index }
}

/// The maximum length of an explanation taken from another answer: a sentence or two.
const DETAIL_CHARS_MAX: usize = 200;

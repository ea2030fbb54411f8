//! Why publishing failed.

use std::error::Error;
use std::fmt;
use std::num::NonZeroU32;

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;

use crate::signal::Cause;

use super::key::IdempotencyKey;

/// Why an event was not published, or may not have been.
#[derive(Debug)]
#[non_exhaustive]
pub enum PublishError {
    /// The hub refuses it, and repeating it changes nothing. Nothing of the request was published,
    /// unless an earlier attempt went unanswered and the refusal is about who asks (401, 403):
    /// then the same key finds out, with the right to publish.
    Refused(RefusedPublish),
    /// No attempt reached the hub. Nothing was published.
    Unreachable {
        /// How many attempts there were.
        attempts: NonZeroU32,
        /// How the last one failed.
        last: Cause,
    },
    /// An attempt may have reached the hub, and none was answered: the event may have been
    /// published. To find out without doubling it, publish it again with the same key, within
    /// ten minutes of the first attempt.
    Unsettled {
        /// The key of the request.
        key: IdempotencyKey,
        /// How many attempts there were.
        attempts: NonZeroU32,
        /// How the last one failed.
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

/// What a hub says when it refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedPublish {
    /// The status.
    pub status: StatusCode,
    /// The hub's own sentence about it, or the beginning of what it answered.
    pub detail: String,
    /// Which event of the request it is about, from 0, where the hub says so.
    pub index: Option<u64>,
}

impl fmt::Display for RefusedPublish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the hub refused with {}: {}", self.status, self.detail)
    }
}

/// Not all of many events were published.
#[derive(Debug)]
#[non_exhaustive]
pub struct PublishManyError {
    /// How many surely were: the first so many.
    pub committed: u64,
    /// Why the request after them failed.
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

/// Reads the hub's problem document, or whatever stands in its place.
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

/// How much of an answer that is no problem document is shown: a sentence or two.
const DETAIL_CHARS_MAX: usize = 200;

//! The ways in which publishing can fail.

use std::error::Error;
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

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

impl PublishError {
    /// The wait that the hub asked for when it last answered, if it did. A program that publishes
    /// again after [`Unreachable`](Self::Unreachable) or [`Unsettled`](Self::Unsettled) waits at
    /// least this long, and never goes on at once.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unreachable { last, .. } | Self::Unsettled { last, .. } => match last {
                Cause::Status { retry_after, .. } => *retry_after,
                _ => None,
            },
            Self::Refused(_) => None,
        }
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refused) => write!(f, "{refused}"),
            Self::Unreachable { attempts, .. } => {
                write!(f, "the hub could not be reached in {}", counted(*attempts))
            }
            Self::Unsettled { attempts, .. } => {
                write!(f, "the hub did not say in {} whether it published", counted(*attempts))
            }
        }
    }
}

fn counted(attempts: NonZeroU32) -> String {
    match attempts.get() {
        1 => "one attempt".to_owned(),
        attempts => format!("{attempts} attempts"),
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
    /// The problem's `type`, if the answer is a problem document.
    pub problem: Option<String>,
    /// The hub's explanation, or the beginning of its answer: at most 300 characters.
    pub detail: String,
    /// The index of the refused event in the request, from 0, if the hub named it.
    pub index: Option<u64>,
}

impl RefusedPublish {
    /// Returns whether the event was refused because it has come back to a hub that published it
    /// before, or has passed too many relays. Other events of the same relay may be accepted.
    #[must_use]
    pub fn is_relay_loop(&self) -> bool {
        self.name() == Some("relay-loop")
    }

    /// Returns whether a reader has stopped the stream. Its producer [ends](crate::StreamPublisher::end) it.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.name() == Some("stopped")
    }

    fn name(&self) -> Option<&str> {
        self.problem.as_deref()?.rsplit(['/', ':', '#']).next()
    }
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
        r#type: Option<String>,
        detail: Option<String>,
        title: Option<String>,
        index: Option<u64>,
    }
    let problem: Option<Problem> = serde_json::from_slice(body).ok();
    let index = problem.as_ref().and_then(|problem| problem.index);
    let (name, detail) = match problem {
        Some(Problem { r#type, detail, title, .. }) => (r#type, detail.or(title)),
        None => (None, None),
    };
    let detail = detail.unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned());
    let detail = detail.chars().take(DETAIL_CHARS_MAX).collect();
    RefusedPublish { status, problem: name, detail, index }
}

/// The maximum length of an explanation: a sentence or two.
const DETAIL_CHARS_MAX: usize = 300;

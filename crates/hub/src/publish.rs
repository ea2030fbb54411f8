//! What publishing answers.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tidings_proto::EventId;

use crate::cursor::{Cursor, Epoch, Sequence};
use crate::draft::{Draft, RefusedId, check_id};
use crate::hub::Hub;
use crate::journal::{Committing, Outcome};

/// An event that has been submitted and is being committed: a future of the [`Published`] one.
///
/// It yields [`PublishError::Unknown`] if the journal failed, and no other error: what is refused is
/// refused at the call.
///
/// # Cancel safety
///
/// Dropping it takes nothing back: the event is committed all the same.
#[must_use = "an event is published in any case; whether it was committed is told here"]
pub struct Publishing {
    epoch: Epoch,
    committing: Committing,
    given_id: Option<EventId>,
}

/// Events that have been submitted and are being committed: a future of one [`Published`] for each
/// draft, in order. Otherwise as [`Publishing`].
///
/// # Cancel safety
///
/// Dropping it takes nothing back: the events are committed all the same.
#[must_use = "events are published in any case; whether they were committed is told here"]
pub struct PublishingAll {
    epoch: Epoch,
    committing: Committing,
    given_ids: Vec<Option<EventId>>,
}

/// A committed event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    epoch: Epoch,
    given_id: Option<EventId>,
    /// Where it stands.
    pub sequence: Sequence,
    /// Whether it had been published before, under the same idempotency key; nothing was then
    /// published now.
    pub is_duplicate: bool,
}

/// Why events were not published, or may not have been.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishError {
    /// An event is against the hub's rules. Nothing was published.
    Refused {
        /// Which of the events, counted from zero.
        index: usize,
        /// What is wrong with it.
        reason: Refused,
    },
    /// The journal failed: an event may have been committed or not. Publishing it again with the same
    /// idempotency key is safe.
    Unknown,
}

/// Why a hub refuses an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// Its ID.
    Id(RefusedId),
    /// It is larger than [`HubConfig::event_bytes_max`](crate::HubConfig::event_bytes_max).
    TooLarge {
        /// Its size in bytes: type, ID and data together.
        bytes: usize,
        /// How large it may be.
        bytes_max: usize,
    },
}

impl Publishing {
    pub(crate) fn new(epoch: Epoch, committing: Committing, given_id: Option<EventId>) -> Self {
        Self { epoch, committing, given_id }
    }
}

impl PublishingAll {
    pub(crate) fn new(
        epoch: Epoch,
        committing: Committing,
        given_ids: Vec<Option<EventId>>,
    ) -> Self {
        Self { epoch, committing, given_ids }
    }
}

impl Published {
    /// The ID its readers see: the publisher's, or the one the hub made.
    #[must_use]
    pub fn id(&self) -> EventId {
        match &self.given_id {
            Some(id) => id.clone(),
            None => self.cursor().to_event_id(),
        }
    }

    /// Appends [the ID](Published::id) as text, without making one.
    pub fn write_id(&self, out: &mut Vec<u8>) {
        match &self.given_id {
            Some(id) => out.extend_from_slice(id.as_str().as_bytes()),
            None => out.extend_from_slice(&self.cursor().spell()),
        }
    }

    fn new(
        epoch: Epoch,
        outcome: Outcome,
        given_id: Option<EventId>,
    ) -> Result<Self, PublishError> {
        let (sequence, is_duplicate) = match outcome {
            Outcome::Committed(sequence) => (sequence, false),
            Outcome::Duplicate(sequence) => (sequence, true),
            Outcome::Unknown => return Err(PublishError::Unknown),
        };
        Ok(Self { epoch, given_id, sequence, is_duplicate })
    }

    fn cursor(&self) -> Cursor {
        Cursor { epoch: self.epoch, sequence: self.sequence }
    }
}

impl Future for Publishing {
    type Output = Result<Published, PublishError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = match &mut self.committing {
            Committing::One(outcome) => *outcome,
            Committing::All(outcomes) => first(outcomes),
            Committing::Waiting(outcomes) => first(&ready!(outcomes.as_mut().poll(cx))),
        };
        Poll::Ready(Published::new(self.epoch, outcome, self.given_id.take()))
    }
}

impl Future for PublishingAll {
    type Output = Result<Vec<Published>, PublishError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcomes = match &mut self.committing {
            Committing::One(outcome) => vec![*outcome],
            Committing::All(outcomes) => std::mem::take(outcomes),
            Committing::Waiting(outcomes) => ready!(outcomes.as_mut().poll(cx)),
        };
        let epoch = self.epoch;
        let published = |(outcome, id)| Published::new(epoch, outcome, id);
        Poll::Ready(outcomes.into_iter().zip(self.given_ids.drain(..)).map(published).collect())
    }
}

/// The outcome of the one draft there was.
fn first(outcomes: &[Outcome]) -> Outcome {
    outcomes.first().copied().unwrap_or(Outcome::Unknown)
}

impl Hub {
    /// Checks an event by the hub's rules, as publishing it does.
    ///
    /// # Errors
    ///
    /// [`Refused`] says which rule it breaks.
    pub fn check(&self, draft: &Draft) -> Result<(), Refused> {
        let event = &draft.event;
        let id_bytes = event.id().map_or(0, |id| id.as_str().len());
        let bytes = event.data().len() + event.event_type().as_str().len() + id_bytes;
        let bytes_max = self.config().event_bytes_max;
        if bytes > bytes_max {
            return Err(Refused::TooLarge { bytes, bytes_max });
        }
        match event.id() {
            Some(id) => check_id(id, self.epoch()).map_err(Refused::Id),
            None => Ok(()),
        }
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { index, .. } => write!(f, "event {index} is refused"),
            Self::Unknown => f.write_str("the journal failed and cannot say what was committed"),
        }
    }
}

impl std::error::Error for PublishError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused { reason, .. } => Some(reason),
            Self::Unknown => None,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The rule broken is the ID's own, in its own words.
            Self::Id(refused) => refused.fmt(f),
            Self::TooLarge { bytes, bytes_max } => {
                write!(f, "an event has at most {bytes_max} bytes, this one has {bytes}")
            }
        }
    }
}

impl std::error::Error for Refused {}

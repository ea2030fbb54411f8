//! Publishing, and what it answers.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tidings_proto::EventId;

use crate::cursor::{Cursor, Epoch, Sequence};
use crate::draft::{Draft, Refused};
use crate::hub::Hub;
use crate::journal::{Committing, Outcome, Submission};
use crate::topic::Topic;

impl Hub {
    /// Publishes an event. It is submitted at the call; the future yields where it was committed.
    ///
    /// Never waits for readers. In memory the event is committed, and its readers are woken, before
    /// the call returns.
    ///
    /// # Errors
    ///
    /// [`PublishError`], at once where the event is refused: nothing is then published.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes nothing back.
    pub fn publish(&self, draft: Draft) -> Result<Publishing, PublishError> {
        self.check(&draft).map_err(|reason| PublishError::Refused { index: 0, reason })?;
        let given_id = draft.event.id().cloned();
        let committing = self.submit(&mut std::iter::once(Submission::Event(draft)));
        Ok(Publishing::new(self.epoch(), committing, given_id))
    }

    /// Publishes events in order; all of them are refused if one is. The future yields one
    /// [`Published`] for each, in the same order.
    ///
    /// They are checked and submitted at the call. How many they are is for the caller to limit.
    ///
    /// # Errors
    ///
    /// [`PublishError::Refused`] names the first event that is refused.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes nothing back.
    pub fn publish_all(&self, drafts: Vec<Draft>) -> Result<PublishingAll, PublishError> {
        for (index, draft) in drafts.iter().enumerate() {
            self.check(draft).map_err(|reason| PublishError::Refused { index, reason })?;
        }
        let given_ids = drafts.iter().map(|draft| draft.event.id().cloned()).collect();
        let committing = self.submit(&mut drafts.into_iter().map(Submission::Event));
        Ok(PublishingAll::new(self.epoch(), committing, given_ids))
    }

    /// Ends the streams that are now open on exactly this topic, after what has been published. A
    /// reader that was away comes back to an ended stream.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes nothing back.
    pub fn close(&self, topic: Topic) -> Publishing {
        let committing = self.submit(&mut std::iter::once(Submission::Close(topic)));
        Publishing::new(self.epoch(), committing, None)
    }

    /// Checks an event by the hub's rules, as publishing it does.
    ///
    /// # Errors
    ///
    /// [`Refused`] says which rule it breaks.
    pub fn check(&self, draft: &Draft) -> Result<(), Refused> {
        draft.check(self.config().event_bytes_max, self.epoch())
    }
}

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

//! Publishing: the hub's methods, their futures, and their outcome.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tidings_proto::EventId;

use crate::cursor::{Cursor, Epoch, Sequence};
use crate::draft::{Draft, Refused};
use crate::hub::Hub;
use crate::journal::{Committing, NotCommitted, Outcome, Submission};
use crate::streams::StreamRefused;
use crate::topic::Topic;

impl Hub {
    /// Publishes an event. It is submitted at the call; the future yields where it was committed.
    ///
    /// Never waits for readers. In memory the event is committed and in history, or refused, before the
    /// call returns. Its readers are woken by this call, unless another publisher's call has committed
    /// the event along with its own: that call then wakes them, perhaps a moment after this one returns.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes nothing back.
    pub fn publish(&self, draft: Draft) -> Publishing {
        if let Err(reason) = self.check(&draft) {
            return Publishing::refused(self, reason);
        }
        let given_id = draft.event.id().cloned();
        let state = if self.streams_of_topics().decides() {
            State::of(self.submit_among_streams(vec![draft]), given_id)
        } else {
            let committing = self.submit(&mut std::iter::once(Submission::Event(draft)));
            State::Submitted(committing, given_id)
        };
        Publishing { epoch: self.epoch(), state }
    }

    /// Publishes events in order, or none of them if one is refused. The future yields one
    /// [`Published`] for each, in the same order, or the error of the first event that is refused.
    ///
    /// They are checked and submitted at the call. Their number is for the caller to limit. A journal that cannot commit
    /// so many together commits none of them: [`NotCommitted::TooLarge`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes nothing back.
    pub fn publish_all(&self, drafts: Vec<Draft>) -> PublishingAll {
        let epoch = self.epoch();
        for (index, draft) in drafts.iter().enumerate() {
            if let Err(reason) = self.check(draft) {
                let state = State::Refused(PublishError::Refused { index, reason });
                return PublishingAll { epoch, state };
            }
        }
        let given_ids = drafts.iter().map(|draft| draft.event.id().cloned()).collect();
        if self.streams_of_topics().decides() {
            let state = State::of(self.submit_among_streams(drafts), given_ids);
            return PublishingAll { epoch, state };
        }
        let committing = self.submit(&mut drafts.into_iter().map(Submission::Event));
        PublishingAll { epoch, state: State::Submitted(committing, given_ids) }
    }

    /// Publishes events in order, as [`publish_all`](Hub::publish_all) does, but if the journal fails, some may be committed
    /// and others not. A journal that several hubs share takes any number of them, in as many portions as it needs.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes nothing back.
    pub fn publish_in_order(&self, mut drafts: Vec<Draft>) -> PublishingAll {
        drafts.iter_mut().for_each(|draft| draft.is_apart = true);
        self.publish_all(drafts)
    }

    /// Answers events that were published before as they were answered then, by their idempotency keys. The future
    /// yields an error, [`StreamRefused::Ended`], unless all of them are known.
    /// Nothing is published.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn publish_again(&self, drafts: Vec<Draft>) -> PublishingAll {
        let given_ids = drafts.iter().map(|draft| draft.event.id().cloned()).collect();
        let committing = self.submit(&mut drafts.into_iter().map(Submission::again));
        let ended = PublishError::Stream(StreamRefused::Ended);
        PublishingAll { epoch: self.epoch(), state: State::Again(committing, given_ids, ended) }
    }

    /// Closes the streams that are open on exactly this topic, after the events published before. The
    /// stream of a reader that was away is [closed](crate::Subscriber::is_closed) when it comes back.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes nothing back.
    pub fn close(&self, topic: Topic) -> Closing {
        let committing = self.submit(&mut std::iter::once(Submission::Close(topic)));
        Closing(Publishing { epoch: self.epoch(), state: State::Submitted(committing, None) })
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

/// An event that is being committed: a future of the [`Published`] event or the [`PublishError`].
///
/// The event was submitted, or refused, when this future was made.
///
/// # Cancel safety
///
/// Dropping it takes nothing back: the event is committed all the same.
#[must_use = "the event is published in any case, but only this future reports an error"]
pub struct Publishing {
    epoch: Epoch,
    state: State<Option<EventId>>,
}

/// Events that are being committed: a future of one [`Published`] for each draft, in order, or of the
/// [`PublishError`]. Otherwise as [`Publishing`].
///
/// # Cancel safety
///
/// Dropping it takes nothing back: the events are committed all the same.
#[must_use = "the events are published in any case, but only this future reports an error"]
pub struct PublishingAll {
    epoch: Epoch,
    state: State<Vec<Option<EventId>>>,
}

/// Streams that are being closed: a future of `Result<(), PublishError>`, done when the close is committed.
///
/// # Cancel safety
///
/// Dropping it takes nothing back: the streams are closed all the same.
#[must_use = "the streams are closed in any case, but only this future reports an error"]
pub struct Closing(Publishing);

/// The outcome of the call, with the publisher-given IDs.
enum State<Ids> {
    Refused(PublishError),
    Submitted(Committing, Ids),
    /// Submitted as repetitions; if one is none, all are refused.
    Again(Committing, Ids, PublishError),
}

impl<Ids> State<Ids> {
    fn of(submitted: Among, given_ids: Ids) -> Self {
        match submitted {
            Among::Submitted(committing) => Self::Submitted(committing, given_ids),
            Among::Again(committing, error) => Self::Again(committing, given_ids, error),
            Among::Refused(error) => Self::Refused(error),
        }
    }
}

/// The fate of events that were to be submitted among the streams of their topics.
pub(crate) enum Among {
    Refused(PublishError),
    Submitted(Committing),
    Again(Committing, PublishError),
}

/// Returns the outcomes, or an error if they are not those of repetitions.
fn of_repetitions(outcomes: &[Outcome], error: &PublishError) -> Result<(), PublishError> {
    let is_repeated = |outcome: &Outcome| matches!(outcome, Outcome::Duplicate(_));
    outcomes.iter().all(is_repeated).then_some(()).ok_or_else(|| error.clone())
}

/// An event that was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    epoch: Epoch,
    given_id: Option<EventId>,
    /// Its position in the hub's history.
    pub sequence: Sequence,
    /// Whether it had been published before under the same idempotency key. Nothing was published
    /// this time.
    pub is_duplicate: bool,
}

/// Why an event was not published, or may not have been.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishError {
    /// An event is against the hub's rules, so nothing was published. Correct it.
    Refused {
        /// The index of the event among those of the call.
        index: usize,
        /// The rule it breaks.
        reason: Refused,
    },
    /// An event does not belong to the stream of one of its topics. Nothing was published.
    Stream(StreamRefused),
    /// Nothing was written of the event, and it will not appear. It may be published again, unless it is
    /// too large.
    NotCommitted(NotCommitted),
    /// The journal failed, so the event may have been committed or not. Publish it again with the same
    /// idempotency key.
    Unknown,
}

impl Publishing {
    /// An event that was not submitted.
    pub(crate) fn refused(hub: &Hub, reason: Refused) -> Self {
        let state = State::Refused(PublishError::Refused { index: 0, reason });
        Self { epoch: hub.epoch(), state }
    }
}

impl Closing {
    /// A close that was not submitted.
    pub(crate) fn refused(hub: &Hub, reason: Refused) -> Self {
        Self(Publishing::refused(hub, reason))
    }
}

impl Published {
    /// The ID that its readers see: the publisher's, or the one that the hub made.
    #[must_use]
    pub fn id(&self) -> EventId {
        match &self.given_id {
            Some(id) => id.clone(),
            None => self.cursor().to_event_id(),
        }
    }

    /// Appends [the ID](Published::id) as text, without an allocation for it.
    pub fn write_id(&self, out: &mut Vec<u8>) {
        match &self.given_id {
            Some(id) => out.extend_from_slice(id.as_str().as_bytes()),
            None => out.extend_from_slice(&self.cursor().spell()),
        }
    }

    pub(crate) fn new(
        epoch: Epoch,
        outcome: Outcome,
        given_id: Option<EventId>,
    ) -> Result<Self, PublishError> {
        let (sequence, is_duplicate) = match outcome {
            Outcome::Committed(sequence) => (sequence, false),
            Outcome::Duplicate(sequence) => (sequence, true),
            Outcome::NotCommitted(why) => return Err(PublishError::NotCommitted(why)),
            Outcome::Refused(why) => return Err(PublishError::Stream(why)),
            Outcome::Unknown | Outcome::Void => return Err(PublishError::Unknown),
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
        let epoch = self.epoch;
        let (committing, given_id, again) = match &mut self.state {
            State::Refused(error) => return Poll::Ready(Err(error.clone())),
            State::Submitted(committing, given_id) => (committing, given_id, None),
            State::Again(committing, given_id, error) => (committing, given_id, Some(error)),
        };
        let outcome = match committing {
            Committing::One(outcome) => *outcome,
            Committing::All(outcomes) => first(outcomes),
            Committing::Waiting(outcomes) => first(&ready!(outcomes.as_mut().poll(cx))),
        };
        if let Some(error) = again {
            of_repetitions(&[outcome], error)?;
        }
        Poll::Ready(Published::new(epoch, outcome, given_id.take()))
    }
}

impl Future for PublishingAll {
    type Output = Result<Vec<Published>, PublishError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let epoch = self.epoch;
        let (committing, given_ids, again) = match &mut self.state {
            State::Refused(error) => return Poll::Ready(Err(error.clone())),
            State::Submitted(committing, given_ids) => (committing, given_ids, None),
            State::Again(committing, given_ids, error) => (committing, given_ids, Some(error)),
        };
        let outcomes = match committing {
            Committing::One(outcome) => vec![*outcome],
            Committing::All(outcomes) => std::mem::take(outcomes),
            Committing::Waiting(outcomes) => ready!(outcomes.as_mut().poll(cx)),
        };
        if let Some(error) = again {
            of_repetitions(&outcomes, error)?;
        }
        let published = |(outcome, id)| Published::new(epoch, outcome, id);
        Poll::Ready(outcomes.into_iter().zip(given_ids.drain(..)).map(published).collect())
    }
}

impl Future for Closing {
    type Output = Result<(), PublishError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map_ok(drop)
    }
}

/// The outcome of a single draft.
fn first(outcomes: &[Outcome]) -> Outcome {
    outcomes.first().copied().unwrap_or(Outcome::Unknown)
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { index, .. } => write!(f, "event {index} was refused"),
            Self::Stream(why) => write!(f, "nothing was published: {why}"),
            Self::NotCommitted(why) => write!(f, "nothing was published: {why}"),
            Self::Unknown => {
                f.write_str("the journal failed, so the event may have been committed or not")
            }
        }
    }
}

impl std::error::Error for PublishError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused { reason, .. } => Some(reason),
            Self::Stream(_) | Self::NotCommitted(_) | Self::Unknown => None,
        }
    }
}

//! Requests to a stream: they are submitted in the order in which they are decided.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tidings_proto::EventId;

use crate::appended::Appended;
use crate::asking::Asked;
use crate::cursor::{Cursor, Epoch, Sequence};
use crate::draft::Draft;
use crate::hub::Hub;
use crate::journal::{Committing, NotCommitted, Outcome, Submission};
use crate::publish::{PublishError, Published};
use crate::streams::{
    Append, Committed, Failure, StreamMark, StreamTurn, Verdict, answer_of, poll_outcomes,
};
use crate::topic::Topic;

/// Events that are being appended to a stream: a future of what was [`Appended`], or of the
/// [`PublishError`].
///
/// # Cancel safety
///
/// Dropping it takes nothing back: the events are committed all the same.
#[must_use = "the events are published in any case, but only this future reports an error"]
pub struct Appending {
    hub: Hub,
    topic: Topic,
    state: State,
}

enum State {
    Done(Result<Appended, PublishError>),
    Submitted(Submitted),
    /// The journal decides it.
    Asked(Asked),
}

struct Submitted {
    committing: Committing,
    given_ids: Vec<Option<EventId>>,
    shape: Shape,
}

/// How the marks lie around the events of a request.
#[derive(Clone, Copy)]
struct Shape {
    before: usize,
    is_begin: bool,
    is_end: bool,
    stream: Option<StreamTurn>,
}

impl Failure {
    fn into_error(self) -> PublishError {
        match self {
            Self::NotCommitted(why) => PublishError::NotCommitted(why),
            Self::Unknown => PublishError::Unknown,
        }
    }
}

impl Verdict {
    fn into_accepted(self) -> Result<(Vec<StreamMark>, Option<StreamMark>), PublishError> {
        match self {
            Self::Accept { before, after } => Ok((before, after)),
            // What a request is repeated for is answered before this.
            Self::Duplicate | Self::Repeated => Ok((Vec::new(), None)),
            Self::Refused(why) => Err(PublishError::Stream(why)),
            Self::Unsettled(failure) => Err(failure.into_error()),
        }
    }
}

impl Hub {
    /// Submits events if they belong to the streams of all of their topics.
    pub(crate) fn submit_among_streams(
        &self,
        drafts: Vec<Draft>,
    ) -> Result<Committing, PublishError> {
        let mut state = self.streams_of_topics().lock();
        state.note_left();
        let topics = || drafts.iter().flat_map(|draft| draft.topics.as_slice());
        topics()
            .try_for_each(|topic| state.streams.check_event(topic).into_accepted().map(drop))?;
        let now = self.clock().uptime();
        topics().for_each(|topic| state.streams.count_event(topic, now));
        let committing = self.submit_only(&mut drafts.into_iter().map(Submission::Event));
        drop(state);
        self.commit_submitted();
        Ok(committing)
    }

    /// Checks that an event of no producer belongs to the streams of its topics, as they stand now.
    ///
    /// # Errors
    ///
    /// [`PublishError::Stream`] if it does not, or an error of a stream whose state is not known.
    pub fn check_streams(&self, draft: &Draft) -> Result<(), PublishError> {
        if !self.has_streams() {
            return Ok(());
        }
        let state = self.streams_of_topics().lock();
        let mut topics = draft.topics.as_slice().iter();
        topics.try_for_each(|topic| state.streams.check_event(topic).into_accepted().map(drop))
    }

    /// Publishes events of one topic to its stream, which may begin before them and end after them: all
    /// of it or nothing. They are submitted at the call.
    ///
    /// # Panics
    ///
    /// If an event has another topic than this one.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes nothing back.
    pub fn append(&self, topic: Topic, request: &Append, drafts: Vec<Draft>) -> Appending {
        let state = match self.check_appended(&topic, &drafts) {
            Err(error) => State::Done(Err(error)),
            Ok(()) if self.streams_of_topics().is_told() => {
                match self.ask_append(&topic, request, drafts) {
                    Ok(asked) => State::Asked(asked),
                    Err(error) => State::Done(Err(error)),
                }
            }
            Ok(()) => self.submit_append(&topic, request, drafts),
        };
        let is_submitted = matches!(state, State::Submitted(_));
        let mut appending = Appending { hub: self.clone(), topic, state };
        if is_submitted {
            self.commit_submitted();
            appending.finish_at_once();
        }
        appending
    }

    fn check_appended(&self, topic: &Topic, drafts: &[Draft]) -> Result<(), PublishError> {
        for (index, draft) in drafts.iter().enumerate() {
            assert!(draft.topics.as_slice() == [topic.clone()], "a stream is of one topic");
            self.check(draft).map_err(|reason| PublishError::Refused { index, reason })?;
        }
        Ok(())
    }

    fn submit_append(&self, topic: &Topic, request: &Append, drafts: Vec<Draft>) -> State {
        let given_ids: Vec<_> = drafts.iter().map(|draft| draft.event.id().cloned()).collect();
        // Locked until it is submitted, so that requests are submitted in the order of their decisions.
        let mut state = self.streams_of_topics().lock_to_use();
        state.note_left();
        let now = self.clock().uptime();
        let verdict = state.streams.decide(topic, request, drafts.len() as u64, now);
        let (before, after) = match verdict {
            Verdict::Duplicate => {
                return State::Done(Ok(Appended { is_duplicate: true, ..Appended::default() }));
            }
            Verdict::Repeated => {
                let stream = state.streams.turn(topic);
                let repeated = self.repeated(state.streams.committed(topic), request, given_ids);
                return State::Done(repeated.map(|repeated| Appended { stream, ..repeated }));
            }
            verdict => match verdict.into_accepted() {
                Ok(accepted) => accepted,
                Err(error) => return State::Done(Err(error)),
            },
        };
        let shape = Shape {
            before: before.len(),
            is_begin: request.begin.is_some(),
            is_end: after.is_some(),
            stream: state.streams.turn(topic),
        };
        let mark = |mark| Submission::Stream(topic.clone(), mark);
        let mut submissions: Vec<_> = before.into_iter().map(mark).collect();
        submissions.extend(drafts.into_iter().map(Submission::Event));
        submissions.extend(after.map(mark));
        let committing = self.submit_only(&mut submissions.into_iter());
        State::Submitted(Submitted { committing, given_ids, shape })
    }

    /// Stops a topic's stream for a reader: its producer is told, and has the stream's
    /// [grace](crate::StreamOptions::grace) to end it. With `begin`, a stream that begins elsewhere is not stopped.
    /// A stream that has ended or was stopped before stays as it is.
    ///
    /// # Errors
    ///
    /// [`PublishError`] if the stop was not committed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes nothing back.
    pub async fn stop_stream(
        &self,
        topic: &Topic,
        begin: Option<Cursor>,
    ) -> Result<(), PublishError> {
        if begin.is_some_and(|begin| begin.epoch != self.epoch()) {
            return Ok(());
        }
        let begin = begin.map(|begin| begin.sequence);
        if self.streams_of_topics().is_told() {
            return self.ask_stop(topic, begin).await;
        }
        let stopping = self.submit_stop(topic, begin);
        match stopping {
            Some(stopping) => stopping.await.map(drop),
            None => Ok(()),
        }
    }

    /// Submits a stop of a topic's stream, if there is something to stop.
    fn submit_stop(&self, topic: &Topic, begin: Option<Sequence>) -> Option<Appending> {
        let mut state = self.streams_of_topics().lock();
        state.note_left();
        let mark = state.streams.stop(topic, begin, self.clock().uptime())?;
        let mark = Submission::Stream(topic.clone(), mark);
        let committing = self.submit_only(&mut std::iter::once(mark));
        let shape = Shape { before: 1, is_begin: false, is_end: false, stream: None };
        let submitted = Submitted { committing, given_ids: Vec::new(), shape };
        drop(state);
        let (hub, topic, state) = (self.clone(), topic.clone(), State::Submitted(submitted));
        let mut stopping = Appending { hub, topic, state };
        self.commit_submitted();
        stopping.finish_at_once();
        Some(stopping)
    }

    /// The answer to a request that has begun or ended a stream before, as far as the stream tells it: its
    /// events are the first ones or the last ones.
    fn repeated(
        &self,
        stream: Option<&Committed>,
        request: &Append,
        given_ids: Vec<Option<EventId>>,
    ) -> Result<Appended, PublishError> {
        // The first request is still under way.
        const UNDER_WAY: PublishError = PublishError::NotCommitted(NotCommitted::Busy);
        let cursor = |sequence| Cursor { epoch: self.epoch(), sequence };
        let stream = stream.ok_or(UNDER_WAY)?;
        let end = stream.end.map(|(end, ..)| cursor(end));
        if request.end.is_some() && end.is_none() {
            return Err(UNDER_WAY);
        }
        let event = stream.held.map(|(first, last)| if end.is_some() { last } else { first });
        let published = event
            .into_iter()
            .zip(given_ids)
            .map(|(sequence, id)| Published::new(self.epoch(), Outcome::Duplicate(sequence), id));
        Ok(Appended {
            published: published.collect::<Result<_, _>>()?,
            begin: request.begin.is_some().then(|| cursor(stream.begin)),
            end: end.filter(|_| request.end.is_some()),
            is_duplicate: true,
            ..Appended::default()
        })
    }
}

impl Appending {
    /// Finishes what the journal has answered at the call.
    fn finish_at_once(&mut self) {
        let State::Submitted(submitted) = &mut self.state else { return };
        if matches!(submitted.committing, Committing::Waiting(_)) {
            return;
        }
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(outcomes) = poll_outcomes(&mut submitted.committing, &mut cx) {
            self.finish(&outcomes);
        }
    }

    fn finish(&mut self, outcomes: &[Outcome]) {
        let State::Submitted(submitted) = &mut self.state else { return };
        let answer = answer_of(outcomes);
        let shared = self.hub.streams_of_topics();
        shared.lock().streams.note_answer(&self.topic, answer);
        let done = match answer {
            Ok(_) => submitted.appended(self.hub.epoch(), outcomes),
            Err(failure) => Err(failure.into_error()),
        };
        self.state = State::Done(done);
    }
}

impl Submitted {
    fn appended(&mut self, epoch: Epoch, outcomes: &[Outcome]) -> Result<Appended, PublishError> {
        let place = |outcome: Option<&Outcome>| match outcome {
            Some(&(Outcome::Committed(sequence) | Outcome::Duplicate(sequence))) => {
                Ok(Cursor { epoch, sequence })
            }
            _ => Err(PublishError::Unknown),
        };
        let shape = self.shape;
        let given_ids = mem::take(&mut self.given_ids);
        let events = outcomes.iter().skip(shape.before).zip(given_ids);
        let published = events.map(|(&outcome, id)| Published::new(epoch, outcome, id));
        let begin = shape.before.checked_sub(1).and_then(|at| outcomes.get(at));
        Ok(Appended {
            published: published.collect::<Result<_, _>>()?,
            begin: shape.is_begin.then(|| place(begin)).transpose()?,
            end: shape.is_end.then(|| place(outcomes.last())).transpose()?,
            stream: shape.stream,
            is_duplicate: false,
        })
    }
}

impl Future for Appending {
    type Output = Result<Appended, PublishError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let epoch = self.hub.epoch();
        match &mut self.state {
            State::Done(_) => {}
            State::Submitted(submitted) => {
                let outcomes = ready!(poll_outcomes(&mut submitted.committing, cx));
                self.finish(&outcomes);
            }
            State::Asked(asked) => {
                let done = ready!(asked.poll(epoch, cx));
                self.state = State::Done(done);
            }
        }
        match &self.state {
            State::Done(done) => Poll::Ready(done.clone()),
            State::Submitted(_) | State::Asked(_) => Poll::Pending,
        }
    }
}

impl Drop for Appending {
    /// The hub waits for the answer instead: if it is a failure, it must know how the stream stands.
    fn drop(&mut self) {
        let done = State::Done(Err(PublishError::Unknown));
        // The journal knows how a stream stands that it decides.
        if let State::Submitted(submitted) = mem::replace(&mut self.state, done) {
            let left = (self.topic.clone(), submitted.committing);
            self.hub.streams_of_topics().lock().left.push(left);
        }
    }
}

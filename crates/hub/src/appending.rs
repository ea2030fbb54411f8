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
use crate::publish::{Among, PublishError, Published};
use crate::streams::{
    Append, Committed, Failure, StreamMark, StreamTurn, Streams, Verdict, answer_of, poll_outcomes,
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
    /// The [number](Streams::number) of the stream.
    number: Option<u64>,
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

/// A draft with an idempotency key: its number among the others, and a stream that has counted it.
type CountedDraft = (usize, Topic, u64);

fn counted(streams: &Streams, drafts: &[Draft]) -> Vec<CountedDraft> {
    let keyed = drafts.iter().enumerate().filter(|(_, draft)| draft.idempotency.is_some());
    let counted = keyed.flat_map(|(at, draft)| {
        let topics = draft.topics.as_slice().iter();
        topics.filter_map(move |topic| Some((at, topic.clone(), streams.number(topic)?)))
    });
    counted.collect()
}

impl Hub {
    /// Submits events if they belong to the streams of all of their topics, or may be repetitions of some that did.
    pub(crate) fn submit_among_streams(&self, drafts: Vec<Draft>) -> Among {
        let mut state = self.streams_of_topics().lock();
        state.note_left();
        let topics = || drafts.iter().flat_map(|draft| draft.topics.as_slice());
        let check = |topic| state.streams.check_event(topic).into_accepted().map(drop);
        if let Err(error) = topics().try_for_each(check) {
            drop(state);
            if !drafts.iter().all(|draft| draft.idempotency.is_some()) {
                return Among::Refused(error);
            }
            return Among::Again(
                self.submit(&mut drafts.into_iter().map(Submission::again)),
                error,
            );
        }
        let now = self.clock().uptime();
        topics().for_each(|topic| state.streams.count_event(topic, now));
        let counted = counted(&state.streams, &drafts);
        let committing = self.submit_only(&mut drafts.into_iter().map(Submission::Event));
        drop(state);
        self.commit_submitted();
        Among::Submitted(self.brought_in(self.without_duplicates(committing, counted)))
    }

    /// Takes events that turn out to be repetitions back from the streams that counted them.
    fn without_duplicates(&self, committing: Committing, counted: Vec<CountedDraft>) -> Committing {
        if counted.is_empty() {
            return committing;
        }
        let hub = self.clone();
        let take_back = move |outcomes: &[Outcome]| {
            let is_repeated = |at: usize| matches!(outcomes.get(at), Some(Outcome::Duplicate(_)));
            let mut state = hub.streams_of_topics().lock();
            for (_, topic, stream) in counted.iter().filter(|(at, ..)| is_repeated(*at)) {
                state.streams.take_back(topic, *stream, 1);
            }
        };
        match committing {
            Committing::One(outcome) => take_back(&[outcome]),
            Committing::All(ref outcomes) => take_back(outcomes),
            Committing::Waiting(outcomes) => {
                return Committing::Waiting(Box::pin(async move {
                    let outcomes = outcomes.await;
                    take_back(&outcomes);
                    outcomes
                }));
            }
        }
        committing
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
            number: state.streams.number(topic),
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
        let (stream, number) = (None, None);
        let shape = Shape { before: 1, is_begin: false, is_end: false, stream, number };
        let submitted = Submitted { committing, given_ids: Vec::new(), shape };
        drop(state);
        let (hub, topic, state) = (self.clone(), topic.clone(), State::Submitted(submitted));
        let mut stopping = Appending { hub, topic, state };
        self.commit_submitted();
        stopping.finish_at_once();
        Some(stopping)
    }

    /// The answer to a request that has begun or ended a stream before: its events are the first ones or the last ones.
    fn repeated(
        &self,
        stream: Option<&Committed>,
        request: &Append,
        given_ids: Vec<Option<EventId>>,
    ) -> Result<Appended, PublishError> {
        // The first request is still under way.
        const UNDER_WAY: PublishError = PublishError::NotCommitted(NotCommitted::Busy);
        let cursor = |sequence| Cursor { epoch: self.epoch(), sequence };
        let (stream, count) = (stream.ok_or(UNDER_WAY)?, given_ids.len());
        let end = stream.end.map(|(end, ..)| cursor(end));
        if request.end.is_some() && end.is_none() {
            return Err(UNDER_WAY);
        }
        let published = given_ids.into_iter().enumerate().map_while(|(at, id)| {
            let (_, last) = stream.held?;
            let stream = (stream.begin, last, stream.end.map(|(end, ..)| end));
            let sequence = request.repeated_event(stream, (at, count));
            Some(Published::new(self.epoch(), Outcome::Duplicate(sequence), id))
        });
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
        self.hub.bring_in(outcomes);
        let answer = answer_of(outcomes);
        let shared = self.hub.streams_of_topics();
        let is_repeated = |outcome: &&Outcome| matches!(outcome, Outcome::Duplicate(_));
        let repeated = outcomes.iter().filter(is_repeated).count() as u64;
        let mut state = shared.lock();
        if let Some(number) = submitted.shape.number {
            state.streams.take_back(&self.topic, number, repeated);
        }
        state.streams.note_answer(&self.topic, answer);
        drop(state);
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

#[cfg(test)]
mod tests {
    use tidings_proto::Event;

    use super::*;
    use crate::draft::IdempotencyKey;
    use crate::streams::StreamOptions;

    const TOPIC: Topic = Topic::from_static("c/1");

    /// The end of a stream said that a repeated event was another one, and a journal that kept it said so for ever.
    #[test]
    fn an_event_that_is_repeated_counts_once() {
        let hub = Hub::default();
        let draft = |n: u64| {
            let key = IdempotencyKey::new("k").unwrap().at(n);
            Draft::new(TOPIC, Event::new("x")).with_idempotency_key(key)
        };
        let begin = Append { begin: Some(StreamOptions::default()), ..Append::default() };
        smol::block_on(async {
            hub.append(TOPIC, &begin, vec![draft(0)]).await.unwrap();
            for _ in 0..2 {
                hub.publish(draft(1)).await.unwrap();
                hub.publish_all(vec![draft(2), draft(3)]).await.unwrap();
                hub.append(TOPIC, &Append::default(), vec![draft(4)]).await.unwrap();
            }
        });
        let mut state = hub.streams_of_topics().lock();
        let end = Append { end: Some(crate::streams::EndNotice::Event), ..Append::default() };
        let Verdict::Accept { after: Some(StreamMark::End(close, _)), .. } =
            state.streams.decide(&TOPIC, &end, 0, 0)
        else {
            panic!("an end is accepted");
        };
        assert_eq!(close.events, 5);
    }

    #[test]
    fn what_a_stream_has_is_answered_after_its_end_and_nothing_else() {
        let hub = Hub::default();
        let draft = |key: &str| {
            let key = IdempotencyKey::new(key).unwrap();
            Draft::new(TOPIC, Event::new("x")).with_idempotency_key(key)
        };
        let whole = Append {
            begin: Some(StreamOptions::default()),
            end: Some(crate::streams::EndNotice::Event),
            ..Append::default()
        };
        smol::block_on(async {
            let once = hub.append(TOPIC, &whole, vec![draft("a"), draft("b")]).await.unwrap();
            let again = hub.publish_all(vec![draft("a"), draft("b")]).await.unwrap();
            let sequences = |published: &[Published]| {
                published.iter().map(|it| it.sequence).collect::<Vec<_>>()
            };
            assert_eq!(sequences(&again), sequences(&once.published));
            assert!(hub.publish(draft("b")).await.unwrap().is_duplicate);
            let ended = PublishError::Stream(crate::streams::StreamRefused::Ended);
            let more = hub.publish_all(vec![draft("a"), draft("c")]).await;
            assert_eq!(more.unwrap_err(), ended);
            assert_eq!(hub.publish(draft("c")).await.unwrap_err(), ended);
            assert_eq!(hub.publish_again(vec![draft("c")]).await.unwrap_err(), ended);
        });
        assert_eq!(hub.stats().published, 2);
    }
}

//! Requests to streams on a journal that decides them: they are submitted undecided, and the answer tells what
//! became of them.

use std::mem;
use std::task::{Context, Poll, ready};

use tidings_proto::EventId;

use crate::appended::Appended;
use crate::cursor::{Cursor, Epoch, Sequence};
use crate::draft::Draft;
use crate::hub::Hub;
use crate::journal::{Committing, NotCommitted, Outcome, Submission};
use crate::publish::{PublishError, Published};
use crate::streams::{Append, Ask, StreamMark, StreamTurn, poll_outcomes};
use crate::topic::Topic;

/// A request to append that the journal decides.
pub(crate) struct Asked {
    committing: Committing,
    given_ids: Vec<Option<EventId>>,
    is_begin: bool,
    is_end: bool,
    /// The epoch of its producer.
    epoch: u64,
}

impl Hub {
    /// Submits a request to a topic's stream. Its events have been checked.
    ///
    /// # Errors
    ///
    /// If there are too many streams.
    pub(crate) fn ask_append(
        &self,
        topic: &Topic,
        request: &Append,
        drafts: Vec<Draft>,
    ) -> Result<Asked, PublishError> {
        let (is_begin, is_end) = (request.begin.is_some(), request.end.is_some());
        if is_begin && !self.streams_of_topics().lock().streams.has_room_for(topic) {
            return Err(PublishError::NotCommitted(NotCommitted::Full));
        }
        let given_ids: Vec<_> = drafts.iter().map(|draft| draft.event.id().cloned()).collect();
        let epoch = request.producer.as_ref().map_or(0, |producer| producer.epoch);
        let mark = |mark| Submission::Stream(topic.clone(), mark);
        // The journal counts what follows when it writes it.
        let ask = mark(StreamMark::Ask(Box::new(Ask::Append(request.clone(), 0))));
        let events = drafts.into_iter().map(Submission::Event);
        let submissions = [ask, mark(StreamMark::Room)].into_iter().chain(events);
        let mut submissions = submissions.chain(is_end.then(|| mark(StreamMark::Room)));
        let committing = self.submit(&mut submissions);
        Ok(Asked { committing, given_ids, is_begin, is_end, epoch })
    }

    /// Submits the stop of a topic's stream.
    pub(crate) async fn ask_stop(
        &self,
        topic: &Topic,
        begin: Option<Sequence>,
    ) -> Result<(), PublishError> {
        let mut stopping = self.ask(topic, Ask::Stop(begin));
        let outcomes = std::future::poll_fn(|cx| poll_outcomes(&mut stopping, cx)).await;
        failure(&outcomes).map_or(Ok(()), Err)
    }

    /// Tells all hubs that a producer has left.
    pub(crate) fn tell_left(&self, topic: &Topic, turn: StreamTurn) {
        drop(self.ask(topic, Ask::Left(turn, None)));
    }

    /// Asks for the ends of the streams whose time is over, and for ended ones to be freed. All hubs do, and one of them
    /// is first.
    pub(crate) fn ask_due_ends(&self) {
        let due = self.streams_of_topics().lock().streams.ask_due(self.clock().uptime());
        due.into_iter().for_each(|(topic, ask)| drop(self.ask(&topic, ask)));
        let still_here = self.streams_of_topics().lock().streams.take_still_here();
        for (topic, turn) in still_here {
            let request = Append { stream: Some(turn), ..Append::default() };
            drop(self.ask_append(&topic, &request, Vec::new()));
        }
    }

    /// Tells a journal that decides how the streams stand that were read back.
    pub(crate) fn tell_restored(&self) {
        let shared = self.streams_of_topics();
        if shared.is_told() && shared.is_used() {
            let states = shared.lock().streams.states();
            self.journal().restore_streams(states);
        }
    }

    fn ask(&self, topic: &Topic, ask: Ask) -> Committing {
        let mark = StreamMark::Ask(Box::new(ask));
        self.submit(&mut std::iter::once(Submission::Stream(topic.clone(), mark)))
    }

    /// Reads up to the newest entry of all hubs, if the streams of their topics do not take some of these events as
    /// far as this hub knows: [`Hub::check_streams`] then refuses rightly.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn catch_up_for(&self, drafts: &[Draft]) {
        if self.streams_of_topics().is_told()
            && drafts.iter().any(|draft| self.check_streams(draft).is_err())
        {
            // Without an answer, this hub's word is the best there is.
            let _ = self.journal().tail().await;
            // Handed over, it is committed under this lock.
            self.await_commit();
        }
    }
}

/// The first reason for which a request was not committed.
fn failure(outcomes: &[Outcome]) -> Option<PublishError> {
    outcomes.iter().find_map(|outcome| match *outcome {
        Outcome::Refused(why) => Some(PublishError::Stream(why)),
        Outcome::NotCommitted(why) => Some(PublishError::NotCommitted(why)),
        Outcome::Unknown => Some(PublishError::Unknown),
        Outcome::Committed(_) | Outcome::Duplicate(_) | Outcome::Void => None,
    })
}

impl Asked {
    /// Waits for the answer.
    pub(crate) fn poll(
        &mut self,
        epoch: Epoch,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Appended, PublishError>> {
        let outcomes = ready!(poll_outcomes(&mut self.committing, cx));
        Poll::Ready(match failure(&outcomes) {
            Some(error) => Err(error),
            None => self.appended(epoch, &outcomes),
        })
    }

    /// Tells what became of a request from the outcomes of its parts: itself, the room for a mark, its events, and
    /// the room for its end.
    fn appended(&mut self, epoch: Epoch, outcomes: &[Outcome]) -> Result<Appended, PublishError> {
        let [own, room, rest @ ..] = outcomes else { return Err(PublishError::Unknown) };
        if *own == Outcome::Void {
            return Ok(Appended { is_duplicate: true, ..Appended::default() });
        }
        let place = |outcome: &Outcome| match *outcome {
            Outcome::Committed(sequence) | Outcome::Duplicate(sequence) => Ok(sequence),
            _ => Err(PublishError::Unknown),
        };
        let is_duplicate = matches!(room, Outcome::Duplicate(_));
        let begun = place(room)?;
        let turn = if self.is_begin && !is_duplicate { begun } else { place(own)? };
        let stream = StreamTurn { begun: begun.get(), turn: turn.get(), epoch: self.epoch };
        let is_open = !self.is_end && begun > Sequence::ZERO && turn > Sequence::ZERO;
        let cursor = |sequence| Cursor { epoch, sequence };
        let events = rest.iter().zip(mem::take(&mut self.given_ids));
        let published = events.map(|(&outcome, id)| Published::new(epoch, outcome, id));
        let end = if self.is_end { outcomes.last() } else { None };
        Ok(Appended {
            published: published.collect::<Result<_, _>>()?,
            begin: self.is_begin.then(|| cursor(begun)),
            end: end.map(place).transpose()?.map(cursor),
            stream: is_open.then_some(stream),
            is_duplicate,
        })
    }
}

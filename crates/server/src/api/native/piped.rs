//! A body that is piped into a stream of a topic: it may begin the stream, end it, or both.

use std::future::pending;

use bytes::Bytes;
use http::{HeaderMap, Response};
use tidings_hub::{
    Append, Cursor, Draft, EndNotice, Hub, IdempotencyKey, PublishError, Published, StreamRefused,
    StreamTurn, Topic, Topics,
};

use super::stream_append::name_stream;
use crate::http::problem::{Problem, ProblemKind};
use crate::http::response::no_content;

/// A body on its way into a stream. Dropped before its end, it has left the stream, and somebody may go on
/// within the grace.
pub(super) struct Piped<'a> {
    hub: &'a Hub,
    topic: Topic,
    /// The place where the body began the stream, if it did.
    begin: Option<Cursor>,
    end: Option<EndNotice>,
    key: Option<IdempotencyKey>,
    /// `None` once the body has ended, or if its stream has, so that it is the same body once more.
    turn: Option<StreamTurn>,
}

/// The topic of a piped body.
pub(super) fn topic_of(topics: &Topics) -> Result<Topic, Problem> {
    match topics.as_slice() {
        [topic] => Ok(topic.clone()),
        _ => Err(Problem::invalid_parameter("topic", "a stream is of one topic: name it alone")),
    }
}

impl<'a> Piped<'a> {
    /// Begins the stream, or goes on with the one that is open. The error is the answer to a producer that has
    /// sent this request before.
    pub(super) async fn begin(
        hub: &'a Hub,
        topic: Topic,
        append: Append,
    ) -> Result<Result<Self, Response<Bytes>>, Problem> {
        let (end, key) = (append.end, append.key.clone());
        let request = Append { end: None, ..append };
        let appended = match hub.append(topic.clone(), &request, Vec::new()).await {
            // Its key tells whether the body has ended the stream.
            Err(PublishError::Stream(StreamRefused::Ended)) if key.is_some() && end.is_some() => {
                return Ok(Ok(Self { hub, topic, begin: None, end, key, turn: None }));
            }
            appended => appended?,
        };
        let (begin, turn) = (appended.begin, appended.stream);
        if begin.is_none() && appended.is_duplicate {
            return Ok(Err(no_content()));
        }
        if turn.is_none() && !appended.is_duplicate {
            let detail = "the topic has no open stream: begin one with ?begin";
            return Err(Problem::new(ProblemKind::Ended, detail));
        }
        // Begun before with the same key, it goes on: the journal recognizes the events.
        Ok(Ok(Self { hub, topic, begin, end, key, turn }))
    }

    /// Publishes events to the stream.
    pub(super) async fn publish(&self, drafts: Vec<Draft>) -> Result<Vec<Published>, Problem> {
        if self.turn.is_none() {
            return Ok(self.hub.publish_again(drafts).await?);
        }
        let request = Append { stream: self.turn, ..Append::default() };
        Ok(self.hub.append(self.topic.clone(), &request, drafts).await?.published)
    }

    /// Waits until a reader stops the stream. Where the body is the end of the stream, the stream then ends.
    pub(super) async fn stopped(&self) {
        if self.turn.is_none() || !self.hub.stream_stopped(&self.topic, self.turn).await {
            // It has ended: the next event is refused.
            pending().await
        }
    }

    /// The answer to a producer whose stream was stopped. If its body was to end the stream, it does so here.
    pub(super) async fn stop(&mut self) -> Problem {
        if self.end.is_some()
            && let Err(problem) = self.finish().await
        {
            return problem;
        }
        Problem::new(ProblemKind::Stopped, "a reader has stopped the topic's stream")
    }

    /// Ends the stream after the body, if the request has said so.
    pub(super) async fn finish(&mut self) -> Result<(), Problem> {
        let (end, stream) = (self.end, self.turn);
        if end.is_some() {
            let key = self.key.clone();
            let request = Append { end, stream, key, ..Append::default() };
            self.hub.append(self.topic.clone(), &request, Vec::new()).await?;
        }
        self.turn = None;
        Ok(())
    }

    /// Names the stream in the answer, if the body has begun it.
    pub(super) fn name(&self, headers: &mut HeaderMap) {
        if let Some(begin) = self.begin {
            name_stream(headers, begin);
        }
    }
}

impl Drop for Piped<'_> {
    fn drop(&mut self) {
        if let Some(turn) = self.turn.take() {
            self.hub.leave_stream(&self.topic, turn);
        }
    }
}

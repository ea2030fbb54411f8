//! A stream of a topic in the hands of its publisher.

use std::fmt;

use tidings_proto::Event;

use crate::appending::Appending;
use crate::cursor::Cursor;
use crate::draft::Draft;
use crate::hub::Hub;
use crate::publish::PublishError;
use crate::streams::{Append, EndNotice, StreamOptions, StreamRefused, StreamTurn};
use crate::topic::Topic;

/// A stream of a topic in the hands of its publisher: an answer, a log, the progress of a job.
///
/// Readers of the topic are sent its events, then its end, and then their responses end. Dropped without an
/// [end](TopicStream::end), it has broken off: somebody may go on within the
/// [grace](StreamOptions::grace), and else it ends as [aborted](crate::StreamReason::Aborted).
///
/// ```
/// use tidings_hub::{EndNotice, Event, Found, Hub, Start, StreamOptions, Topic};
///
/// # smol::block_on(async {
/// let hub = Hub::default();
/// let topic = Topic::from_static("chat/1");
/// let mut reader = hub.subscribe(topic.clone(), Start::Tail);
///
/// let answer = hub.begin_stream(topic, StreamOptions::default()).await?;
/// answer.send(Event::new("Once upon a time")).await?;
/// answer.end(EndNotice::Event).await?;
///
/// let mut told = Vec::new();
/// while let Some(found) = reader.next().await {
///     if let Found::Event(found) = found {
///         told.push(found.event.data().to_owned());
///     }
/// }
/// assert_eq!(told, ["Once upon a time", r#"{"reason":"done","events":1}"#]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TopicStream {
    hub: Hub,
    topic: Topic,
    begin: Cursor,
    /// `None` once it has ended.
    turn: Option<StreamTurn>,
}

impl Hub {
    /// Begins a stream of a topic. An open one ends as [aborted](crate::StreamReason::Aborted), and whoever
    /// publishes to that one is refused.
    ///
    /// # Errors
    ///
    /// [`PublishError`] if another [producer](StreamOptions::producer) owns the open stream, or the beginning was
    /// not committed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave the stream begun.
    pub async fn begin_stream(
        &self,
        topic: Topic,
        options: StreamOptions,
    ) -> Result<TopicStream, PublishError> {
        let producer = options.producer.clone();
        let request = Append { begin: Some(options), producer, ..Append::default() };
        let appended = self.append(topic.clone(), &request, Vec::new()).await?;
        // A producer that repeats its first request has begun before.
        let begin = appended.begin.ok_or(PublishError::Stream(StreamRefused::Streaming))?;
        Ok(TopicStream { hub: self.clone(), topic, begin, turn: appended.stream })
    }
}

impl TopicStream {
    /// The place where it begins, as a reader's `Stream-Id` names it.
    #[must_use]
    pub fn id(&self) -> Cursor {
        self.begin
    }

    /// Publishes an event to the stream. It is submitted at the call; the future yields
    /// [`PublishError::Stream`] if the stream was stopped, or has another one begun after it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes nothing back.
    pub fn send(&self, event: Event) -> Appending {
        let request = Append { stream: self.turn, ..Append::default() };
        let draft = Draft::new(self.topic.clone(), event);
        self.hub.append(self.topic.clone(), &request, vec![draft])
    }

    /// Ends the stream: as [stopped](crate::StreamReason::Stopped) if a reader has stopped it, else as
    /// [done](crate::StreamReason::Done).
    ///
    /// # Errors
    ///
    /// [`PublishError`] if the end was not committed, or the stream has ended before. The grace begins if it is
    /// still open.
    ///
    /// # Cancel safety
    ///
    /// Once it was polled, dropping the future takes nothing back.
    pub async fn end(mut self, notice: EndNotice) -> Result<(), PublishError> {
        let request = Append { end: Some(notice), stream: self.turn, ..Append::default() };
        self.hub.append(self.topic.clone(), &request, Vec::new()).await?;
        self.turn = None;
        Ok(())
    }

    /// Waits until a reader [stops](Hub::stop_stream) the stream: `true` then, `false` if it ends otherwise.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn stopped(&self) -> bool {
        self.hub.stream_stopped(&self.topic, self.turn).await
    }
}

impl Drop for TopicStream {
    fn drop(&mut self) {
        if let Some(turn) = self.turn.take() {
            self.hub.leave_stream(&self.topic, turn);
        }
    }
}

impl fmt::Debug for TopicStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicStream").field("topic", &self.topic).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::filter::TopicFilter;
    use crate::start::Start;
    use crate::streams::StreamReason;
    use crate::subscriber::Found;
    use crate::time::Now;

    const TOPIC: Topic = Topic::from_static("c/1");

    fn reason(hub: &Hub) -> Option<StreamReason> {
        let info = hub.streams(&TopicFilter::from(TOPIC)).pop()?;
        info.end.map(|(_, close)| close.reason)
    }

    async fn begin(hub: &Hub) -> TopicStream {
        hub.begin_stream(TOPIC, StreamOptions::default()).await.unwrap()
    }

    #[test]
    fn dropped_without_an_end_it_is_aborted_after_the_grace() {
        smol::block_on(async {
            let started = Now::read();
            let hub = Hub::builder().at(started).build();
            drop(begin(&hub).await);
            hub.tick(started + Duration::from_secs(29));
            assert_eq!(reason(&hub), None);
            hub.tick(started + Duration::from_secs(31));
            assert_eq!(reason(&hub), Some(StreamReason::Aborted));
        });
    }

    #[test]
    fn a_stop_is_told_and_the_end_says_so() {
        smol::block_on(async {
            let hub = Hub::default();
            let stream = begin(&hub).await;
            let stop = async { hub.stop_stream(&TOPIC, Some(stream.id())).await.unwrap() };
            let (is_stopped, ()) = smol::future::zip(stream.stopped(), stop).await;
            assert!(is_stopped);
            let late = stream.send(Event::new("late")).await;
            assert_eq!(late, Err(PublishError::Stream(StreamRefused::Stopped)));
            stream.end(EndNotice::Close).await.unwrap();
            assert_eq!(reason(&hub), Some(StreamReason::Stopped));
        });
    }

    #[test]
    fn a_stream_that_begins_anew_takes_nothing_of_the_one_before() {
        smol::block_on(async {
            let hub = Hub::default();
            let (old, new) = (begin(&hub).await, begin(&hub).await);
            let late = old.send(Event::new("late")).await;
            assert_eq!(late, Err(PublishError::Stream(StreamRefused::Ended)));
            assert!(!old.stopped().await);
            assert!(old.end(EndNotice::Event).await.is_err());
            new.send(Event::new("a")).await.unwrap();
            new.end(EndNotice::Event).await.unwrap();
            assert_eq!(reason(&hub), Some(StreamReason::Done));
        });
    }

    #[test]
    fn the_time_to_live_frees_what_the_stream_held_and_a_reader_from_before_is_told() {
        smol::block_on(async {
            let started = Now::read();
            let hub = Hub::builder().at(started).build();
            let other = Topic::from_static("other");
            hub.publish(Draft::new(other, Event::new("x"))).await.unwrap();
            let ttl = Duration::from_secs(60);
            let options = StreamOptions { ttl, ..StreamOptions::default() };
            let stream = hub.begin_stream(TOPIC, options).await.unwrap();
            let mut reader = hub.subscribe(TOPIC, Start::from(stream.id()));
            for _ in 0..3000 {
                stream.send(Event::new("x")).await.unwrap();
            }
            stream.end(EndNotice::Event).await.unwrap();
            hub.tick(started + Duration::from_secs(59));
            assert_eq!(hub.stats().events_held, 3001);
            hub.tick(started + Duration::from_secs(61));
            assert_eq!((hub.stats().events_held, reason(&hub)), (1, None));
            assert!(matches!(reader.next().await, Some(Found::Gap(_))));
            // The topic is as if it had never had a stream.
            hub.publish(Draft::new(TOPIC, Event::new("plain"))).await.unwrap();
            assert!(matches!(reader.next().await, Some(Found::Event(_))));
        });
    }
}

//! Streams within a topic, as their producers publish them.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use super::draft::{Draft, topic_path};
use super::error::PublishError;
use super::exchange::{Answer, Post};
use super::key::IdempotencyKey;
use super::{Published, Publisher};

const TEXT: &str = "text/plain; charset=utf-8";

/// The producer that owns a stream, so that nobody else publishes to it, and that a successor's epoch shuts out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Producer {
    id: HeaderValue,
    epoch: u64,
}

impl Producer {
    /// A producer with the ID that it gave itself, and its epoch: 0, and higher for each successor. `None` if the
    /// ID cannot be sent in a header.
    #[must_use]
    pub fn new(id: &str, epoch: u64) -> Option<Self> {
        let id = HeaderValue::try_from(id).ok().filter(|id| !id.is_empty())?;
        Some(Self { id, epoch })
    }
}

/// The notice that the readers of a stream are sent at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndNotice {
    /// An event of type `end`, with the reason.
    Event,
    /// Nothing but what was published. For readers that take every event for the publisher's.
    Close,
}

/// A stream within a topic that this program produces: see [`Publisher::begin`].
///
/// Dropping it ends nothing: the stream stays open, for a successor.
#[derive(Debug)]
pub struct StreamPublisher {
    publisher: Publisher,
    topic: String,
    producer: Option<Producer>,
    /// The number of the next request of this epoch.
    seq: u64,
}

impl Publisher {
    /// Begins a stream of a topic. An open one ends as aborted, unless another producer owns it.
    ///
    /// # Errors
    ///
    /// As for [`publish`](Self::publish).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes nothing back: the stream may have begun.
    pub async fn begin(
        &self,
        topic: impl Into<String>,
        producer: Option<Producer>,
    ) -> Result<StreamPublisher, PublishError> {
        let mut stream = self.resume(topic, producer);
        stream.request("begin", Bytes::new()).await?;
        Ok(stream)
    }

    /// Goes on with the stream that is open in a topic: as a successor, if the producer's epoch is higher than
    /// that of the one before. Nothing is sent yet.
    pub fn resume(&self, topic: impl Into<String>, producer: Option<Producer>) -> StreamPublisher {
        StreamPublisher { publisher: self.clone(), topic: topic.into(), producer, seq: 0 }
    }
}

impl StreamPublisher {
    /// Publishes an event to the stream, whatever topics the draft names. It is neither private nor relayed.
    ///
    /// # Errors
    ///
    /// As for [`Publisher::publish`]. The hub refuses what comes after a successor, or after the end.
    pub async fn send(&mut self, draft: Draft) -> Result<Published, PublishError> {
        let query = draft.query();
        let answer = self.request(&query, draft.into_data()).await?;
        Ok(Published { id: String::from_utf8_lossy(&answer.body).trim().to_owned() })
    }

    /// Ends the stream: it is done, or stopped if a reader has [stopped](super::RefusedPublish::is_stopped) it.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub async fn end(mut self, notice: EndNotice) -> Result<(), PublishError> {
        let query = match notice {
            EndNotice::Event => "end",
            EndNotice::Close => "end=close",
        };
        self.request(query, Bytes::new()).await.map(drop)
    }

    async fn request(&mut self, query: &str, body: Bytes) -> Result<Answer, PublishError> {
        let mut path = topic_path(&self.topic);
        if !query.is_empty() {
            path.push('?');
            path.push_str(query);
        }
        let mut headers = Vec::new();
        if let Some(producer) = &self.producer {
            headers.push((HeaderName::from_static("producer-id"), producer.id.clone()));
            headers.push((HeaderName::from_static("producer-epoch"), producer.epoch.into()));
            headers.push((HeaderName::from_static("producer-seq"), self.seq.into()));
        }
        let post = Post { path, content_type: TEXT, key: IdempotencyKey::random(), headers };
        let answer = self.publisher.0.settle(&post, body).await?;
        self.seq += 1;
        Ok(answer)
    }
}

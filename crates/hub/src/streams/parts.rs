//! The parts of marks: how a stream lives, whose it is, and how it ends.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tidings_proto::{Event, EventType};

use crate::draft::IdempotencyKey;
use crate::topic::{Topic, is_control_or_format};

/// How a stream lives, as its begin says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamOptions {
    /// The producer that owns the stream, if it is fenced.
    pub producer: Option<Producer>,
    /// After so long without an event an open stream ends as expired, and after so long an ended one is
    /// forgotten.
    pub ttl: Duration,
    /// How long the stream stays open for somebody to go on when its producer has [left](crate::Hub::leave_stream)
    /// it, was asked to stop, or the hub was started again.
    pub grace: Duration,
    /// The idempotency key of the request that began the stream.
    pub(crate) key: Option<IdempotencyKey>,
}

impl StreamOptions {
    /// A day: nobody resumes an answer later.
    pub const TTL: Duration = Duration::from_secs(24 * 60 * 60);
    /// Half a minute: a process is restarted in less.
    pub const GRACE: Duration = Duration::from_secs(30);
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self { producer: None, ttl: Self::TTL, grace: Self::GRACE, key: None }
    }
}

/// The one publisher of a stream, in one of its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producer {
    id: Arc<str>,
    /// Raised by a successor; a lower one is refused.
    pub epoch: u64,
    /// The number of the request, from 0 in each epoch.
    pub seq: u64,
}

impl Producer {
    /// The most bytes that a producer's ID has.
    pub const ID_BYTES_MAX: usize = 128;

    /// A producer's request. `None` if the ID is empty, too long, or has control or format characters.
    #[must_use]
    pub fn new(id: &str, epoch: u64, seq: u64) -> Option<Self> {
        let is_legal = !id.is_empty()
            && id.len() <= Self::ID_BYTES_MAX
            && !id.chars().any(is_control_or_format);
        is_legal.then(|| Self { id: id.into(), epoch, seq })
    }

    /// The ID that the producer gave itself.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// An end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamClose {
    /// Why it ends.
    pub reason: StreamReason,
    /// How many events it has.
    pub events: u64,
    /// The notice that its readers are sent.
    pub notice: EndNotice,
}

/// The notice that the readers of a stream are sent at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndNotice {
    /// An event of type `end`.
    #[default]
    Event,
    /// Nothing but what was published: the response ends.
    Close,
}

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamReason {
    /// Its producer said so.
    Done,
    /// Its producer has begun anew, or has left and nobody went on.
    Aborted,
    /// A reader stopped it.
    Stopped,
    /// Nothing was published for as long as its time to live.
    Expired,
}

impl StreamReason {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Aborted => "aborted",
            Self::Stopped => "stopped",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for StreamReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl StreamClose {
    /// The event that tells readers the end. Readers of several topics need the topic, and an event is
    /// encoded once for all readers.
    pub(crate) fn to_event(self, topic: &Topic) -> Event {
        let (reason, events) = (self.reason, self.events);
        let mut data = format!(r#"{{"reason":"{reason}","events":{events},"topic":"#);
        crate::json::write_string(topic.as_str(), &mut data);
        data.push('}');
        Event::new(data).with_type(EventType::new("end").expect("a word is an event type"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_an_event_with_its_reason_count_and_topic() {
        let close = StreamClose { reason: StreamReason::Done, events: 3, notice: EndNotice::Event };
        let event = close.to_event(&Topic::new(r#"c/"1""#).unwrap());
        assert_eq!(event.event_type().as_str(), "end");
        assert_eq!(event.data(), r#"{"reason":"done","events":3,"topic":"c/\"1\""}"#);
    }

    #[test]
    fn a_producer_id_survives_a_header() {
        assert!(Producer::new("p", 0, 0).is_some());
        assert!(Producer::new(&"p".repeat(128), 0, 0).is_some());
        for id in ["", "a\nb", &"p".repeat(129)] {
            assert!(Producer::new(id, 0, 0).is_none(), "{id:?}");
        }
    }
}

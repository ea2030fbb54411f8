//! The ends of a hub's streams.

use std::fmt;

use serde::Deserialize;
use tidings_proto::EventRef;
use url::Url;

/// The end of a stream within a topic, such as that of a model's answer.
///
/// A Tidings hub reports it as the stream's last event, whose type is `end`. A source of exactly this topic
/// ends with it: [`Closed::Ended`](crate::Closed::Ended) follows. A source of several topics or of a pattern
/// goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct End {
    /// Why the stream ended.
    pub reason: StreamReason,
    /// The number of events that the stream has.
    pub events: u64,
    /// The topic of the stream. A hub does not name it to a reader of one topic.
    pub topic: Option<String>,
    /// The last event ID as of the end.
    pub last_event_id: String,
}

// The hub has such a type for its own use: a client depends on the codec alone.
/// Why a stream within a topic ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum StreamReason {
    /// Its producer has published all of it.
    Done,
    /// Its producer broke off, or began anew.
    Aborted,
    /// A reader asked its producer to stop.
    Stopped,
    /// Nothing was published to it for too long.
    Expired,
}

impl StreamReason {
    /// The hub's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Aborted => "aborted",
            Self::Stopped => "stopped",
            Self::Expired => "expired",
        }
    }

    /// Returns whether the end came without anybody's intention, so that something is missing.
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Aborted | Self::Expired)
    }
}

impl fmt::Display for StreamReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, events, .. } = self;
        write!(f, "the stream has ended: {reason}, {events} events")
    }
}

impl End {
    /// Reads an `end` event. Another server may use that type for something else, so an event
    /// without the hub's JSON is an ordinary event.
    pub(crate) fn of(event: EventRef<'_>) -> Option<Self> {
        if event.event_type != "end" {
            return None;
        }
        let EndData { reason, events, topic } = serde_json::from_str(event.data).ok()?;
        Some(Self { reason, events, topic, last_event_id: event.last_event_id.to_owned() })
    }

    /// Returns whether nothing more can come from a URL: its stream is of exactly this topic. The URL
    /// may be one behind which a proxy hides the hub's; then it cannot be known, and the hub's answer
    /// to the next request tells.
    pub(crate) fn is_of(&self, url: &Url) -> bool {
        let Some(topic) = &self.topic else { return true };
        if url.query_pairs().any(|(name, _)| name.starts_with("match")) {
            return false;
        }
        let mut topics = url.query_pairs().filter(|(name, _)| name == "topic");
        match (topics.next(), topics.next()) {
            (Some((_, only)), None) => only == *topic,
            (Some(_), Some(_)) => false,
            (None, _) => has_topic(url.path(), topic),
        }
    }
}

/// Returns whether a path is that of a topic, `…/topics/{topic}`.
fn has_topic(path: &str, topic: &str) -> bool {
    const TOPICS: &str = "/topics/";
    path.match_indices(TOPICS).any(|(at, _)| {
        percent_encoding::percent_decode_str(&path[at + TOPICS.len()..]).eq(topic.bytes())
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EndData {
    reason: StreamReason,
    events: u64,
    topic: Option<String>,
}

#[cfg(test)]
mod tests {
    use tidings_proto::{Decoder, Item};

    use super::*;

    fn read(text: &str) -> Option<End> {
        let mut decoder = Decoder::new();
        match decoder.decode(&mut text.as_bytes()).expect("within limits") {
            Some(Item::Event(event)) => End::of(event),
            other => panic!("{other:?} is no event"),
        }
    }

    #[test]
    fn the_hubs_end_is_told_from_another_servers_end_event() {
        let end = |data: &str| read(&format!("event: end\nid: 7\ndata: {data}\n\n"));
        let told = end(r#"{"reason":"aborted","events":2,"topic":"a"}"#).expect("the hub's own");
        assert_eq!(
            (told.reason, told.events, told.topic.as_deref()),
            (StreamReason::Aborted, 2, Some("a"))
        );
        assert_eq!(told.last_event_id, "7");
        assert_eq!(told.to_string(), "the stream has ended: aborted, 2 events");
        for reason in ["done", "aborted", "stopped", "expired"] {
            let told =
                end(&format!(r#"{{"reason":"{reason}","events":0}}"#)).expect("the hub's own");
            assert_eq!((told.reason.as_str(), told.topic), (reason, None));
        }
        for data in [
            "the end",
            r#"{"reason":"done"}"#,
            r#"{"events":2}"#,
            r#"{"reason":"bored","events":2}"#,
            r#"{"reason":"done","events":-1}"#,
            r#"{"reason":"done","events":2,"x":1}"#,
        ] {
            assert_eq!(end(data), None, "{data}");
        }
        assert_eq!(read("data: {\"reason\":\"done\",\"events\":2}\n\n"), None);
    }

    #[test]
    fn only_a_source_of_exactly_the_topic_ends() {
        let is_of = |topic: &str, url: &str| {
            let topic = Some(topic.to_owned());
            let end =
                End { reason: StreamReason::Done, events: 1, topic, last_event_id: String::new() };
            end.is_of(&Url::parse(url).expect("legal"))
        };
        for (topic, url) in [
            ("chat/1", "http://a.example/topics/chat/1"),
            ("chat/1", "http://a.example/news/topics/chat/1?last_event_id=earliest"),
            ("chat/ü 1", "http://a.example/topics/chat/%C3%BC%201"),
            ("topics/1", "http://a.example/topics/topics/1"),
            ("chat/1", "http://a.example/events?topic=chat%2F1&ping=10s"),
            ("chat 1", "http://a.example/.well-known/mercure?topic=chat+1"),
        ] {
            assert!(is_of(topic, url), "{topic} {url}");
        }
        for (topic, url) in [
            ("chat/1", "http://a.example/topics/chat/2"),
            ("1", "http://a.example/topics/chat/1"),
            ("chat/1", "http://a.example/events?topic=chat/1&topic=chat/2"),
            ("chat/1", "http://a.example/events?topic=chat/1&match=chat/*"),
            ("chat/1", "http://a.example/events?match=chat/1"),
            ("chat/1", "http://a.example/my/chat"),
        ] {
            assert!(!is_of(topic, url), "{topic} {url}");
        }
    }
}

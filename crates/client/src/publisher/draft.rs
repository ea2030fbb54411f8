//! Events to publish, and their serialization.

use std::time::Duration;

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use tidings_proto::{Event, EventId, EventType};
use url::form_urlencoded;

/// The maximum number of events in a request: a hub returns no more IDs than this.
const BATCH_EVENTS_MAX: usize = 1_000;

/// The maximum size of a request, unless a single event is larger: an eighth of a hub's default
/// limit, so that one refused request is no great loss.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// An event to publish, and its topics.
///
/// ```
/// use tidings_client::{Draft, EventId, EventType};
///
/// # fn example() -> Result<Draft, Box<dyn std::error::Error>> {
/// let draft = Draft::new("orders/7", "paid")
///     .with_type(EventType::new("status")?)
///     .with_id(EventId::new("7-3")?);
/// # Ok(draft) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// At least one; the first is the canonical one.
    topics: Vec<String>,
    event: Event,
    private: bool,
    via: Option<Box<str>>,
}

impl Draft {
    /// Makes a draft of an event in one topic. The hub checks the topic's name.
    pub fn new(topic: impl Into<String>, data: impl Into<String>) -> Self {
        let event = Event::new(data.into());
        Self { topics: vec![topic.into()], event, private: false, via: None }
    }

    /// Adds a topic; the first stays the canonical one.
    #[must_use]
    pub fn with_topic(mut self, topic: impl Into<String>) -> Self {
        self.topics.push(topic.into());
        self
    }

    /// Sets the type.
    #[must_use]
    pub fn with_type(mut self, event_type: EventType) -> Self {
        self.event = self.event.with_type(event_type);
        self
    }

    /// Sets the ID; without one, the hub makes it.
    #[must_use]
    pub fn with_id(mut self, id: EventId) -> Self {
        self.event = self.event.with_id(id);
        self
    }

    /// Sets the reconnection time that subscribers are sent, in whole milliseconds.
    #[must_use]
    pub fn with_retry(mut self, reconnection_time: Duration) -> Self {
        self.event = self.event.with_retry(reconnection_time);
        self
    }

    /// Makes the event private: only subscribers whose token names the topic receive it.
    #[must_use]
    pub fn private(mut self) -> Self {
        self.private = true;
        self
    }

    /// Names the hops by which a relayed event has come, the oldest first, separated by commas, as a dump of a
    /// hub's journal does. The hub checks them.
    #[must_use]
    pub fn with_via(mut self, hops: impl Into<Box<str>>) -> Self {
        self.via = Some(hops.into());
        self
    }

    /// The path that publishes this event with its data as the body. There is one only for a public
    /// event, without hops of its own, in a single topic that makes clean path segments.
    pub(super) fn path(&self) -> Option<String> {
        let is_clean = |segment: &str| !matches!(segment, "" | "." | ".." | "*" | "**");
        let [topic] = &self.topics[..] else { return None };
        if self.private || self.via.is_some() || !topic.split('/').all(is_clean) {
            return None;
        }
        let (mut path, query) = (topic_path(topic), self.query());
        if !query.is_empty() {
            path.push('?');
            path.push_str(&query);
        }
        Some(path)
    }

    /// The query that says everything but the topics and the data.
    pub(super) fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if let Some(event_type) = self.event_type() {
            query.append_pair("type", event_type);
        }
        if let Some(id) = self.event.id() {
            query.append_pair("id", id.as_str());
        }
        if let Some(retry) = self.retry_ms() {
            query.append_pair("retry", &retry.to_string());
        }
        query.finish()
    }

    pub(super) fn into_data(self) -> Bytes {
        Bytes::copy_from_slice(self.event.data().as_bytes())
    }

    /// The type, unless it is the default.
    fn event_type(&self) -> Option<&str> {
        let event_type = self.event.event_type();
        (!event_type.is_message()).then(|| event_type.as_str())
    }

    fn retry_ms(&self) -> Option<u64> {
        self.event.retry().map(|retry| u64::try_from(retry.as_millis()).unwrap_or(u64::MAX))
    }

    fn to_json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Json<'a> {
            topics: &'a [String],
            data: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            r#type: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            id: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            retry: Option<u64>,
            private: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            via: Option<&'a str>,
        }
        let json = Json {
            topics: &self.topics,
            data: self.event.data(),
            r#type: self.event_type(),
            id: self.event.id().map(EventId::as_str),
            retry: self.retry_ms(),
            private: self.private,
            via: self.via.as_deref(),
        };
        serde_json::to_vec(&json).expect("strings and numbers are legal JSON")
    }

    /// The approximate size of the JSON. It omits escapes, which our own limit can tolerate.
    fn size(&self) -> usize {
        let topics = self.topics.iter().map(String::len).sum::<usize>();
        let id = self.event.id().map_or(0, |id| id.as_str().len());
        let via = self.via.as_ref().map_or(0, |via| via.len());
        topics + via + self.event.data().len() + id + self.event.event_type().as_str().len()
    }
}

/// The path of a topic, relative to the hub's URL.
pub(super) fn topic_path(topic: &str) -> String {
    format!("topics/{}", utf8_percent_encode(topic, PATH))
}

/// Characters to encode in a path. `/` separates the segments of a topic as it does those of a
/// path.
const PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// The events of one request.
#[derive(Debug)]
pub(super) struct Batch {
    json: Vec<u8>,
    events: usize,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self { json: vec![b'['], events: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events == 0
    }

    /// Returns whether `draft` still fits. The first one always does.
    pub(super) fn has_room_for(&self, draft: &Draft) -> bool {
        self.is_empty()
            || (self.events < BATCH_EVENTS_MAX && self.json.len() + draft.size() < BATCH_BYTES_MAX)
    }

    pub(super) fn push(&mut self, draft: &Draft) {
        if self.events > 0 {
            self.json.push(b',');
        }
        self.json.extend(draft.to_json());
        self.events += 1;
    }

    pub(super) fn extend(&mut self, drafts: impl IntoIterator<Item = Draft>) {
        drafts.into_iter().for_each(|draft| self.push(&draft));
    }

    pub(super) fn into_json(mut self) -> Bytes {
        self.json.push(b']');
        Bytes::from(self.json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_topic_is_a_path_and_another_is_not() {
        let path = |topic: &str| Draft::new(topic, "x").path();
        assert_eq!(path("news").as_deref(), Some("topics/news"));
        assert_eq!(path("a/b c/ü?#%").as_deref(), Some("topics/a/b%20c/%C3%BC%3F%23%25"));
        for topic in ["", "/a", "a//b", "a/", "..", "a/./b", "*", "a/**"] {
            assert_eq!(path(topic), None, "{topic:?}");
        }
        assert_eq!(Draft::new("a", "x").with_topic("b").path(), None);
        assert_eq!(Draft::new("a", "x").private().path(), None);
        assert_eq!(Draft::new("a", "x").with_via("1/x").path(), None);
    }

    #[test]
    fn what_else_an_event_has_stands_in_the_query() {
        let draft = Draft::new("a", "x")
            .with_type(EventType::new("t&t").expect("legal"))
            .with_id(EventId::new("…").expect("legal"))
            .with_retry(Duration::from_secs(2));
        assert_eq!(draft.path().as_deref(), Some("topics/a?type=t%26t&id=%E2%80%A6&retry=2000"));
    }

    #[test]
    fn a_batch_is_a_json_array_that_stays_within_its_limits() {
        let mut batch = Batch::new();
        batch.push(&Draft::new("a", "1\n\"").private());
        batch.push(&Draft::new("b", "2").with_topic("c").with_via("1/x"));
        let json: serde_json::Value =
            serde_json::from_slice(&batch.into_json()).expect("an array of objects");
        let expected = serde_json::json!([
            {"topics": ["a"], "data": "1\n\"", "private": true},
            {"topics": ["b", "c"], "data": "2", "private": false, "via": "1/x"},
        ]);
        assert_eq!(json, expected);

        let small = Draft::new("a", "x");
        let mut batch = Batch::new();
        for _ in 0..BATCH_EVENTS_MAX {
            assert!(batch.has_room_for(&small));
            batch.push(&small);
        }
        assert!(!batch.has_room_for(&small));

        let large = Draft::new("a", "x".repeat(BATCH_BYTES_MAX));
        let mut batch = Batch::new();
        assert!(batch.has_room_for(&large), "one event always fits");
        batch.push(&large);
        assert!(!batch.has_room_for(&small));
    }
}

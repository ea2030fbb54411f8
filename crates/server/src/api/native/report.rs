//! The outcome of the events of one request.

use std::collections::VecDeque;

use bytes::Bytes;
use http::header::HeaderName;
use http::{HeaderValue, Response, StatusCode};
use serde_json::Value;
use tidings_hub::{Cursor, Published};

use crate::http::problem::Problem;
use crate::http::response::{JSON, no_store};

/// The header of an answer that repeats an earlier one, because nothing was published this time.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The outcome of the events of one request.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) committed: u64,
    duplicates: u64,
    latest: VecDeque<Published>,
}

impl Report {
    /// IDs of one answer at most: those of the latest events. A publisher that needs all of them
    /// can read them.
    const IDS_MAX: usize = 1000;

    pub(super) fn count(&mut self, published: Vec<Published>) {
        self.committed += published.len() as u64;
        self.duplicates += published.iter().filter(|event| event.is_duplicate).count() as u64;
        let skipped = published.len().saturating_sub(Self::IDS_MAX);
        self.latest.extend(published.into_iter().skip(skipped));
        let surplus = self.latest.len().saturating_sub(Self::IDS_MAX);
        self.latest.drain(..surplus);
    }

    /// Adds to a problem the index of its event: the first that is not committed.
    pub(super) fn place(&self, problem: Problem) -> Problem {
        problem.with("index", self.committed)
    }

    fn ids(&self) -> Value {
        self.latest.iter().map(|event| event.id().as_str().to_owned()).collect()
    }

    /// The answer if every event was published.
    pub(super) fn into_response(self) -> Response<Bytes> {
        /// The room for an ID that the hub made, in quotes and after a comma.
        const USUAL_BYTES: usize = Cursor::ID_BYTES + 3;

        let mut body = Vec::with_capacity(64 + self.latest.len() * USUAL_BYTES);
        body.extend_from_slice(b"{\"committed\":");
        body.extend_from_slice(self.committed.to_string().as_bytes());
        body.extend_from_slice(b",\"ids\":[");
        for (index, event) in self.latest.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            write_id(event, &mut body);
        }
        body.extend_from_slice(b"]}\n");
        let mut response = no_store(&JSON, body);
        if self.committed > 0 {
            *response.status_mut() = StatusCode::CREATED;
            if self.duplicates == self.committed {
                response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
            }
        }
        response
    }

    /// The answer if one was refused: the problem, the index of its event, and the events published
    /// before it.
    pub(super) fn into_refusal(self, problem: Problem) -> Response<Bytes> {
        let refused = problem.to_members();
        let (committed, ids) = (self.committed, self.ids());
        problem
            .with("committed", committed)
            .with("ids", ids)
            .with("refused", refused)
            .into_response()
    }
}

/// Writes the ID of an event as JSON.
fn write_id(event: &Published, out: &mut Vec<u8>) {
    let before = out.len();
    out.push(b'"');
    event.write_id(out);
    out.push(b'"');
    // The hub's own IDs have nothing to escape, and a batch has many of them.
    if has_escapes(&out[before + 1..out.len() - 1]) {
        out.truncate(before);
        serde_json::to_writer(out, event.id().as_str()).expect("a text makes JSON");
    }
}

/// Returns whether a text in JSON has to have escapes.
fn has_escapes(text: &[u8]) -> bool {
    // Without an early end, so that many bytes are looked at together.
    let is_escaped = |byte: &u8| *byte < b' ' || *byte == b'"' || *byte == b'\\';
    text.iter().fold(false, |any, byte| any | is_escaped(byte))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidings_hub::{Draft, Event, EventId, Hub, Topic};

    use super::*;

    #[tokio::test]
    async fn ids_are_told_whatever_is_in_them() {
        let hub = Hub::default();
        let ids = [None, Some("1"), Some("a\"b\\c"), Some("é</script>"), None, Some("a\u{2028}b")];
        let mut report = Report::default();
        let mut told = Vec::new();
        for id in ids {
            let event = Event::new("x");
            let event = match id {
                Some(id) => event.with_id(EventId::new(id).unwrap()),
                None => event,
            };
            let topic = Topic::from_static("a");
            let published = hub.publish(Draft::new(topic, event)).await.unwrap();
            told.push(published.id().as_str().to_owned());
            assert!(id.is_none_or(|id| id == told[told.len() - 1]));
            report.count(vec![published]);
        }
        let response = report.into_response();
        assert_eq!(response.status(), StatusCode::CREATED);
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(body, json!({ "committed": ids.len(), "ids": told }));
        let nothing = Report::default().into_response();
        assert_eq!(nothing.body(), "{\"committed\":0,\"ids\":[]}\n");
    }
}

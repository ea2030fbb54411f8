//! Publishing one event, whose data is the body.

use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderName;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use tidings_hub::{Draft, Event, EventId, EventType, PublishError, Refused};

use super::publish_headers::{PublishHeaders, Single};
use super::query;
use crate::app::App;
use crate::http::answer::Answer;
use crate::http::problem::{Problem, ProblemKind};
use crate::http::request::{Query, RequestBody, invalid, topic_of_path, utf8};

/// `POST /topics/{topic}`.
pub(super) async fn one(
    app: &App,
    head: &Parts,
    body: &mut RequestBody,
    path: &str,
) -> Result<Answer, Problem> {
    let topic = topic_of_path(path)?;
    let query = query(head, &["type", "id", "retry"])?;
    let headers = PublishHeaders::of(&head.headers);
    let parts = EventParts {
        event_type: query_or_header(&query, "type", headers.event_type())?,
        id: query_or_header(&query, "id", headers.event_id())?,
        retry: query.one("retry")?.map(retry).transpose()?,
    };
    let key = headers.idempotency_key()?;
    headers.refuse_coding()?;

    let bytes_max = app.hub.config().event_bytes_max;
    let data = body.whole(bytes_max, ProblemKind::EventTooLarge).await?;
    let event = parts.into_event(utf8(&data)?)?;
    let mut draft = Draft::new(topic, event);
    if let Some(key) = key {
        draft = draft.with_idempotency_key(key);
    }
    app.tick();
    let published = app.hub.publish(draft).map_err(problem)?.await.map_err(problem)?;

    let mut id = Vec::new();
    published.write_id(&mut id);
    let mut response = Response::new(Bytes::from(id));
    *response.status_mut() = StatusCode::CREATED;
    if published.is_duplicate {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(Answer::Text(response))
}

/// Says that an answer is an earlier one's, and that nothing was published now.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The parts of an event beside its data, as text that is still to be checked.
#[derive(Debug, Default)]
pub(super) struct EventParts {
    pub(super) event_type: Option<String>,
    pub(super) id: Option<String>,
    pub(super) retry: Option<Duration>,
}

impl EventParts {
    /// Makes the event, or says which part is against the rules.
    pub(super) fn into_event(self, data: &str) -> Result<Event, Problem> {
        let mut event = Event::new(data);
        if let Some(event_type) = self.event_type {
            let event_type = EventType::new(event_type).map_err(|error| {
                let at = error.position();
                invalid_event(&format!("an event type has no CR, LF or NUL: byte {at} is one"))
            })?;
            event = event.with_type(event_type);
        }
        if let Some(id) = self.id {
            let id = EventId::new(id).map_err(|error| {
                let at = error.position();
                invalid_event(&format!("an event ID has no CR, LF or NUL: byte {at} is one"))
            })?;
            event = event.with_id(id);
        }
        if let Some(retry) = self.retry {
            event = event.with_retry(retry);
        }
        Ok(event)
    }
}

/// A problem with an event.
pub(super) fn invalid_event(why: &str) -> Problem {
    Problem::new(ProblemKind::InvalidEvent, why)
}

/// Reads what may stand in the query or in a header, but not in both.
fn query_or_header(
    query: &Query,
    name: &str,
    header: Single<'_>,
) -> Result<Option<String>, Problem> {
    match (query.one(name)?, header.text()?) {
        (Some(_), Some(_)) => {
            Err(invalid(name, &format!("the header {} says it too", header.name)))
        }
        (Some(text), None) => Ok(Some(text.to_owned())),
        (None, text) => Ok(text.map(str::to_owned)),
    }
}

/// Reads a reconnection time: digits only, where `u64::from_str` would also take `+5`.
fn retry(text: &str) -> Result<Duration, Problem> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let millis = if is_number { text.parse().ok() } else { None };
    millis
        .map(Duration::from_millis)
        .ok_or_else(|| invalid("retry", "it is a whole number of milliseconds, digits only"))
}

/// What a publisher is told when the hub does not commit an event.
pub(crate) fn problem(error: PublishError) -> Problem {
    match error {
        PublishError::Refused { reason, .. } => refused(&reason),
        _ => Problem::new(
            ProblemKind::JournalFailed,
            "the journal failed, so that the event may have been published or not; repeat it with \
             the same Idempotency-Key",
        ),
    }
}

/// What a publisher is told about an event that the hub refuses.
pub(super) fn refused(reason: &Refused) -> Problem {
    match reason {
        Refused::TooLarge { bytes_max, .. } => {
            Problem::new(ProblemKind::EventTooLarge, reason.to_string())
                .with("bytes_max", *bytes_max)
        }
        _ => invalid_event(&reason.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reconnection_time_is_digits() {
        assert_eq!(retry("0").unwrap(), Duration::ZERO);
        assert_eq!(retry("2500").unwrap(), Duration::from_millis(2500));
        for text in ["-1", "+5", "", " 5", "1e3", "1.5", "٣", "99999999999999999999"] {
            assert!(retry(text).is_err(), "{text:?}");
        }
    }
}

//! Publishes one event, whose data is the body.

use std::time::Duration;

use http::{HeaderValue, StatusCode};
use tidings_hub::{Append, Cursor, Draft, Event};

use super::event_parts::EventParts;
use super::marks::Marks;
use super::publish_headers::{PublishHeaders, Single};
use super::query_topics::PRIVATE;
use super::report::REPLAYED;
use super::stream_append;
use crate::context::Context;
use crate::http::answer::Answer;
use crate::http::problem::{Problem, ProblemKind};
use crate::http::request::{Query, Request, topic_of_path, utf8};
use crate::http::respond::accept_events;
use crate::http::whole::WholeAnswer;

/// `POST /topics/{topic}`.
pub(crate) async fn one(
    context: &Context,
    request: &mut Request<'_>,
    path: &str,
) -> Result<Answer, Problem> {
    let topic = topic_of_path(path)?;
    request.caller.access().may_publish(std::slice::from_ref(&topic))?;
    let said = Said::by(request)?;

    let bytes_max = context.hub.config().event_bytes_max;
    let data = request.body.whole(bytes_max, ProblemKind::EventTooLarge).await?;
    let text = utf8(&data)?;
    let (event, more) = match said {
        None => (Event::new(text), None),
        Some(said) => (said.parts.into_event(text)?, Some((said.marks, said.append))),
    };
    accept_events(&context.hub)?;
    context.count_events(request.caller, 1)?;
    if !request.body.came_with_head() {
        context.tick();
    }
    let draft = match more {
        None => Draft::new(topic, event),
        Some((marks, None)) => marks.put_on(Draft::new(topic, event), 0),
        Some((marks, Some(append))) => {
            let drafts = match data.is_empty() && (append.begin.is_some() || append.end.is_some()) {
                true => Vec::new(),
                false => vec![marks.put_on(Draft::new(topic.clone(), event), 0)],
            };
            // Boxed, because the task of each connection has the room for all that is not.
            return Box::pin(stream_append::append(context, topic, &append, drafts)).await;
        }
    };
    let published = context.hub.publish(draft).await?;

    let mut id = Vec::with_capacity(Cursor::ID_BYTES);
    published.write_id(&mut id);
    let mut whole = WholeAnswer::text(StatusCode::CREATED, id);
    if published.is_duplicate {
        whole.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(whole.into())
}

/// Everything that a request says about its event, beside the topic and the data.
struct Said {
    parts: EventParts,
    marks: Marks,
    append: Option<Append>,
}

impl Said {
    /// `None` if the request says nothing but its topic and its data. Most are so, and pay for nothing else.
    fn by(request: &Request<'_>) -> Result<Option<Box<Self>>, Problem> {
        let find = || PublishHeaders::of(&request.head.headers);
        let describes_events = request.claims.describes_events(|| !find().are_absent());
        if !describes_events && request.head.uri.query().is_none() {
            return Ok(None);
        }
        let headers = find();
        let [begin, end, ttl, grace] = stream_append::PARAMETERS;
        let query = request.query(&["type", "id", "retry", PRIVATE, begin, end, ttl, grace])?;
        let parts = EventParts {
            event_type: query_or_header(&query, "type", headers.event_type())?,
            id: query_or_header(&query, "id", headers.event_id())?,
            retry: query.one("retry")?.map(retry).transpose()?,
        };
        let mut marks = headers.marks(request.caller.access())?;
        marks.private = query.is_on(PRIVATE)?;
        let append = stream_append::asked(&query, headers.producer()?, marks.key.clone())?;
        headers.refuse_coding()?;
        Ok(Some(Box::new(Self { parts, marks, append })))
    }
}

/// Reads a value that may be given in the query or in a header, but not in both.
fn query_or_header(
    query: &Query,
    name: &str,
    header: Single<'_>,
) -> Result<Option<String>, Problem> {
    match (query.one(name)?, header.text()?) {
        (Some(_), Some(_)) => Err(Problem::invalid_parameter(
            name,
            &format!("the header {} is given too", header.name),
        )),
        (Some(text), None) => Ok(Some(text.to_owned())),
        (None, text) => Ok(text.map(str::to_owned)),
    }
}

/// Reads a reconnection time: digits only, where `u64::from_str` would also take `+5`.
fn retry(text: &str) -> Result<Duration, Problem> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let millis = if is_number { text.parse().ok() } else { None };
    millis.map(Duration::from_millis).ok_or_else(|| {
        Problem::invalid_parameter("retry", "it is a whole number of milliseconds, digits only")
    })
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

//! Publishes to a stream within a topic: its beginning, its end, and its producer.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use tidings_hub::{
    Append, Appended, Draft, EndNotice, IdempotencyKey, Producer, StreamOptions, Topic,
};

use super::report::REPLAYED;
use crate::context::Context;
use crate::http::answer::Answer;
use crate::http::problem::Problem;
use crate::http::request::Query;

/// The name of the parameter by which a stream begins.
pub(super) const BEGIN: &str = "begin";
/// The name of the parameter by which a stream ends.
pub(super) const END: &str = "end";

const STREAM_ID: HeaderName = HeaderName::from_static("stream-id");

/// Reads what a request says about a stream, if it says anything.
pub(super) fn asked(
    query: &Query,
    producer: Option<Producer>,
    key: Option<IdempotencyKey>,
) -> Result<Option<Append>, Problem> {
    let begin = query.is_on(BEGIN)?.then(StreamOptions::default);
    let end = match query.one(END)? {
        None | Some("false") => None,
        Some("" | "true" | "event") => Some(EndNotice::Event),
        Some("close") => Some(EndNotice::Close),
        Some(_) => {
            let why = "it has no value, as in '?end', or is event or close";
            return Err(Problem::invalid_parameter(END, why));
        }
    };
    let is_asked = begin.is_some() || end.is_some() || producer.is_some();
    Ok(is_asked.then_some(Append { begin, end, producer, key }))
}

/// Appends to the stream. The answer is the ID of the event; without an event, it is that of the end or
/// the beginning.
pub(super) async fn append(
    context: &Context,
    topic: Topic,
    append: &Append,
    drafts: Vec<Draft>,
) -> Result<Answer, Problem> {
    let appended = context.hub.append(topic, append, drafts).await?;
    let Appended { published, begin, end, is_duplicate, .. } = appended;
    let mut id = Vec::new();
    if let Some(published) = published.first() {
        published.write_id(&mut id);
    } else if let Some(place) = end.or(begin) {
        id.extend_from_slice(place.to_string().as_bytes());
    } else if is_duplicate {
        return Ok(Answer::no_content());
    }
    let mut response = Response::new(Bytes::from(id));
    *response.status_mut() = StatusCode::CREATED;
    if is_duplicate || published.first().is_some_and(|published| published.is_duplicate) {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    if let Some(begin) = begin
        && let Ok(value) = HeaderValue::try_from(begin.to_string())
    {
        response.headers_mut().insert(STREAM_ID, value);
    }
    Ok(Answer::Text(response))
}

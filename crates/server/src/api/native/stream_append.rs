//! Publishes to a stream within a topic: its beginning, its end, and its producer.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tidings_hub::{
    Append, Appended, Cursor, Draft, EndNotice, IdempotencyKey, Producer, StreamOptions, Topic,
};

use super::page::long_time;
use super::report::REPLAYED;
use crate::context::Context;
use crate::http::answer::Answer;
use crate::http::problem::Problem;
use crate::http::request::Query;
use crate::http::whole::WholeAnswer;

/// The query parameters of a request that publishes to a stream.
pub(super) const PARAMETERS: [&str; 4] = [BEGIN, END, TTL, GRACE];

/// The name of the parameter by which a stream begins.
const BEGIN: &str = "begin";
/// The name of the parameter by which a stream ends.
const END: &str = "end";
const TTL: &str = "ttl";
const GRACE: &str = "grace";

/// The longest time to live: a stream is to be forgotten some day.
const TTL_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The longest grace: readers wait for its end.
const GRACE_MAX: Duration = Duration::from_secs(60 * 60);

/// The header that names a stream.
pub(super) const STREAM_ID: HeaderName = HeaderName::from_static("stream-id");

/// Reads what a request says about a stream, if it says anything.
pub(super) fn asked(
    query: &Query,
    producer: Option<Producer>,
    key: Option<IdempotencyKey>,
) -> Result<Option<Append>, Problem> {
    let begin = query.is_on(BEGIN)?;
    let end = match query.one(END)? {
        None | Some("false") => None,
        Some("" | "true" | "event") => Some(EndNotice::Event),
        Some("close") => Some(EndNotice::Close),
        Some(_) => {
            let why = "it has no value, as in '?end', or is event or close";
            return Err(Problem::invalid_parameter(END, why));
        }
    };
    let mut options = StreamOptions::default();
    for (name, option, max) in
        [(TTL, &mut options.ttl, TTL_MAX), (GRACE, &mut options.grace, GRACE_MAX)]
    {
        if let Some(text) = query.one(name)? {
            *option = time(name, text, max)?;
            if !begin {
                return Err(Problem::invalid_parameter(name, "it is given with begin"));
            }
        }
    }
    let begin = begin.then_some(options);
    let is_asked = begin.is_some() || end.is_some() || producer.is_some();
    Ok(is_asked.then_some(Append { begin, end, producer, key, stream: None }))
}

/// Reads a [time](long_time) of at most `max`.
fn time(name: &str, text: &str, max: Duration) -> Result<Duration, Problem> {
    long_time(text).filter(|time| *time <= max).ok_or_else(|| {
        let hours = max.as_secs() / 3600;
        let why = format!("it is a time of at most {hours} h, as in 500ms, 30s, 5m, 1h or 1d");
        Problem::invalid_parameter(name, &why)
    })
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
    let mut whole = WholeAnswer::text(StatusCode::CREATED, id);
    if is_duplicate || published.first().is_some_and(|published| published.is_duplicate) {
        whole.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    if let Some(begin) = begin {
        name_stream(whole.headers_mut(), begin);
    }
    Ok(whole.into())
}

/// Names the stream that has begun.
pub(super) fn name_stream(headers: &mut HeaderMap, begin: Cursor) {
    if let Ok(value) = HeaderValue::try_from(begin.to_string()) {
        headers.insert(STREAM_ID, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_and_a_limit() {
        let read = |text| time(TTL, text, TTL_MAX).ok().map(|time| time.as_millis());
        for (text, millis) in [("500ms", 500), ("30", 30_000), ("5m", 300_000), ("0s", 0)] {
            assert_eq!(read(text), Some(millis), "{text}");
        }
        assert_eq!(read("30d"), read("720h"));
        for text in ["", "s", "31d", "721h", "-1s", "1.5s", "1w", "99999999999999999999d", "1é"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}

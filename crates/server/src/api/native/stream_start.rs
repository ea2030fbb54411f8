//! Where a reader of a topic's stream starts, and the headers that tell it how the stream stands.

use http::{HeaderMap, HeaderName, HeaderValue};
use tidings_hub::{Cursor, Start, StreamInfo, TopicFilter, View};

use super::stream_append::STREAM_ID;
use crate::context::Context;
use crate::http::problem::{Problem, ProblemKind};
use crate::http::request::Query;

/// The query parameters by which a reader chooses its start.
pub(super) const PARAMETERS: [&str; 3] = [FROM, START_INDEX, STREAM];

const FROM: &str = "from";
const START_INDEX: &str = "start_index";
const STREAM: &str = "stream";

const STREAM_STATE: HeaderName = HeaderName::from_static("stream-state");
const STREAM_TAIL_INDEX: HeaderName = HeaderName::from_static("stream-tail-index");

/// The choice of a request.
#[derive(Debug)]
struct Choice {
    is_active_only: bool,
    index: Option<i64>,
    stream: Option<Cursor>,
}

impl Choice {
    fn of(query: &Query) -> Result<Option<Self>, Problem> {
        let from = query.one(FROM)?;
        let is_active_only = match from {
            None | Some("begin") => false,
            Some("active") => true,
            Some(_) => {
                let why = "it is 'begin' (the latest stream) or 'active' (the one in production)";
                return Err(Problem::invalid_parameter(FROM, why));
            }
        };
        let index = query.one(START_INDEX)?.map(index).transpose()?;
        let stream = query.one(STREAM)?.map(|id| stream(STREAM, id)).transpose()?;
        let is_given = from.is_some() || index.is_some() || stream.is_some();
        Ok(is_given.then_some(Self { is_active_only, index, stream }))
    }
}

/// Chooses the start of a request that has no last event ID. `None` if it wants a stream in production, and
/// there is none.
pub(super) async fn choose(
    context: &Context,
    query: &Query,
    view: &View,
    start: Start,
) -> Result<Option<Start>, Problem> {
    let Some(choice) = Choice::of(query)? else { return Ok(Some(start)) };
    let [filter @ TopicFilter::Exact(topic)] = view.filters() else {
        let why = "it is for reading exactly one topic";
        let name = PARAMETERS.into_iter().find(|name| query.all(name).next().is_some());
        return Err(Problem::invalid_parameter(name.unwrap_or(FROM), why));
    };
    // A browser repeats its address when it comes back with a place.
    if start != Start::Tail || query.one("after")?.is_some() {
        return Ok(Some(start));
    }
    context.tick();
    let latest = context.hub.streams(filter).pop();
    let is_active = latest.as_ref().is_some_and(|latest| latest.end.is_none());
    if choice.is_active_only && !is_active {
        return Ok(None);
    }
    let named = |info: &StreamInfo| choice.stream.is_none_or(|stream| stream == info.begin);
    if choice.is_active_only && !latest.as_ref().is_some_and(named) {
        return Ok(None);
    }
    if let Some(index) = choice.index {
        let place = context.hub.stream_place(topic, choice.stream, index).await;
        return match (place, choice.stream) {
            (Some(place), _) => Ok(Some(Start::from(place))),
            (None, None) => Ok(Some(Start::Tail)),
            (None, Some(_)) => {
                let detail = "the topic's stream with this ID is not remembered: start without it";
                Err(Problem::new(ProblemKind::StreamEnded, detail))
            }
        };
    }
    let begin = choice.stream.or(latest.map(|latest| latest.begin));
    Ok(Some(begin.map_or(Start::Tail, Start::from)))
}

/// The headers about the latest stream of a view's only topic, if it has one.
pub(super) fn headers(context: &Context, view: &View) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let [filter @ TopicFilter::Exact(_)] = view.filters() else { return headers };
    let Some(info) = context.hub.streams(filter).pop() else { return headers };
    if let Ok(id) = HeaderValue::try_from(info.begin.to_string()) {
        headers.insert(STREAM_ID, id);
    }
    let state = info.end.map_or("streaming", |(_, close)| close.reason.as_str());
    headers.insert(STREAM_STATE, HeaderValue::from_static(state));
    // Of no event, it is -1.
    headers.insert(STREAM_TAIL_INDEX, HeaderValue::from(info.events as i64 - 1));
    headers
}

/// Reads the ID of a stream.
pub(super) fn stream(name: &str, id: &str) -> Result<Cursor, Problem> {
    Cursor::parse(id).ok_or_else(|| {
        Problem::invalid_parameter(name, "it is the Stream-Id of the stream that is meant")
    })
}

/// Reads an index: digits, perhaps after a minus.
fn index(text: &str) -> Result<i64, Problem> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = (1..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let number = if is_number { text.parse().ok() } else { None };
    number.ok_or_else(|| {
        let why = "it is the index of an event, from 0; a negative one counts from the end";
        Problem::invalid_parameter(START_INDEX, why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_a_whole_number() {
        for (text, number) in [("0", 0), ("19950", 19_950), ("-50", -50), ("-0", 0)] {
            assert_eq!(index(text).unwrap(), number);
        }
        for text in ["", "-", "+1", "1.5", "--1", "x", "1234567890123456"] {
            assert!(index(text).is_err(), "{text:?}");
        }
    }
}

//! Publishes a JSON object or array: all or nothing.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use tidings_hub::{Draft, Producer, PublishError};

use super::json_array::JsonArray;
use super::json_event::{JsonObject, TextPosition, draft, object};
use super::marks::Marks;
use super::piped::topic_of;
use super::publish_headers::PublishHeaders;
use super::publish_whole::publish_whole;
use super::report::{REPLAYED, Report};
use super::stream_append::name_stream;
use crate::context::Context;
use crate::http::problem::{Problem, ProblemKind};
use crate::http::request::{Request, utf8, without_mark};
use crate::http::respond::accept_events;
use crate::http::response::no_content;
use crate::turn::Turn;

/// `POST /events` with `application/json`.
pub(super) async fn events(
    context: &Context,
    request: &mut Request<'_>,
    headers: &PublishHeaders<'_>,
) -> Result<Response<Bytes>, Problem> {
    request.query(&[])?;
    let marks = headers.marks(request.caller.access())?;
    let bytes =
        request.body.whole(context.config.json_bytes_max, ProblemKind::BodyTooLarge).await?;
    let text = utf8(without_mark(&bytes))?;
    if JsonArray::new(text).is_none() {
        let object = object(text, TextPosition::default())?;
        let producer = headers.producer()?;
        if object.has_marks() || producer.is_some() {
            return append(context, request, marks, (object, producer)).await;
        }
    }
    headers.refuse_producer()?;
    let drafts = drafts(text).await?;
    for (index, draft) in drafts.iter().enumerate() {
        let allowed = request.caller.access().may_publish(draft.topics().as_slice());
        allowed.map_err(|problem| problem.with("index", index))?;
    }
    context.count_events(request.caller, drafts.len())?;
    let drafts = (0..).zip(drafts).map(|(i, draft)| marks.put_on(draft, i)).collect();
    accept_events(&context.hub)?;
    context.tick();
    let committed = publish_whole(&context.hub, drafts).await;
    let published = committed.map_err(|error| match error {
        PublishError::Refused { index, .. } => Problem::from(error).with("index", index),
        _ => Problem::from(error),
    })?;
    let mut report = Report::default();
    report.count(published);
    Ok(report.into_response())
}

/// Publishes an object that is about its topic's stream.
async fn append(
    context: &Context,
    request: &Request<'_>,
    marks: Marks,
    (object, producer): (JsonObject, Option<Producer>),
) -> Result<Response<Bytes>, Problem> {
    let topic = topic_of(&object.topics)?;
    request.caller.access().may_publish(object.topics.as_slice())?;
    let append = object.append(producer, marks.key.clone());
    let drafts: Vec<_> = object.draft.map(|draft| marks.put_on(draft, 0)).into_iter().collect();
    context.count_events(request.caller, drafts.len())?;
    accept_events(&context.hub)?;
    context.tick();
    let appended = context.hub.append(topic, &append, drafts).await?;
    let is_told = appended.begin.or(appended.end).is_some() || !appended.published.is_empty();
    if appended.is_duplicate && !is_told {
        return Ok(no_content());
    }
    let mut report = Report::default();
    report.count(appended.published);
    let mut response = report.into_response();
    *response.status_mut() = StatusCode::CREATED;
    if appended.is_duplicate {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    name_stream(&mut response, appended.begin);
    Ok(response)
}

/// Reads the events of a text, and lets others have their turn meanwhile.
async fn drafts(text: &str) -> Result<Vec<Draft>, Problem> {
    let Some(mut array) = JsonArray::new(text) else {
        return Ok(vec![draft(text, TextPosition::default())?]);
    };
    let (mut drafts, mut turn) = (Vec::new(), Turn::default());
    while let Some((value, position)) = array.next()? {
        let draft = draft(value, position).map_err(|problem| {
            problem.with("index", drafts.len()).or_with("line", position.line())
        })?;
        drafts.push(draft);
        turn.spend(value.len()).await;
    }
    Ok(drafts)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context as TaskContext, Poll, Waker};

    use super::*;
    use crate::turn::TURN_BYTES;
    use crate::work;

    /// Reads a text, and counts the turns that it takes.
    fn turns(text: &str) -> (Result<Vec<Draft>, Problem>, usize) {
        let mut read = pin!(super::drafts(text));
        let mut cx = TaskContext::from_waker(Waker::noop());
        for turns in 1.. {
            if let Poll::Ready(drafts) = read.as_mut().poll(&mut cx) {
                return (drafts, turns);
            }
        }
        unreachable!("reading ends")
    }

    fn drafts(text: &str) -> Result<Vec<Draft>, Problem> {
        turns(text).0
    }

    #[test]
    fn broken_syntax_is_told_by_line_and_column_of_the_whole() {
        let text = "[\n{\"topic\":\"a\",\"data\":1},\n{\"topic\":\"a\" \"data\":2}\n]";
        let members = drafts(text).unwrap_err().to_members();
        assert_eq!(members["line"], 3);
        assert_eq!(members["column"], 14);
    }

    #[test]
    fn a_wrong_event_is_told_by_index_and_line() {
        let text = "[\n{\"topic\":\"a\",\"data\":1},\n\n  {\"topic\":\"\",\"data\":2}\n]";
        let members = drafts(text).unwrap_err().to_members();
        assert_eq!((&members["index"], &members["line"]), (&1.into(), &4.into()));
    }

    #[test]
    fn what_cannot_be_read_in_an_event_of_several_lines_is_told_by_its_own_line() {
        let text = "[\n{\"topic\":\"a\",\"data\":1},\n{\"topic\":\"a\",\n\"tpye\":2}\n]";
        let problem = drafts(text).unwrap_err();
        let members = problem.to_members();
        assert_eq!((&members["index"], &members["line"]), (&1.into(), &4.into()));
        assert!(problem.detail().contains("at line 4 column 6"), "{}", problem.detail());
    }

    #[test]
    fn an_object_is_one_event_and_an_array_any_number() {
        assert_eq!(drafts(" {\"topic\":\"a\",\"data\":1}\n").unwrap().len(), 1);
        assert_eq!(drafts("\n[]").unwrap().len(), 0);
        let two = "[{\"topic\":\"a\",\"data\":1},{\"topic\":\"b\",\"data\":[2]}]";
        assert_eq!(drafts(two).unwrap().len(), 2);
    }

    #[test]
    fn the_largest_array_is_looked_at_once_and_read_in_turns() {
        const BYTES: usize = 8 * 1024 * 1024;
        let event = "{\"topic\":\"a\",\"data\":1},\n";
        let text = |bytes: usize| {
            let events = event.repeat((bytes - 2) / event.len());
            format!("[{}]", events.trim_end_matches(",\n"))
        };
        let looked = |text: &str| {
            let mut taken = 0;
            let looked = work::of(|| taken = turns(text).1);
            (looked, taken)
        };
        let (half, _) = looked(&text(BYTES / 2));
        let whole = text(BYTES);
        let (all, turns) = looked(&whole);
        assert!(all <= 3 * whole.len(), "{all} for {} bytes", whole.len());
        assert!(all <= 2 * half + event.len() * 10, "{all} after {half}");
        assert!(turns > BYTES / (2 * TURN_BYTES), "{turns} turns");
    }
}

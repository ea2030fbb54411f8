//! Publishes a JSON object or array: all or nothing.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use tidings_hub::journal::NotCommitted;
use tidings_hub::{Append, Producer, PublishError, StreamOptions};

use super::json_body::JsonBody;
use super::marks::Marks;
use super::publish_headers::PublishHeaders;
use super::publish_whole::publish_whole;
use super::report::{REPLAYED, Report};
use super::stream_append::name_stream;
use crate::context::Context;
use crate::http::problem::{Problem, ProblemKind};
use crate::http::request::{Request, utf8, without_mark};
use crate::http::respond::accept_events;
use crate::http::response::no_content;

/// Events of one request to a stream at most: they are committed at once, and other publishers wait for them.
const STREAM_EVENTS_MAX: usize = 1000;

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
    let body = JsonBody::read(utf8(without_mark(&bytes))?).await?;
    let producer = headers.producer()?;
    if body.has_marks() || producer.is_some() {
        return Box::pin(append(context, request, marks, (body, producer))).await;
    }
    for (index, draft) in body.drafts.iter().enumerate() {
        let allowed = request.caller.access().may_publish(draft.topics().as_slice());
        allowed.map_err(|problem| problem.with("index", index))?;
    }
    context.count_events(request.caller, body.drafts.len())?;
    let drafts = marks.put_on_all(body.drafts, 0);
    accept_events(&context.hub)?;
    context.tick();
    let published = publish_whole(&context.hub, drafts).await.map_err(problem)?;
    let mut report = Report::default();
    report.count(published);
    Ok(report.into_response())
}

/// Publishes events, and perhaps a beginning and an end, to the stream of their only topic.
async fn append(
    context: &Context,
    request: &Request<'_>,
    marks: Marks,
    (body, producer): (JsonBody, Option<Producer>),
) -> Result<Response<Bytes>, Problem> {
    let topic = body.only_topic()?;
    request.caller.access().may_publish(std::slice::from_ref(&topic))?;
    let JsonBody { drafts, begin, end, .. } = body;
    if drafts.len() > STREAM_EVENTS_MAX {
        let detail = format!(
            "a request to a stream has at most {STREAM_EVENTS_MAX} events: send an object a line as \
             application/x-ndjson"
        );
        return Err(Problem::new(ProblemKind::BodyTooLarge, detail));
    }
    let begin = begin.then(StreamOptions::default);
    let append = Append { begin, end, producer, key: marks.key.clone(), stream: None };
    context.count_events(request.caller, drafts.len())?;
    let drafts = marks.put_on_all(drafts, 0);
    accept_events(&context.hub)?;
    context.tick();
    let appended = context.hub.append(topic, &append, drafts).await.map_err(problem)?;
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
    if let Some(begin) = appended.begin {
        name_stream(response.headers_mut(), begin);
    }
    Ok(response)
}

/// The problem of events that were not published, with the index of the one that was refused.
fn problem(error: PublishError) -> Problem {
    match error {
        PublishError::NotCommitted(NotCommitted::TooLarge) => {
            let detail = format!(
                "{error}: publish fewer or smaller events together, or an object a line as \
                 application/x-ndjson"
            );
            Problem::new(ProblemKind::BodyTooLarge, detail)
        }
        PublishError::Refused { index, .. } => Problem::from(error).with("index", index),
        _ => Problem::from(error),
    }
}

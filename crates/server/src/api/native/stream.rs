//! Subscribes: reads the view that a request asks for, and its start.

use http::header::VARY;
use http::request::Parts;
use tidings_hub::engine::{EPOCH, epoch_value};
use tidings_hub::{TopicFilter, View};

use super::{page, shape, stream_start};
use crate::context::Context;
use crate::http::answer::{Answer, StreamAnswer};
use crate::http::problem::{Problem, ProblemKind};
use crate::http::request::{self, Format, Query, Request, topic_of_path};
use crate::http::respond::ON_ACCEPT;

/// `GET /topics/{topic}`.
pub(crate) async fn topic(
    context: &Context,
    request: &Request<'_>,
    path: &str,
) -> Result<Answer, Problem> {
    let format = format(request.head)?;
    let topic = topic_of_path(path)?;
    let query = parameters(request.head, format, &[])?;
    answer(context, request, format, &query, topic.into()).await
}

/// `GET /events?topic=…&match=…`.
pub(crate) async fn events(context: &Context, request: &Request<'_>) -> Result<Answer, Problem> {
    let format = format(request.head)?;
    let query = parameters(request.head, format, &["topic", "match"])?;
    let view = view(&query, context.config.filters_max)?;
    answer(context, request, format, &query, view).await
}

async fn answer(
    context: &Context,
    request: &Request<'_>,
    format: Format,
    query: &Query,
    view: View,
) -> Result<Answer, Problem> {
    let mut stream = request.stream(query)?;
    // Before any look for a place: an ID that only a hidden event has is none.
    let view = request.caller.access().view(view)?;
    let Some(start) = stream_start::choose(context, query, &view, stream.start).await? else {
        return Ok(Answer::no_content());
    };
    stream.start = start;
    match format {
        Format::EventStream => {
            let shape = shape::asked(query, || context.control.live().gap_of(&view))?;
            stream.start = context.hub.locate(&view, stream.start).await;
            let mut stream = StreamAnswer::new(view, stream);
            stream.is_negotiated = true;
            stream.head = stream_start::headers(context, &stream.view);
            shape.apply(&mut stream);
            Ok(stream.into())
        }
        Format::Json => {
            // Boxed: every other request would carry the room for it.
            let headers = stream_start::headers(context, &view);
            let mut response = Box::pin(page::page(context, query, view, stream.start)).await?;
            response.headers_mut().append(VARY, ON_ACCEPT.clone());
            response.headers_mut().extend(headers);
            response.headers_mut().insert(EPOCH, epoch_value(context.hub.epoch()));
            Ok(response.into())
        }
    }
}

fn format(head: &Parts) -> Result<Format, Problem> {
    Format::accepted(&head.headers).ok_or_else(|| {
        Problem::new(
            ProblemKind::NotAcceptable,
            "events are read as text/event-stream or as application/json: accept one of them",
        )
    })
}

/// Reads the query, which may only have parameters of this format.
fn parameters(head: &Parts, format: Format, filters: &[&str]) -> Result<Query, Problem> {
    let query = Query::parse(head.uri.query())?;
    if query.is_empty() {
        return Ok(query);
    }
    let known = |more: &[&'static str]| -> Vec<_> {
        let starts = Request::LAST_EVENT_ID.iter().chain(&stream_start::PARAMETERS);
        filters.iter().chain(more).chain(starts).copied().collect()
    };
    let of_json = page::PARAMETERS.iter().find(|name| query.all(name).next().is_some());
    let of_stream = shape::PARAMETERS.iter().find(|name| query.all(name).next().is_some());
    match (format, of_json) {
        (Format::EventStream, Some(name)) => {
            let detail = format!(
                "'{name}' is for reading as JSON: ask with 'Accept: application/json', or leave it \
                 out (a stream resumes after last_event_id)"
            );
            Err(Problem::new(ProblemKind::UnknownParameter, detail).with("parameter", *name))
        }
        (Format::EventStream, None) => {
            query.only_for_stream(&known(&shape::PARAMETERS)).map(|()| query)
        }
        (Format::Json, _) if let Some(name) = of_stream => {
            let detail = format!(
                "'{name}' is for event streams: ask with 'Accept: text/event-stream', or leave it out"
            );
            Err(Problem::new(ProblemKind::UnknownParameter, detail).with("parameter", *name))
        }
        (Format::Json, _) => query.only(&known(&page::PARAMETERS)).map(|()| query),
    }
}

/// The topics and patterns of a query.
pub(super) fn view(query: &Query, filters_max: usize) -> Result<View, Problem> {
    let filters: Vec<_> = filters(query).take(filters_max + 1).collect::<Result<_, _>>()?;
    match filters.len() {
        0 => Err(Problem::new(
            ProblemKind::MissingParameter,
            "name at least one topic or pattern: topic= names a topic, match= a pattern with * and **; each may \
             be repeated",
        )),
        count if count > filters_max => {
            let detail = format!("a stream has at most {filters_max} topics and patterns");
            Err(Problem::new(ProblemKind::InvalidParameter, detail))
        }
        _ => Ok(View::new(filters)),
    }
}

fn filters(query: &Query) -> impl Iterator<Item = Result<TopicFilter, Problem>> {
    let topics = query.all("topic").map(|name| request::topic(name).map(TopicFilter::from));
    let patterns = query.all("match").map(|text| {
        TopicFilter::pattern(text)
            .map_err(|error| Problem::new(ProblemKind::InvalidPattern, error.to_string()))
    });
    topics.chain(patterns)
}

//! Publishing many events with one request.

use std::borrow::Cow;

use bytes::Bytes;
use http::Response;
use http::header::CONTENT_TYPE;
use http::request::Parts;

use super::ingest::{EventReader, Ingest};
use super::lines::Lines;
use super::marks::Marks;
use super::ndjson::JsonLines;
use super::publish_headers::PublishHeaders;
use super::publish_json;
use super::query_topics::PRIVATE;
use super::relay::EventStream;
use super::text_lines::{LINES, TextLines};
use crate::context::Context;
use crate::http::problem::{Problem, ProblemKind};
use crate::http::request::{Query, Request, essence};

/// `POST /events`: the content type says how the events are written.
pub(crate) async fn events(
    context: &Context,
    request: &mut Request<'_>,
) -> Result<Response<Bytes>, Problem> {
    let head = request.head;
    request.caller.access().may_publish_anything()?;
    let headers = PublishHeaders::of(&head.headers);
    headers.refuse_coding()?;
    let bytes_max = context.hub.config().event_bytes_max;
    let kind = match essence(&head.headers) {
        _ if asks_for_lines(head)? => Some(Cow::Borrowed(TEXT)),
        essence => essence.map(Cow::Owned),
    };
    // Objects say it themselves.
    let mut is_private = false;
    let reader: Box<dyn EventReader> = match kind.as_deref() {
        Some("application/json") => return publish_json::events(context, request, &headers).await,
        Some("application/x-ndjson" | "application/ndjson" | "application/jsonl") => {
            request.query(&[])?;
            Box::new(Lines::new(JsonLines::new(bytes_max)))
        }
        Some("text/event-stream") => {
            let query = request.query(&["topic", PRIVATE])?;
            is_private = query.is_on(PRIVATE)?;
            Box::new(EventStream::new(&query, bytes_max)?)
        }
        Some(TEXT) => {
            let query = request.query(&["topic", "type", LINES, PRIVATE])?;
            is_private = query.is_on(PRIVATE)?;
            Box::new(Lines::new(TextLines::new(&query, bytes_max)?))
        }
        _ => return Err(unsupported(head)),
    };
    let access = request.caller.access();
    let marks = Marks { private: is_private, ..headers.marks(access)? };
    Ok(Ingest::new(context, request.caller, marks).run(request.body, reader).await)
}

/// The content type of lines.
const TEXT: &str = "text/plain";

fn asks_for_lines(head: &Parts) -> Result<bool, Problem> {
    Ok(Query::parse(head.uri.query())?.all(LINES).next().is_some())
}

fn unsupported(head: &Parts) -> Problem {
    let given = match head.headers.get(CONTENT_TYPE) {
        Some(given) => format!("not {}", String::from_utf8_lossy(given.as_bytes())),
        None => "and the request names none".to_owned(),
    };
    let detail = format!(
        "events are taken as application/json (an object or an array), application/x-ndjson (an \
         object a line), text/event-stream or text/plain (an event a line; both with ?topic=), {given}; \
         &lines takes lines whatever the content type; one event whose data is the \
         body is published by POST /topics/{{topic}}"
    );
    Problem::new(ProblemKind::UnsupportedContent, detail)
}

//! Publishing many events with one request.

use bytes::Bytes;
use http::Response;
use http::header::CONTENT_TYPE;
use http::request::Parts;

use super::ingest::{EventReader, Ingest};
use super::ndjson::Lines;
use super::publish_headers::PublishHeaders;
use super::publish_json;
use super::relay::EventStream;
use crate::context::Context;
use crate::http::problem::{Problem, ProblemKind};
use crate::http::request::{Request, essence};

/// `POST /events`: the content type says how the events are written.
pub(crate) async fn events(
    context: &Context,
    request: &mut Request<'_>,
) -> Result<Response<Bytes>, Problem> {
    let head = request.head;
    let headers = PublishHeaders::of(&head.headers);
    headers.refuse_coding()?;
    let bytes_max = context.hub.config().event_bytes_max;
    let reader: Box<dyn EventReader> = match essence(&head.headers).as_deref() {
        Some("application/json") => return publish_json::events(context, request, &headers).await,
        Some("application/x-ndjson" | "application/ndjson" | "application/jsonl") => {
            request.query(&[])?;
            Box::new(Lines::new(bytes_max))
        }
        Some("text/event-stream") => Box::new(EventStream::new(request, bytes_max)?),
        _ => return Err(unsupported(head)),
    };
    let key = headers.idempotency_key()?;
    Ok(Ingest::new(context, key).run(request.body, reader).await)
}

fn unsupported(head: &Parts) -> Problem {
    let given = match head.headers.get(CONTENT_TYPE) {
        Some(given) => format!("not {}", String::from_utf8_lossy(given.as_bytes())),
        None => "and the request names none".to_owned(),
    };
    let detail = format!(
        "events are taken as application/json (an object or an array), application/x-ndjson (an \
         object a line) or text/event-stream (with ?topic=), {given}; one event whose data is the \
         body is published by POST /topics/{{topic}}"
    );
    Problem::new(ProblemKind::UnsupportedContent, detail)
}

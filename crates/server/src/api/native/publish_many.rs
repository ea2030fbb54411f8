//! Publishing many events with one request.

use std::borrow::Cow;

use bytes::Bytes;
use http::Response;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use tidings_hub::{Append, IdempotencyKey, Producer, Topic, Topics};

use super::ingest::{EventReader, Ingest};
use super::lines::Lines;
use super::marks::Marks;
use super::ndjson::JsonLines;
use super::piped::{Piped, topic_of};
use super::publish_headers::PublishHeaders;
use super::publish_json;
use super::query_topics::PRIVATE;
use super::relay::EventStream;
use super::stream_append;
use super::text_lines::{LINES, TextLines};
use crate::context::Context;
use crate::http::problem::{Problem, ProblemKind};
use crate::http::request::{Query, Request, essence};
use crate::http::respond::accept_producer;

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
    let (mut is_private, mut stream) = (false, None);
    let access = request.caller.access();
    let key = headers.idempotency_key(access)?;
    let [begin, end, ttl, grace] = stream_append::PARAMETERS;
    let reader: Box<dyn EventReader> = match kind.as_deref() {
        Some("application/json") => return publish_json::events(context, request, &headers).await,
        Some("application/x-ndjson" | "application/ndjson" | "application/jsonl") => {
            request.query(&[])?;
            headers.refuse_producer()?;
            Box::new(Lines::new(JsonLines::new(bytes_max)))
        }
        Some("text/event-stream") => {
            let query = request.query(&["topic", PRIVATE, begin, end, ttl, grace])?;
            is_private = query.is_on(PRIVATE)?;
            let reader = EventStream::new(&query, bytes_max)?;
            stream = asked(&query, headers.producer()?, key, reader.topics())?;
            Box::new(reader)
        }
        Some(TEXT) => {
            let query =
                request.query(&["topic", "type", LINES, PRIVATE, begin, end, ttl, grace])?;
            is_private = query.is_on(PRIVATE)?;
            let lines = TextLines::new(&query, bytes_max)?;
            stream = asked(&query, headers.producer()?, key, lines.topics())?;
            Box::new(Lines::new(lines))
        }
        _ => return Err(unsupported(head)),
    };
    let marks = Marks { private: is_private, ..headers.marks(access)? };
    let mut ingest = Ingest::new(context, request.caller, marks);
    if let Some((topic, append)) = stream {
        access.may_publish(std::slice::from_ref(&topic))?;
        accept_producer(context)?;
        context.tick();
        match Box::pin(Piped::begin(&context.hub, topic, append)).await? {
            Ok(piped) => {
                request.body.allow_silence();
                ingest = ingest.into_stream(piped);
            }
            Err(answer) => return Ok(answer),
        }
    }
    // Boxed, because the task of each connection has the room for all that is not.
    Ok(Box::pin(ingest.run(request.body, reader)).await)
}

/// Reads what a request says about the stream of its topic.
fn asked(
    query: &Query,
    producer: Option<Producer>,
    key: Option<IdempotencyKey>,
    topics: &Topics,
) -> Result<Option<(Topic, Append)>, Problem> {
    let append = stream_append::asked(query, producer, key)?;
    append.map(|append| Ok((topic_of(topics)?, append))).transpose()
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

//! Subscribing: which view a request asks for, and where it starts.

use std::sync::LazyLock;

use http::header::{HeaderName, VARY};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use tidings_hub::{Client, Start, Topic, TopicFilter, View};

use super::{query, read};
use crate::app::App;
use crate::http::answer::{Answer, StreamAnswer};
use crate::http::problem::{Problem, ProblemKind};
use crate::http::request::{self, Format, Query, invalid, topic_of_path};

/// The names under which a last event ID comes in a query: ours, and those that polyfills send.
pub(crate) const LAST_EVENT_ID: [&str; 3] = ["last_event_id", "lastEventId", "lastEventID"];

/// `GET /topics/{topic}`.
pub(super) async fn topic(app: &App, head: &Parts, path: &str) -> Result<Answer, Problem> {
    let format = format(head)?;
    let topic = topic_of_path(path)?;
    let query = parameters(head, format, &[])?;
    answer(app, head, format, &query, topic.into()).await
}

/// `GET /events?topic=…&match=…`.
pub(super) async fn events(app: &App, head: &Parts) -> Result<Answer, Problem> {
    let format = format(head)?;
    let query = parameters(head, format, &["topic", "match"])?;
    let view = view(&query, app.config.filters_max)?;
    answer(app, head, format, &query, view).await
}

async fn answer(
    app: &App,
    head: &Parts,
    format: Format,
    query: &Query,
    view: View,
) -> Result<Answer, Problem> {
    let place = last_event_id(&head.headers, query)?;
    let start = Start::resume(place.as_deref());
    match format {
        Format::EventStream => {
            let client = Client::from_headers(&head.headers);
            let mut stream = StreamAnswer::new(view, start);
            (stream.head, stream.client) = (vary(), client);
            Ok(stream.into())
        }
        Format::Json => {
            // Boxed: every other request would carry the room for it.
            let mut response = Box::pin(read::page(app, query, view, start)).await?;
            response.headers_mut().extend(vary());
            Ok(response.into())
        }
    }
}

/// The form depends on the request, which caches must know.
fn vary() -> HeaderMap {
    static ON_ACCEPT: LazyLock<HeaderMap> =
        LazyLock::new(|| HeaderMap::from_iter([(VARY, HeaderValue::from_static("Accept"))]));
    ON_ACCEPT.clone()
}

fn format(head: &Parts) -> Result<Format, Problem> {
    Format::accepted(&head.headers).ok_or_else(|| {
        Problem::new(
            ProblemKind::NotAcceptable,
            "events are read as text/event-stream or as application/json: accept one of them",
        )
    })
}

/// The query, if it has parameters only that mean something for this form.
fn parameters(head: &Parts, format: Format, filters: &[&str]) -> Result<Query, Problem> {
    let query = Query::parse(head.uri.query())?;
    if query.is_empty() {
        return Ok(query);
    }
    let known = |more: &[&'static str]| -> Vec<_> {
        filters.iter().chain(more).chain(&LAST_EVENT_ID).copied().collect()
    };
    let of_json = read::PARAMETERS.iter().find(|name| query.all(name).next().is_some());
    match (format, of_json) {
        (Format::EventStream, Some(name)) => {
            let detail = format!(
                "'{name}' is for reading as JSON: ask with 'Accept: application/json', or leave it \
                 out (a stream resumes after last_event_id)"
            );
            Err(Problem::new(ProblemKind::UnknownParameter, detail).with("parameter", *name))
        }
        (Format::EventStream, None) => query.only(&known(&[])).map(|()| query),
        (Format::Json, _) => query.only(&known(&read::PARAMETERS)).map(|()| query),
    }
}

/// The place that a client hands back. The header wins: a browser that reconnects repeats a stale
/// query beside a fresh header.
pub(crate) fn last_event_id(headers: &HeaderMap, query: &Query) -> Result<Option<String>, Problem> {
    const HEADER: HeaderName = HeaderName::from_static("last-event-id");
    let mut given = None;
    for name in LAST_EVENT_ID {
        if let Some(value) = query.one(name)? {
            if given.is_some_and(|given| given != value) {
                return Err(invalid(name, "another spelling of it says something else"));
            }
            given = Some(value);
        }
    }
    // As the UTF-8 that browsers send; malformed bytes become U+FFFD and lead nowhere.
    let header = headers.get(HEADER).map(|value| String::from_utf8_lossy(value.as_bytes()));
    match header {
        Some(header) if !header.is_empty() => Ok(Some(header.into_owned())),
        _ => Ok(given.map(str::to_owned)),
    }
}

/// The topics and patterns of a query.
fn view(query: &Query, filters_max: usize) -> Result<View, Problem> {
    let filters: Vec<_> = filters(query).take(filters_max + 1).collect::<Result<_, _>>()?;
    match filters.len() {
        0 => Err(Problem::new(
            ProblemKind::MissingParameter,
            "say what to listen to: topic= names a topic, match= a pattern with * and **; each may \
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

/// The topics of a query, for those who publish.
pub(super) fn topics(head: &Parts) -> Result<Vec<Topic>, Problem> {
    let query = query(head, &["topic"])?;
    query.all("topic").map(request::topic).collect()
}

//! The native HTTP API: text to calls of the hub, and back.

mod json_event;
mod ndjson;
mod publish;
mod publish_headers;
mod publish_json;
mod publish_many;
mod read;
mod relay;
mod stream;
mod subscribers;
mod topics;

pub(crate) use self::publish::problem as publish_problem;
pub(crate) use self::stream::{LAST_EVENT_ID, last_event_id};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Method, Response};

use crate::api::assets::asset;
use crate::api::ops;
use crate::api::routes::Route;
use crate::app::{App, not_found};
use crate::http::answer::Answer;
use crate::http::problem::{Problem, ProblemKind};
use crate::http::request::{Query, RequestBody};

/// Answers GET and HEAD.
pub(crate) async fn read(app: &App, head: &Parts, route: Route<'_>) -> Result<Answer, Problem> {
    let name = match route {
        Route::Topic(path) => return stream::topic(app, head, path).await,
        Route::Events => return stream::events(app, head).await,
        Route::Topics => return topics::list(app, head).map(Answer::from),
        Route::Health => return ops::health(app, head).map(Answer::from),
        Route::Ready => return ops::ready(app, head).map(Answer::from),
        Route::Metrics => return ops::metrics(app, head).map(Answer::from),
        Route::Subscribers => return subscribers::list(app, head).await.map(Answer::from),
        Route::Server => return Err(method_not_allowed(&head.method, route.methods())),
        Route::Index => app.page(),
        Route::Asset(name) => name,
    };
    asset(name, &head.headers).map(Answer::from).ok_or_else(not_found)
}

/// Answers POST.
pub(crate) async fn publish(
    app: &App,
    head: &Parts,
    body: &mut RequestBody,
    route: Route<'_>,
) -> Result<Answer, Problem> {
    match route {
        Route::Topic(path) => publish::one(app, head, body, path).await,
        Route::Events => publish_many::events(app, head, body).await.map(Answer::from),
        _ => Err(method_not_allowed(&head.method, route.methods())),
    }
}

/// Answers DELETE.
pub(crate) async fn end(app: &App, head: &Parts, route: Route<'_>) -> Result<Answer, Problem> {
    match route {
        Route::Subscribers => subscribers::end(app, head).await.map(Answer::from),
        _ => Err(method_not_allowed(&head.method, route.methods())),
    }
}

/// The path has no such method.
pub(crate) fn method_not_allowed(method: &Method, methods: &'static str) -> Problem {
    let detail = format!("this path has no method {method}; it has {methods}");
    Problem::new(ProblemKind::MethodNotAllowed, detail).with_allow(methods)
}

/// The query of a request, if it has known parameters only.
pub(crate) fn query(head: &Parts, known: &[&str]) -> Result<Query, Problem> {
    let query = Query::parse(head.uri.query())?;
    query.only(known)?;
    Ok(query)
}

/// A response with a body that is not to be kept.
pub(crate) fn fresh(content_type: &HeaderValue, body: impl Into<Bytes>) -> Response<Bytes> {
    static NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type.clone());
    headers.insert(CACHE_CONTROL, NO_STORE.clone());
    response
}

pub(crate) static JSON: HeaderValue = HeaderValue::from_static("application/json");

//! The hub's own routes and their handlers, and the extension point for others.
//!
//! A handler turns a [`Request`] into calls of the hub and the result into an [`Answer`]. Everything
//! that any API needs, such as query parsing or the last event ID, belongs to the request, not to one
//! of the APIs.

mod assets;
pub(crate) mod extra;
mod native;
mod ops;
pub(crate) mod routes;

use http::request::Parts;

use self::assets::asset;
#[cfg(feature = "nats")]
pub(crate) use self::native::gather::{Question, answer};
#[cfg(feature = "nats")]
pub(crate) use self::native::nodes::node_state;
pub(crate) use self::native::subscribers::close_within;
use self::native::{gather, nodes, publish, publish_many, stop, stream, streams, subscribers};
use self::routes::Route;
use crate::context::Context;
use crate::http::answer::Answer;
use crate::http::problem::Problem;
use crate::http::request::Request;

/// Answers GET and HEAD of every route but the [page] at `/`.
pub(crate) async fn read(
    context: &Context,
    request: &Request<'_>,
    route: Route<'_>,
) -> Result<Answer, Problem> {
    let named = |answer: Answer| answer.named(&context.config.node);
    match route {
        Route::Topic(path) => stream::topic(context, request, path).await,
        Route::Events => stream::events(context, request).await,
        Route::Topics => gather::topics(context, request).await.map(Answer::from).map(named),
        Route::Streams => streams::list(context, request).map(Answer::from),
        Route::StopStream => stop::stopped(context, request).await.map(Answer::from),
        Route::Health => ops::health(context, request).map(Answer::from),
        Route::Ready => ops::ready(context, request).map(Answer::from),
        Route::Metrics => ops::metrics(context, request).await.map(Answer::from).map(named),
        Route::Subscribers => {
            gather::subscribers(context, request).await.map(Answer::from).map(named)
        }
        Route::Nodes => nodes::list(context, request).map(Answer::from).map(named),
        Route::Asset(name) => page(request.head, name),
        Route::OpenApi => page(request.head, "openapi.json"),
        Route::Server | Route::Index => Err(request.method_not_allowed(route.methods())),
    }
}

/// Answers with an asset.
pub(crate) fn page(head: &Parts, name: &str) -> Result<Answer, Problem> {
    asset(name, &head.headers).map(Answer::from).ok_or_else(Problem::not_found)
}

/// Answers POST.
pub(crate) async fn publish(
    context: &Context,
    request: &mut Request<'_>,
    route: Route<'_>,
) -> Result<Answer, Problem> {
    match route {
        Route::Topic(path) => publish::one(context, request, path).await,
        Route::Events => publish_many::events(context, request).await.map(Answer::from),
        Route::StopStream => stop::stop(context, request).await.map(Answer::from),
        _ => Err(request.method_not_allowed(route.methods())),
    }
}

/// Answers DELETE.
pub(crate) async fn delete(
    context: &Context,
    request: &Request<'_>,
    route: Route<'_>,
) -> Result<Answer, Problem> {
    match route {
        Route::Subscribers => subscribers::close(context, request).await.map(Answer::from),
        _ => Err(request.method_not_allowed(route.methods())),
    }
}

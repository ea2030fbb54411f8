//! Lists subscribers and closes their streams.

use std::ops::ControlFlow;

use bytes::Bytes;
use http::Response;
use tokio::task::yield_now;

use super::json_subscribers::JsonSubscribers;
use super::open_streams::{OpenStreams, Position, Selection, position};
use super::paging::{LIMIT, limit};
use crate::context::Context;
use crate::http::pieces::AnswerPieces;
use crate::http::problem::{Problem, ProblemKind};
use crate::http::request::Request;
use crate::http::response::{json_in_pieces, no_content};

/// `GET /subscribers`: lists the open streams, or those of the named topics or subjects.
pub(crate) async fn list(
    context: &Context,
    request: &Request<'_>,
) -> Result<Response<AnswerPieces>, Problem> {
    let query = request.query(&["topic", "subject", "limit", "after"])?;
    let named = Selection::new(context, &query)?;
    let limit = query.one("limit")?.map_or(Ok(LIMIT), limit)?;
    let from = query.one("after")?.map_or(Ok(Position::default()), position)?;
    context.tick();
    let open = OpenStreams::of(context);
    // The answer begins with the number of streams: with a selection, all are visited for it.
    let total = if named.is_nobody() { open.len() } else { matching(&open, &named).await };
    let subscribers = JsonSubscribers::new(open, named, (from, limit), total);
    Ok(json_in_pieces(AnswerPieces::begin(context.control.bodies(), subscribers).await?))
}

/// The number of selected streams.
async fn matching(open: &OpenStreams, named: &Selection) -> usize {
    let (mut matching, mut at) = (0, Some(Position::default()));
    while let Some(from) = at {
        at = open.visit(from, named, |_, _| {
            matching += 1;
            ControlFlow::Continue(())
        });
        yield_now().await;
    }
    matching
}

/// `DELETE /subscribers`: closes the streams that are open on exactly these topics, after the
/// events published so far, or those of these subjects, at once. Their EventSources reconnect once,
/// are answered 204, and stay closed.
pub(crate) async fn close(
    context: &Context,
    request: &Request<'_>,
) -> Result<Response<Bytes>, Problem> {
    let query = request.query(&["topic", "subject"])?;
    let Selection { topics, subjects } = Selection::new(context, &query)?;
    match (topics.is_empty(), subjects.is_empty()) {
        (true, true) => {
            let detail = "name the streams to close: topic= names a topic, subject= a subject";
            return Err(Problem::new(ProblemKind::MissingParameter, detail));
        }
        (false, false) => {
            let why = "topic= is given too, and it is unclear whether a stream must match both or \
                       either: close them one after the other";
            return Err(Problem::invalid_parameter("subject", why));
        }
        _ => {}
    }
    context.tick();
    for topic in topics {
        context.hub.close(topic).await?;
    }
    for subject in subjects {
        // First, so that a reader that reconnects, or is just connecting, is recognized by this
        // entry.
        context.hub.close(subject.ends().clone()).await?;
        context.engine.close_subject(&subject);
        context.streams.close_bodies(&subject);
        yield_now().await;
    }
    Ok(no_content())
}

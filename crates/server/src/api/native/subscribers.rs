//! Lists subscribers and closes their streams.

use std::io;
use std::ops::ControlFlow;

use bytes::Bytes;
use http::Response;
use tidings_hub::TopicFilter;
use tokio::task::{spawn_blocking, yield_now};
use tracing::error;

use super::json_subscribers::JsonSubscribers;
use super::open_streams::{OpenStreams, Position, Selection, position};
use super::paging::{LIMIT, SCOPE, limit};
use crate::auth::access::is_within;
use crate::context::Context;
use crate::engine::ended_within::EndedWithin;
use crate::engine::subject::Subject;
use crate::http::pieces::AnswerPieces;
use crate::http::problem::{Problem, ProblemKind};
use crate::http::request::{Query, Request};
use crate::http::response::{json_in_pieces, no_content};
use crate::journal::ServedJournal;
use crate::notices;

/// `GET /subscribers`: lists the open streams, or those of the named topics or subjects, as far as
/// the sender manages all that they carry.
pub(super) async fn list(
    context: &Context,
    request: &Request<'_>,
) -> Result<Response<AnswerPieces>, Problem> {
    let managed = request.caller.access().managed()?;
    let query = request.query(&["topic", "subject", "limit", "after", SCOPE])?;
    context.tick();
    let subscribers = page(context, &query, managed).await?;
    Ok(json_in_pieces(AnswerPieces::begin(context.control.bodies(), subscribers).await?))
}

/// The page of the list that a query asks for.
pub(super) async fn page(
    context: &Context,
    query: &Query,
    managed: Option<&[TopicFilter]>,
) -> Result<JsonSubscribers, Problem> {
    let named = Selection::new(context, query)?.within(managed);
    let limit = query.one("limit")?.map_or(Ok(LIMIT), limit)?;
    let from = query.one("after")?.map_or(Ok(Position::default()), position)?;
    let open = OpenStreams::of(context);
    // The answer begins with the number of streams: with a selection, all are visited for it.
    let total = if named.is_everybody() { open.len() } else { matching(&open, &named).await };
    Ok(JsonSubscribers::new(open, named, (from, limit), total))
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
/// are answered 204, and stay closed; other readers are answered 410.
pub(crate) async fn close(
    context: &Context,
    request: &Request<'_>,
) -> Result<Response<Bytes>, Problem> {
    let access = request.caller.access();
    let managed = access.managed()?;
    let query = request.query(&["topic", "subject"])?;
    let Selection { topics, subjects, .. } = Selection::new(context, &query)?;
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
    for topic in &topics {
        access.may_manage(&topic.clone().into())?;
    }
    context.tick();
    for topic in topics {
        context.hub.close(topic).await?;
    }
    for subject in subjects {
        match managed {
            None => revoke(context, &subject).await?,
            Some(patterns) => end_within(context, &subject, patterns).await?,
        }
        yield_now().await;
    }
    Ok(no_content())
}

/// Ends all streams of a subject and revokes its tokens.
async fn revoke(context: &Context, subject: &Subject) -> Result<(), Problem> {
    // First, so that a reader that reconnects, or is just connecting, is recognized by its token or
    // by this entry.
    context.control.revocations().revoke(subject, context.hub.time());
    // The streams end whether or not the disk takes it.
    let kept = keep_revocation(context, subject).await;
    let closed = context.hub.close(subject.ends().clone()).await;
    context.engine.close_subject(subject);
    context.streams.close_bodies(subject);
    closed?;
    kept
}

/// Keeps the revocation of a subject for the next process. Without authentication there are no tokens
/// to revoke.
async fn keep_revocation(context: &Context, subject: &Subject) -> Result<(), Problem> {
    if context.control.live().auth.is_none() {
        return Ok(());
    }
    let (control, subject) = (context.control.clone(), subject.clone());
    let keeping = spawn_blocking(move || control.revocations().keep(&subject));
    let kept = keeping.await.unwrap_or_else(|panic| Err(io::Error::other(panic)));
    kept.map_err(|error| {
        error!(error = &error as &dyn std::error::Error, "revocation not kept");
        let detail = "the streams are ended and the tokens are refused, but the disk did not take that: \
                      after a restart these tokens would be accepted; try again";
        Problem::journal_failed(detail)
    })
}

/// Ends the streams of a subject that carry nothing beyond some patterns, at all hubs; revokes nothing.
async fn end_within(
    context: &Context,
    subject: &Subject,
    patterns: &[TopicFilter],
) -> Result<(), Problem> {
    close_within(context, subject, patterns);
    if !context.journal.as_ref().is_some_and(ServedJournal::has_others) {
        return Ok(());
    }
    let end = EndedWithin { subject: subject.clone(), patterns: patterns.to_vec() };
    let Some(topics) = notices::of_end(&end) else {
        let why = "its streams are ended at this hub alone: what this token may manage is too long to be \
                   told to the others";
        return Err(Problem::invalid_parameter("subject", why));
    };
    for topic in topics {
        context.hub.close(topic).await?;
    }
    Ok(())
}

/// Ends the streams of a subject at this hub that carry nothing beyond some patterns; revokes nothing.
pub(crate) fn close_within(context: &Context, subject: &Subject, patterns: &[TopicFilter]) {
    context.engine.close_some(|seen| {
        seen.subjects().contains(&Some(subject)) && is_within(&seen.view(), patterns)
    });
    context.streams.close_some_bodies(|stream| {
        stream.subjects().contains(&Some(subject)) && is_within(&stream.view, patterns)
    });
}

#[cfg(test)]
mod tests {
    use std::future::{Future as _, poll_fn};
    use std::pin::pin;
    use std::task::{Context as TaskContext, Poll};

    use http::Version;
    use tidings_hub::{Hub, Start, Topic};
    use tokio::sync::watch;

    use super::super::paging::LIMIT_MAX;
    use super::*;
    use crate::config::ServerConfig;
    use crate::engine::Engine;
    use crate::engine::streams::BodyStream;
    use crate::http::pieces::{PIECE_BYTES, Piece, PieceSource as _};
    use crate::live::Control;
    use crate::phase::Phase;
    use crate::work;

    /// Polls a future, and counts what it looks at.
    async fn counted<T>(mut poll: impl FnMut(&mut TaskContext<'_>) -> Poll<T>) -> (T, usize) {
        let mut looked = 0;
        let done = poll_fn(|cx| {
            let mut polled = Poll::Pending;
            looked += work::of(|| polled = poll(cx));
            polled
        })
        .await;
        (done, looked)
    }

    /// The number of streams looked at for the first page of a list of so many, whose topics are as long
    /// as they may be.
    async fn looked(streams: usize, query: &str) -> usize {
        let (_phase, phases) = watch::channel(Phase::Serving);
        let (hub, config) = (Hub::default(), ServerConfig::default());
        let engine = Engine::start(&hub, &config).unwrap().into();
        let control = Control::new(&config);
        let context = Context::new(config, control, hub.clone(), engine, phases);
        let topic = Topic::new("t".repeat(Topic::BYTES_MAX)).unwrap();
        let mut listed = Vec::new();
        for _ in 0..streams {
            let subscriber = hub.subscribe(topic.clone(), Start::Tail);
            let (address, since) = (([127, 0, 0, 1], 1).into(), hub.uptime());
            let (closer, version) = (subscriber.closer(), Version::HTTP_2);
            let body = BodyStream::new(topic.clone().into(), closer, address, version, since);
            listed.push((context.streams.enter().unwrap().list(body, None), subscriber));
        }

        let query = Query::parse(Some(query)).unwrap();
        let named = Selection::new(&context, &query).unwrap();
        let open = OpenStreams::of(&context);
        let mut all = 0;
        if !named.is_everybody() {
            let mut matching = pin!(matching(&open, &named));
            let (found, looked) = counted(|cx| matching.as_mut().poll(cx)).await;
            assert_eq!(found, streams);
            all += looked;
        }
        let page = (Position::default(), LIMIT_MAX);
        let mut list = JsonSubscribers::new(open, named, page, streams);
        let (mut next, mut text) = (Piece::More, Vec::new());
        while next == Piece::More {
            let mut piece = Vec::new();
            let looked;
            (next, looked) = counted(|cx| list.poll_piece(cx, &mut piece)).await;
            all += looked;
            assert!(piece.len() < PIECE_BYTES + 2 * Topic::BYTES_MAX, "{}", piece.len());
            text.extend(piece);
        }
        let list: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(list["subscribers"].as_array().unwrap().len(), streams.min(LIMIT_MAX));
        all
    }

    #[tokio::test]
    async fn each_stream_is_looked_at_once_for_its_number_and_once_for_its_page() {
        let topic = "t".repeat(Topic::BYTES_MAX);
        assert_eq!(looked(1000, "").await, 1000);
        assert_eq!(looked(1000, &format!("topic={topic}")).await, 2000);
        // The page ends with the first stream of the next one.
        assert_eq!(looked(5000, "").await, 1001);
        assert_eq!(looked(5000, &format!("topic={topic}")).await, 6001);
    }
}

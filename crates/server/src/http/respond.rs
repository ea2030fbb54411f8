//! The one place that makes a response of an answer, and the only one that opens streams.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, ORIGIN, VARY};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use tidings_hub::engine::{OnEnd, write_stream_headers};
use tidings_hub::journal::Durability;
use tidings_hub::{Body, GapShape, Hub, Sequence, Start, StreamEnd, StreamRequest, View};
use tidings_proto::{encode_comment, encode_retry};

use crate::auth::access::{Access, is_closed};
use crate::auth::grant::Grant;
use crate::context::Context;
use crate::engine::stream_spec::StreamSpec;
use crate::engine::streams::{BodyStream, ListedStream, StreamPermit};
use crate::engine::{Framing, Subscription};
use crate::http::answer::{Answer, StreamAnswer};
use crate::http::common_headers::CommonHeaders;
use crate::http::pieces::AnswerPieces;
use crate::http::problem::{Problem, ProblemKind};
use crate::http::request::Caller;
use crate::http::response::no_content;
use crate::http::response_body::ResponseBody;
use crate::http::whole::WholeAnswer;
use crate::phase::Phase;

/// The result of an answer: a whole response, or a stream of the kind that the connection carries.
#[derive(Debug)]
pub(crate) enum Handled<S> {
    /// A whole response.
    Whole(WholeAnswer),
    /// A response whose body is written as its client takes it.
    Pieces(Box<Response<AnswerPieces>>),
    /// The head of a stream, and the stream.
    Stream(S),
}

/// A stream, opened for the part of the server that writes it.
pub(crate) trait OpenedStream: Sized {
    /// Opens the stream, if there is one for its reader.
    fn open(
        context: &Context,
        request: &Parts,
        stream: Box<StreamAnswer>,
        permit: StreamPermit,
        caller: &Caller,
    ) -> Result<Self, Unopened>;

    /// The headers of its response.
    fn headers_mut(&mut self) -> &mut HeaderMap;

    /// Writes the further headers that all streams of its kind have, as lines of HTTP/1.
    fn write_common_headers(&self, hub: &Hub, out: &mut Vec<u8>);
}

/// Why a stream is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unopened {
    /// It was ended while its reader was away.
    Ended,
    /// The stream of its topic has ended, and its reader has been sent all of it.
    Over,
    /// Its reader has lost events, and is to be told so by the status.
    EventsLost,
}

/// A stream that waits for its connection's socket, to be handed to a shard.
#[derive(Debug)]
pub(crate) struct ShardStream {
    /// The headers that not all streams have.
    pub(crate) headers: HeaderMap,
    is_negotiated: bool,
    pub(crate) shard: usize,
    pub(crate) subscription: Subscription<StreamPermit>,
}

impl<S: OpenedStream> Handled<S> {
    pub(crate) fn headers_mut(&mut self) -> &mut HeaderMap {
        match self {
            Self::Whole(whole) => whole.headers_mut(),
            Self::Pieces(response) => response.headers_mut(),
            Self::Stream(stream) => stream.headers_mut(),
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Whole(whole) => whole.status,
            Self::Pieces(response) => response.status(),
            Self::Stream(_) => StatusCode::OK,
        }
    }
}

/// Makes a response of an answer.
pub(crate) fn respond<S: OpenedStream>(
    context: &Context,
    request: &Parts,
    answer: Answer,
    caller: &Caller,
) -> Handled<S> {
    let stream = match answer {
        Answer::Whole(answer) => return as_it_is(context, request, answer),
        Answer::Pieces(response) => return in_pieces(request, response),
        Answer::Stream(stream) => stream,
    };
    let mut stream = match authorize(context, stream, caller.access()) {
        Ok(mut stream) => {
            stream.spec.address = caller.told_address();
            stream
        }
        Err(problem) => {
            context.metrics.refused(problem.kind());
            return whole(problem.into_response());
        }
    };
    let places = |permit| {
        let limits = context.control.live().limits;
        let places = context.usage.enter(&limits, context.sender(caller))?;
        Ok((permit, places))
    };
    let permit = match stream_permit(context).and_then(places) {
        Ok((permit, places)) => {
            stream.spec.places = places;
            permit
        }
        Err(problem) => return whole(refuse_for_now(context, request, problem)),
    };
    if request.method == Method::HEAD {
        let opened = open_body(context, request, stream, permit, caller);
        return match opened {
            Ok((response, _)) => whole(response.map(|_| Bytes::new())),
            Err(why) => unopened(context, request, why),
        };
    }
    match S::open(context, request, stream, permit, caller) {
        Ok(stream) => Handled::Stream(stream),
        Err(why) => unopened(context, request, why),
    }
}

/// Narrows a stream to what its reader may read, and to the time for which it may.
fn authorize(
    context: &Context,
    mut stream: Box<StreamAnswer>,
    access: &Access,
) -> Result<Box<StreamAnswer>, Problem> {
    stream.view = access.view(stream.view)?;
    if let Access::Granted(grant) = access {
        let spec = &mut stream.spec;
        let lasts = access.lasts(context.hub.time());
        spec.timeout = spec.timeout.into_iter().chain(lasts).min();
        spec.grant = grant.subject.is_some().then(|| Arc::clone(grant));
    }
    Ok(stream)
}

fn whole<S>(response: Response<Bytes>) -> Handled<S> {
    Handled::Whole(response.into())
}

/// A response that a handler has made. A large one counts until its client has taken it; a text is never large.
fn as_it_is<S>(context: &Context, request: &Parts, mut whole: WholeAnswer) -> Handled<S> {
    let ends_connection = whole.headers.as_ref().is_some_and(|own| own.contains_key(CONNECTION));
    if whole.common != CommonHeaders::Any || ends_connection {
        return Handled::Whole(whole);
    }
    let body = std::mem::take(&mut whole.body);
    match AnswerPieces::reported(context.control.bodies(), body) {
        Ok(pieces) => {
            let (_, response) = whole.into_response();
            in_pieces(request, Box::new(response.map(|_| pieces)))
        }
        Err(body) => Handled::Whole(WholeAnswer { body, ..whole }),
    }
}

/// A response in pieces. The answer to HEAD has the length that is known.
fn in_pieces<S>(request: &Parts, response: Box<Response<AnswerPieces>>) -> Handled<S> {
    if request.method == Method::HEAD {
        return whole((*response).map(|pieces| pieces.into_whole().unwrap_or_default()));
    }
    Handled::Pieces(response)
}

/// The answer for a stream that is not opened. 204, for one that was ended or has ended, is the one status
/// that stops an EventSource for good and is no error. Readers that use `fetch`, such as htmx, take 204 for a
/// broken answer and ask again for ever, and 410 for the end.
fn unopened<S>(context: &Context, request: &Parts, why: Unopened) -> Handled<S> {
    let (kind, detail) = match why {
        Unopened::Ended | Unopened::Over
            if StreamRequest::ended_status(&request.headers) == StatusCode::NO_CONTENT =>
        {
            return whole(no_content());
        }
        Unopened::Ended => {
            let detail =
                "this stream was ended while you were away: ask without a place for a new one";
            (ProblemKind::StreamEnded, detail)
        }
        Unopened::Over => {
            let detail = "the stream of this topic has ended, and you have been sent all of it: ask \
                          without a place for the next one";
            (ProblemKind::StreamEnded, detail)
        }
        Unopened::EventsLost => {
            let detail = "events after this place are no longer held: ask with \
                          'last_event_id=earliest' for all that are, or without a place for the next one";
            (ProblemKind::EventsLost, detail)
        }
    };
    context.metrics.refused(kind);
    let mut response = Problem::new(kind, detail).into_response();
    if why == Unopened::EventsLost {
        response.headers_mut().insert(STREAM_GAP, gap_value(GapShape::Close));
    }
    whole(response)
}

/// Returns whether a reader that comes back to a place has been sent all of its topic's stream.
pub(crate) fn is_over(context: &Context, view: &View, comes_back: bool, place: Sequence) -> bool {
    comes_back && context.hub.is_stream_over(view, place)
}

/// Returns whether the reader of a stream has had one before.
pub(crate) fn comes_back(start: &Start) -> bool {
    matches!(start, Start::After(_) | Start::Located(_))
}

/// The header that names how a reader is told of a gap.
pub(crate) const STREAM_GAP: HeaderName = HeaderName::from_static("stream-gap");

/// The value of the header `Vary` where the request has chosen the format.
pub(crate) static ON_ACCEPT: HeaderValue = HeaderValue::from_static("Accept");

/// The value of the header [`STREAM_GAP`].
pub(crate) fn gap_value(gap: GapShape) -> HeaderValue {
    HeaderValue::from_static(match gap {
        GapShape::Event => "event",
        GapShape::Close => "close",
    })
}

impl OpenedStream for Box<ShardStream> {
    fn open(
        context: &Context,
        request: &Parts,
        stream: Box<StreamAnswer>,
        permit: StreamPermit,
        _: &Caller,
    ) -> Result<Self, Unopened> {
        let StreamAnswer { head, is_negotiated, view, start, spec } = *stream;
        let comes_back = comes_back(&start);
        let (shard, mut reader) = context.engine.subscribe(&view, start);
        if reader.is_closed() || spec.ends().is_some_and(|ends| reader.is_closed_by(ends)) {
            complete(spec.on_end, StreamEnd::Completed);
            return Err(Unopened::Ended);
        }
        if is_over(context, &view, comes_back && !reader.has_gap(), reader.after()) {
            complete(spec.on_end, StreamEnd::Completed);
            return Err(Unopened::Over);
        }
        if spec.shape.gap == GapShape::Close && reader.has_gap() {
            complete(spec.on_end, StreamEnd::EventsLost);
            return Err(Unopened::EventsLost);
        }
        let framing = Framing::of(request.version);
        let subscription = Subscription { reader, framing, spec, permit };
        Ok(Self::new(ShardStream { headers: head, is_negotiated, shard, subscription }))
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    fn write_common_headers(&self, hub: &Hub, out: &mut Vec<u8>) {
        write_stream_headers((hub.epoch(), self.subscription.reader.started_after()), out);
        if self.is_negotiated {
            out.extend_from_slice(b"vary: Accept\r\n");
        }
    }
}

impl OpenedStream for Response<ResponseBody> {
    fn open(
        context: &Context,
        request: &Parts,
        stream: Box<StreamAnswer>,
        permit: StreamPermit,
        caller: &Caller,
    ) -> Result<Self, Unopened> {
        let (response, listed) = open_body(context, request, stream, permit, caller)?;
        Ok(response.map(|body| ResponseBody::stream(body, listed)))
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        Self::headers_mut(self)
    }

    /// Writes nothing: all are in the map.
    fn write_common_headers(&self, _: &Hub, _: &mut Vec<u8>) {}
}

/// Opens a stream that hyper writes.
fn open_body(
    context: &Context,
    request: &Parts,
    stream: Box<StreamAnswer>,
    permit: StreamPermit,
    caller: &Caller,
) -> Result<(Response<Body>, ListedStream), Unopened> {
    let StreamAnswer { head, is_negotiated, view, start, spec } = *stream;
    let ends = spec.ends().cloned();
    let StreamSpec { client, shape, subject, greeting, timeout, on_end, grant, places, .. } = spec;
    let since = context.hub.uptime();
    let comes_back = comes_back(&start);
    let mut subscriber = context.hub.subscribe(view.clone(), start);
    let (closer, version) = (subscriber.closer(), request.version);
    let is_revoked = |grant: &Grant| context.control.revocations().concern(grant);
    // Listed before the check for an end: the streams of a subject that are ended after the check
    // are found in the list, and so are those of a topic that a reload closes.
    let listed = BodyStream::new(view, closer, caller.address(), version, since);
    let listed = permit.list(listed.of(subject, grant.clone()), places);
    if subscriber.is_closed()
        || grant.is_some_and(|grant| is_revoked(&grant))
        || is_closed(&listed.stream().view)
        || ends.is_some_and(|ends| subscriber.is_closed_by(&ends))
    {
        complete(on_end, StreamEnd::Completed);
        return Err(Unopened::Ended);
    }
    let place = subscriber.cursor().sequence;
    if is_over(context, &listed.stream().view, comes_back && !subscriber.has_gap(), place) {
        complete(on_end, StreamEnd::Completed);
        return Err(Unopened::Over);
    }
    if shape.gap == GapShape::Close && subscriber.has_gap() {
        complete(on_end, StreamEnd::EventsLost);
        return Err(Unopened::EventsLost);
    }
    let mut body = Body::new(subscriber).for_client(client).with_shape(shape);
    if let Some(greeting) = greeting {
        body = body.with_greeting(greeting);
    }
    if let Some(timeout) = timeout {
        body = body.with_timeout(timeout);
    }
    if let Some(on_end) = on_end {
        body = body.on_end(move |end| on_end.run(end));
    }
    let mut response = body.into_response();
    if is_negotiated {
        response.headers_mut().append(VARY, ON_ACCEPT.clone());
    }
    response.headers_mut().extend(head);
    Ok((response, listed))
}

/// Runs the hook of a stream that was ended before it was opened.
fn complete(on_end: Option<OnEnd>, end: StreamEnd) {
    if let Some(on_end) = on_end {
        on_end.run(end);
    }
}

/// Takes a permit for a stream; the problem says why there is none for now.
pub(crate) fn stream_permit(context: &Context) -> Result<StreamPermit, Problem> {
    if context.phase() != Phase::Serving {
        let detail = "this server is shutting down: try again in a moment";
        return Err(for_now(&context.hub, ProblemKind::Draining, detail));
    }
    context.streams.enter().ok_or_else(|| {
        let detail = "the limit on open streams is reached: try again later";
        for_now(&context.hub, ProblemKind::TooManyStreams, detail)
    })
}

/// Refuses events that would be lost: those that are published while the hub drains, unless its
/// journal keeps them for the readers of the next one.
///
/// # Errors
///
/// A [`Problem`] that tells publishers to come back.
pub fn accept_events(hub: &Hub) -> Result<(), Problem> {
    if hub.durability() != Durability::Process || !hub.is_draining() {
        return Ok(());
    }
    let detail = "this server is shutting down and keeps no events: publish again in a moment";
    Err(for_now(hub, ProblemKind::Draining, detail))
}

/// Refuses a body that is piped into a stream while the server shuts down: it would be cut off.
pub(crate) fn accept_producer(context: &Context) -> Result<(), Problem> {
    match context.phase() {
        Phase::Serving => Ok(()),
        _ => Err(shutting_down(&context.hub)),
    }
}

/// The answer to a producer whose body is cut off by the end of this server, or would be.
pub(crate) fn shutting_down(hub: &Hub) -> Problem {
    let detail = "this server is shutting down: go on with the stream in a moment";
    for_now(hub, ProblemKind::Draining, detail)
}

/// A temporary problem; its clients are told to return spread over a time.
pub(crate) fn for_now(hub: &Hub, kind: ProblemKind, detail: &str) -> Problem {
    const SPREAD_MILLIS: u64 = 5000;
    let spread = Duration::from_millis(fastrand::u64(0..=SPREAD_MILLIS));
    Problem::new(kind, detail).with_retry_after(hub.config().reconnection_time + spread)
}

/// Refuses a stream for a temporary reason.
///
/// A browser's EventSource gives up for good on every status but 200, so it gets a stream that sets
/// the reconnection time, states the reason, and ends. Other clients get the status.
pub(crate) fn refuse_for_now(
    context: &Context,
    request: &Parts,
    problem: Problem,
) -> Response<Bytes> {
    context.metrics.refused(problem.kind());
    if !is_browser(&request.headers) {
        return problem.into_response();
    }
    let mut text = Vec::new();
    encode_retry(problem.retry_after(), &mut text);
    encode_comment(problem.detail(), &mut text).expect("the reasons are single lines");
    let mut response = Response::new(Bytes::from(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn is_browser(headers: &HeaderMap) -> bool {
    const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
    headers.contains_key(SEC_FETCH_MODE) || headers.contains_key(ORIGIN)
}

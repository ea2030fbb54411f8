//! What a handler answers, and the one place that makes a response of it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version};
use tidings_hub::engine::{Reader, stream_headers, without_id};
use tidings_hub::{Body, Client, EmitterParts, Event, OnEnd, Start, StreamEnd, View};
use tidings_proto::{encode_comment, encode_retry};

use crate::app::{App, empty};
use crate::engine::streams::{BodyStream, Place};
use crate::engine::subject::Subject;
use crate::engine::{Engine, Extras, Framing};
use crate::http::common_headers::Usual;
use crate::http::problem::{Problem, ProblemKind};
use crate::http::response_body::ResponseBody;
use crate::phase::Phase;

/// What a handler answers.
#[derive(Debug)]
pub enum Answer {
    /// A whole response.
    Response(Response<Bytes>),
    /// Plain text that is not to be kept: the headers that say so need not be among its own.
    Text(Response<Bytes>),
    /// An event stream. The handler says what it is; who writes it is decided later.
    Stream(Box<StreamAnswer>),
}

/// An event stream that is to be opened.
#[derive(Debug)]
#[non_exhaustive]
pub struct StreamAnswer {
    /// Further headers of the response.
    pub head: HeaderMap,
    /// What it carries.
    pub view: View,
    /// Where it starts.
    pub start: Start,
    /// Who reads it.
    pub client: Client,
    /// Whose it is, if it is somebody's: his streams can be ended together.
    pub subject: Option<Subject>,
    /// Sent before all other events, after the preamble. Its ID, if it has one, is left out.
    pub greeting: Option<Event>,
    /// How long it lasts at most.
    pub timeout: Option<Duration>,
    /// Run when the stream has ended, whichever way, and also if it is never opened. It runs on the
    /// thread that writes this and many other streams, with no lock held: it may publish and should
    /// not wait.
    pub on_end: Option<OnEnd>,
}

impl StreamAnswer {
    /// A stream of a view from a start, for a client that is no EventSource.
    #[must_use]
    pub fn new(view: View, start: Start) -> Self {
        Self {
            head: HeaderMap::new(),
            view,
            start,
            client: Client::default(),
            subject: None,
            greeting: None,
            timeout: None,
            on_end: None,
        }
    }

    /// The stream of an emitter, which is a subject's.
    #[must_use]
    pub fn of_emitter(emitter: EmitterParts, subject: Subject) -> Self {
        let EmitterParts { view, start, client, greeting, timeout, on_end, .. } = emitter;
        let (subject, on_end) = (Some(subject), Some(on_end));
        Self { client, greeting, timeout, subject, on_end, ..Self::new(view, start) }
    }
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        Self::Response(problem.into_response())
    }
}

impl From<StreamAnswer> for Answer {
    fn from(stream: StreamAnswer) -> Self {
        Self::Stream(Box::new(stream))
    }
}

impl From<Response<Bytes>> for Answer {
    fn from(response: Response<Bytes>) -> Self {
        Self::Response(response)
    }
}

/// What is sent for an answer, and who sends it.
#[derive(Debug)]
pub(crate) enum Handled {
    /// A whole response: whoever has the connection sends it.
    Whole(Whole),
    /// A stream: a shard sends it, once it has the connection.
    Stream(Box<Opened>),
    /// A stream that hyper sends.
    Body(Response<ResponseBody>),
}

/// A whole response, and what is to be said beside its own headers.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) usual: Usual,
    pub(crate) response: Response<Bytes>,
}

/// A stream that waits for its connection.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) head: Response<()>,
    pub(crate) shard: usize,
    pub(crate) reader: Reader,
    pub(crate) client: Client,
    pub(crate) framing: Framing,
    pub(crate) greeting: Option<Event>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) extras: Option<Box<Extras>>,
    pub(crate) place: Place,
}

impl Handled {
    pub(crate) fn headers_mut(&mut self) -> &mut HeaderMap {
        match self {
            Self::Whole(whole) => whole.response.headers_mut(),
            Self::Stream(opened) => opened.head.headers_mut(),
            Self::Body(response) => response.headers_mut(),
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Whole(whole) => whole.response.status(),
            Self::Stream(opened) => opened.head.status(),
            Self::Body(response) => response.status(),
        }
    }
}

/// How a request came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Via {
    /// The other end of its connection.
    pub(crate) peer: SocketAddr,
    /// Who would write a stream.
    pub(crate) writer: Writer,
}

/// Who writes a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writer {
    /// A shard, to a socket of its own.
    Shard,
    /// hyper, because the connection is its own or carries other things beside.
    Hyper,
}

/// Makes a response of an answer: the only function that opens streams.
pub(crate) fn respond(app: &App, request: &Parts, answer: Answer, via: Via) -> Handled {
    let stream = match answer {
        Answer::Response(response) => return whole(response),
        Answer::Text(response) => {
            return Handled::Whole(Whole { usual: Usual::FreshText, response });
        }
        Answer::Stream(stream) => *stream,
    };
    let place = match place(app) {
        Ok(place) => place,
        Err(problem) => return whole(refuse_for_now(app, request, problem)),
    };
    match via.writer {
        Writer::Shard if request.method != Method::HEAD => {
            open(&app.engine, request, stream, place)
        }
        _ => open_body(app, request, stream, place, via.peer),
    }
}

/// Opens a stream that a shard is to write.
fn open(engine: &Engine, request: &Parts, stream: StreamAnswer, place: Place) -> Handled {
    let StreamAnswer { head, view, start, client, subject, greeting, timeout, on_end } = stream;
    let (shard, reader) = engine.subscribe(&view, start);
    if reader.is_ended() || subject.as_ref().is_some_and(|his| reader.is_ended_by(his.ends())) {
        return ended(on_end);
    }
    let mut response = Response::new(());
    *response.headers_mut() = stream_headers(Some(reader.started_after()));
    response.headers_mut().extend(head);
    let framing = match request.version {
        Version::HTTP_09 | Version::HTTP_10 => Framing::Close,
        _ => Framing::Chunked,
    };
    let greeting = greeting.as_ref().map(without_id);
    let extras = Extras::new(subject, on_end);
    let head = response;
    Handled::Stream(Box::new(Opened {
        head,
        shard,
        reader,
        client,
        framing,
        greeting,
        timeout,
        extras,
        place,
    }))
}

/// Opens a stream that hyper is to write.
fn open_body(
    app: &App,
    request: &Parts,
    stream: StreamAnswer,
    place: Place,
    peer: SocketAddr,
) -> Handled {
    let StreamAnswer { head, view, start, client, subject, greeting, timeout, on_end } = stream;
    let since = app.hub.uptime();
    let subscriber = app.hub.subscribe(view.clone(), start);
    let (ender, version) = (subscriber.ender(), request.version);
    // Before the look at what has ended: whoever ends the subject's streams after that finds it in the
    // list.
    let listed = BodyStream::new(view, ender, peer, version, since).of(subject.clone());
    let listed = place.list(listed);
    if subscriber.is_ended() || subject.is_some_and(|his| subscriber.is_ended_by(his.ends())) {
        return ended(on_end);
    }
    let mut body = Body::new(subscriber).for_client(client);
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
    response.headers_mut().extend(head);
    if request.method == Method::HEAD {
        return whole(response.map(|_| Bytes::new()));
    }
    Handled::Body(response.map(|body| ResponseBody::stream(body, listed)))
}

/// A stream that was ended while its reader was away: the one status that stops an EventSource for
/// good and is no error.
fn ended(on_end: Option<OnEnd>) -> Handled {
    if let Some(on_end) = on_end {
        on_end.run(StreamEnd::Completed);
    }
    whole(empty())
}

fn whole(response: Response<Bytes>) -> Handled {
    Handled::Whole(Whole { usual: Usual::Any, response })
}

/// Takes a place for a stream, or says why there is none for now.
pub(crate) fn place(app: &App) -> Result<Place, Problem> {
    if app.phase() != Phase::Serving {
        let detail = "this server is about to end: come back in a moment";
        return Err(for_now(app, ProblemKind::Draining, detail));
    }
    app.streams.enter().ok_or_else(|| {
        let detail = "as many streams are open as this server takes: come back in a while";
        for_now(app, ProblemKind::TooManyStreams, detail)
    })
}

/// A problem that will pass; those who have it come back spread.
fn for_now(app: &App, kind: ProblemKind, detail: &str) -> Problem {
    const SPREAD_MILLIS: u64 = 5000;
    let spread = Duration::from_millis(fastrand::u64(0..=SPREAD_MILLIS));
    Problem::new(kind, detail).with_retry_after(app.hub.config().reconnection_time + spread)
}

/// Refuses a stream for a reason that will pass.
///
/// A browser's EventSource gives up for good on every status but 200, so it gets a stream that says
/// when to come back, and why, and ends. Everybody else gets the status.
fn refuse_for_now(app: &App, request: &Parts, problem: Problem) -> Response<Bytes> {
    app.metrics.refused(problem.kind());
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

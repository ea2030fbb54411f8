//! What a handler answers, and the one place that makes a response of it.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version};
use http_body::{Frame, SizeHint};
use http_body_util::Full;
use tidings_hub::tap::{Reader, stream_headers};
use tidings_hub::{Body, Client, Start, View};
use tidings_proto::{encode_comment, encode_retry};

use crate::app::{App, empty};
use crate::engine::{Engine, Framing};
use crate::phase::Phase;
use crate::problem::{Problem, ProblemKind};
use crate::streams::Place;

/// What a handler answers.
#[derive(Debug)]
pub enum Answer {
    /// A whole response.
    Response(Response<Bytes>),
    /// An event stream of a view. The handler says what it is; who writes it is decided later.
    Stream(StreamAnswer),
    /// An event stream of one reader's own.
    Body(Box<Body>),
}

/// An event stream that is to be opened.
#[derive(Debug)]
pub struct StreamAnswer {
    /// Further headers of the response.
    pub head: HeaderMap,
    /// What it carries.
    pub view: View,
    /// Where it starts.
    pub start: Start,
    /// Who reads it.
    pub client: Client,
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        Self::Response(problem.into_response())
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
    /// hyper does.
    Response(Response<ResponseBody>),
    /// A shard does, once it has the connection.
    Stream(Box<Opened>),
}

/// A stream that waits for its connection.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) head: Response<()>,
    pub(crate) shard: usize,
    pub(crate) reader: Reader,
    pub(crate) client: Client,
    pub(crate) framing: Framing,
    pub(crate) place: Place,
}

impl Handled {
    pub(crate) fn headers_mut(&mut self) -> &mut HeaderMap {
        match self {
            Self::Response(response) => response.headers_mut(),
            Self::Stream(opened) => opened.head.headers_mut(),
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Response(response) => response.status(),
            Self::Stream(opened) => opened.head.status(),
        }
    }
}

/// Makes a response of an answer: the only function that opens streams.
///
/// `engine` is there if the connection can be taken over.
pub(crate) fn respond(
    app: &App,
    request: &Parts,
    answer: Answer,
    engine: Option<&Engine>,
) -> Handled {
    let stream = match answer {
        Answer::Response(response) => return whole(response),
        Answer::Stream(stream) => stream,
        Answer::Body(body) => {
            return match place(app) {
                Ok(place) => streamed(request, *body, HeaderMap::new(), place),
                Err(problem) => whole(refuse_for_now(app, request, problem)),
            };
        }
    };
    let place = match place(app) {
        Ok(place) => place,
        Err(problem) => return whole(refuse_for_now(app, request, problem)),
    };
    let StreamAnswer { head, view, start, client } = stream;
    if let Some(engine) = engine {
        let (shard, reader) = engine.subscribe(&view, start);
        if reader.is_ended() {
            return whole(empty());
        }
        let mut response = Response::new(());
        *response.headers_mut() = stream_headers(Some(reader.started_after()));
        response.headers_mut().extend(head);
        let framing = match request.version {
            Version::HTTP_09 | Version::HTTP_10 => Framing::Close,
            _ => Framing::Chunked,
        };
        let head = response;
        return Handled::Stream(Box::new(Opened { head, shard, reader, client, framing, place }));
    }
    let subscriber = app.hub.subscribe(view, start);
    if subscriber.is_ended() {
        // The one status that stops an EventSource for good and is no error.
        return whole(empty());
    }
    streamed(request, Body::new(subscriber).for_client(client), head, place)
}

fn whole(response: Response<Bytes>) -> Handled {
    Handled::Response(response.map(ResponseBody::whole))
}

fn streamed(request: &Parts, body: Body, head: HeaderMap, place: Place) -> Handled {
    let mut response = body.into_response();
    response.headers_mut().extend(head);
    Handled::Response(if request.method == Method::HEAD {
        response.map(|_| ResponseBody::whole(Bytes::new()))
    } else {
        response.map(|body| ResponseBody::stream(Box::new(body), place))
    })
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
    response
}

fn is_browser(headers: &HeaderMap) -> bool {
    const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
    headers.contains_key(SEC_FETCH_MODE) || headers.contains_key(ORIGIN)
}

/// The body of a response.
pub(crate) struct ResponseBody(Kind);

enum Kind {
    Whole(Full<Bytes>),
    Stream { body: Box<Body>, _place: Place },
}

impl ResponseBody {
    fn whole(bytes: Bytes) -> Self {
        Self(Kind::Whole(Full::new(bytes)))
    }

    fn stream(body: Box<Body>, place: Place) -> Self {
        Self(Kind::Stream { body, _place: place })
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.0 {
            Kind::Whole(body) => Pin::new(body).poll_frame(cx),
            Kind::Stream { body, .. } => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(body) => body.is_end_stream(),
            Kind::Stream { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(body) => body.size_hint(),
            Kind::Stream { body, .. } => body.size_hint(),
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Whole(_) => "ResponseBody::Whole",
            Kind::Stream { .. } => "ResponseBody::Stream",
        })
    }
}

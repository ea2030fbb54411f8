//! The answers that handlers give.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use tidings_hub::engine::EmitterParts;
use tidings_hub::{Start, StreamRequest, View};

use crate::engine::stream_spec::StreamSpec;
use crate::engine::subject::Subject;
use crate::http::pieces::AnswerPieces;
use crate::http::problem::Problem;
use crate::http::response::{allowed, no_content};
use crate::http::whole::WholeAnswer;
use crate::node::NodeName;

/// The answer of a handler.
#[derive(Debug)]
pub enum Answer {
    /// A whole response.
    Whole(WholeAnswer),
    /// A response whose body is written as its client takes it.
    Pieces(Box<Response<AnswerPieces>>),
    /// An event stream. The handler describes it; which part of the server writes it is decided later.
    Stream(Box<StreamAnswer>),
}

impl Answer {
    /// An answer of status 204.
    #[must_use]
    pub fn no_content() -> Self {
        no_content().into()
    }

    /// Names the hub that answers.
    #[must_use]
    pub(crate) fn named(mut self, node: &NodeName) -> Self {
        const NODE: HeaderName = HeaderName::from_static("tidings-node");
        if let Ok(value) = HeaderValue::try_from(node.as_str()) {
            match &mut self {
                Self::Whole(whole) => drop(whole.headers_mut().insert(NODE, value)),
                Self::Pieces(response) => drop(response.headers_mut().insert(NODE, value)),
                Self::Stream(_) => {}
            }
        }
        self
    }

    /// The answer to OPTIONS on a path that has these methods, as the header `Allow` lists them.
    #[must_use]
    pub fn allowed(methods: &'static str) -> Self {
        allowed(methods).into()
    }
}

/// An event stream to be opened.
#[derive(Debug)]
#[non_exhaustive]
pub struct StreamAnswer {
    /// Further headers of the response, beside those that every stream has.
    pub head: HeaderMap,
    /// Whether the request has chosen the format, which caches must know.
    pub(crate) is_negotiated: bool,
    /// The view that it carries.
    pub view: View,
    /// The place where it starts.
    pub start: Start,
    /// Everything that belongs to this one stream.
    pub spec: StreamSpec,
}

impl StreamAnswer {
    /// A stream of a view, as it was [requested](crate::Request::stream); from a start, for a client
    /// that is no EventSource.
    #[must_use]
    pub fn new(view: View, request: impl Into<StreamRequest>) -> Self {
        let StreamRequest { start, client, .. } = request.into();
        let spec = StreamSpec { client, ..StreamSpec::default() };
        Self { head: HeaderMap::new(), is_negotiated: false, view, start, spec }
    }

    /// The stream of an emitter, which belongs to a subject.
    #[must_use]
    pub fn of_emitter(emitter: EmitterParts, subject: Subject) -> Self {
        let EmitterParts { view, start, client, greeting, timeout, on_end, .. } = emitter;
        let (subject, on_end) = (Some(subject), Some(on_end));
        let spec =
            StreamSpec { client, subject, greeting, timeout, on_end, ..StreamSpec::default() };
        Self { spec, ..Self::new(view, start) }
    }
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        problem.into_response().into()
    }
}

impl From<StreamAnswer> for Answer {
    fn from(stream: StreamAnswer) -> Self {
        Self::Stream(Box::new(stream))
    }
}

impl From<Response<Bytes>> for Answer {
    fn from(response: Response<Bytes>) -> Self {
        Self::Whole(response.into())
    }
}

impl From<WholeAnswer> for Answer {
    fn from(whole: WholeAnswer) -> Self {
        Self::Whole(whole)
    }
}

impl From<Response<AnswerPieces>> for Answer {
    fn from(response: Response<AnswerPieces>) -> Self {
        let (head, pieces) = response.into_parts();
        match pieces.into_uncounted() {
            Ok(whole) => Response::from_parts(head, whole).into(),
            Err(pieces) => Self::Pieces(Box::new(Response::from_parts(head, pieces))),
        }
    }
}

//! A transport whose server side a test plays.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body::{Body as HttpBody, Frame};
use tokio::sync::oneshot;

use crate::transport::{Body, Sending, Stage, Transport, TransportError};

/// The server side of a [`ScriptedTransport`]: receives its requests in order.
#[derive(Debug, Default)]
pub struct Script {
    queue: Arc<Mutex<Queue<ScriptedRequest>>>,
}

/// A [`Transport`] that sends its requests to a [`Script`].
#[derive(Debug, Clone)]
pub struct ScriptedTransport {
    queue: Arc<Mutex<Queue<ScriptedRequest>>>,
}

/// A request that waits for its response. Dropping it breaks the connection.
pub struct ScriptedRequest {
    request: Request<Body>,
    answer: oneshot::Sender<Result<Response<Body>, TransportError>>,
}

/// The body of an open response. Dropping it breaks the connection; [`end`](Self::end) ends it.
#[derive(Debug)]
pub struct ScriptedStream {
    pieces: Arc<Mutex<Queue<Piece>>>,
}

impl Script {
    /// Makes a script.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a transport that sends its requests here.
    #[must_use]
    pub fn transport(&self) -> ScriptedTransport {
        ScriptedTransport { queue: Arc::clone(&self.queue) }
    }

    /// Waits for the next request.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no request.
    pub async fn request(&mut self) -> ScriptedRequest {
        poll_fn(|cx| lock(&self.queue).poll(cx)).await
    }

    /// Returns the next request, if one has arrived.
    pub fn try_request(&mut self) -> Option<ScriptedRequest> {
        lock(&self.queue).items.pop_front()
    }
}

impl Transport for ScriptedTransport {
    fn send(&self, request: Request<Body>) -> Sending {
        let (answer, answered) = oneshot::channel();
        push(&self.queue, ScriptedRequest { request, answer });
        Box::pin(async move {
            answered.await.unwrap_or_else(|gone| Err(TransportError::new(Stage::Request, gone)))
        })
    }
}

impl ScriptedRequest {
    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        self.request.method()
    }

    /// The URL.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        self.request.uri()
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    /// Takes the body out of the request.
    pub fn take_body(&mut self) -> Body {
        std::mem::replace(self.request.body_mut(), Body::empty())
    }

    /// Returns whether the client still waits for the response.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        !self.answer.is_closed()
    }

    /// Opens an event stream: 200 and its content type.
    pub fn open(self) -> ScriptedStream {
        let head = Response::builder().header("content-type", "text/event-stream");
        self.respond(head.body(()).expect("a legal head"))
    }

    /// Answers with any head. Bytes sent to the returned stream become the body.
    pub fn respond(self, head: Response<()>) -> ScriptedStream {
        let stream = ScriptedStream { pieces: Arc::new(Mutex::new(Queue::default())) };
        let body = ScriptedBody { pieces: Arc::clone(&stream.pieces) };
        // If the client has given up, nobody needs the answer.
        let _ = self.answer.send(Ok(head.map(|()| Body::new(body))));
        stream
    }

    /// Fails the exchange at the given stage.
    pub fn fail(self, stage: Stage) {
        let _ = self.answer.send(Err(TransportError::new(stage, "failed by the script")));
    }
}

impl fmt::Debug for ScriptedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedRequest")
            .field("method", self.method())
            .field("uri", self.uri())
            .field("headers", self.headers())
            .finish_non_exhaustive()
    }
}

impl ScriptedStream {
    /// Sends bytes, as one chunk.
    pub fn send(&mut self, bytes: impl Into<Bytes>) {
        push(&self.pieces, Piece::Bytes(bytes.into()));
    }

    /// Ends the response properly.
    pub fn end(self) {
        push(&self.pieces, Piece::End);
    }

    /// Returns whether the client still reads.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        // This stream and the body each hold a reference.
        Arc::strong_count(&self.pieces) > 1
    }
}

impl Drop for ScriptedStream {
    fn drop(&mut self) {
        // After `end`, this piece is never read.
        push(&self.pieces, Piece::Break);
    }
}

#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    End,
    Break,
}

struct ScriptedBody {
    pieces: Arc<Mutex<Queue<Piece>>>,
}

impl HttpBody for ScriptedBody {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        lock(&self.pieces).poll(cx).map(|piece| match piece {
            Piece::Bytes(bytes) => Some(Ok(Frame::data(bytes))),
            Piece::End => None,
            Piece::Break => Some(Err(TransportError::new(Stage::Body, "broken off by the script"))),
        })
    }
}

/// Items that one side has sent and the other has not taken yet. Only a test fills it, so it grows
/// no larger than the test.
#[derive(Debug)]
struct Queue<T> {
    items: VecDeque<T>,
    waker: Option<Waker>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { items: VecDeque::new(), waker: None }
    }
}

impl<T> Queue<T> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        match self.items.pop_front() {
            Some(item) => Poll::Ready(item),
            None => {
                self.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

fn push<T>(queue: &Mutex<Queue<T>>, item: T) {
    let waker = {
        let mut queue = lock(queue);
        queue.items.push_back(item);
        queue.waker.take()
    };
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn lock<T>(queue: &Mutex<Queue<T>>) -> MutexGuard<'_, Queue<T>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

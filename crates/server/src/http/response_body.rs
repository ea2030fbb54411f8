//! The body of a response.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream as _;
use http_body::{Frame, SizeHint};
use tidings_hub::{Body, StreamEnd};

use crate::engine::reason::Reason;
use crate::engine::streams::ListedStream;
use crate::net::connections::Answering;
use crate::net::stalls::Watched;

/// The body of a response: whole, or a stream that hyper writes.
pub(crate) struct ResponseBody {
    kind: Kind,
    /// Its connection, and its progress; `None` until it is handed to hyper.
    watch: Option<(Answering, Watched)>,
}

enum Kind {
    // Both boxed, because the body is part of an HTTP/2 stream's task for as long as the stream is
    // open.
    Whole(Box<Pieces>),
    Stream(Box<Streamed>),
}

/// A whole body, which is handed over in pieces so that its client is seen to take it.
struct Pieces(Bytes);

impl Pieces {
    /// The size of a piece: no more than a stream yields at once.
    const BYTES_MAX: usize = 64 * 1024;

    fn next(&mut self) -> Option<Bytes> {
        let piece = self.0.split_to(self.0.len().min(Self::BYTES_MAX));
        (!piece.is_empty()).then_some(piece)
    }
}

struct Streamed {
    body: Body,
    listed: ListedStream,
}

impl ResponseBody {
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self::new(Kind::Whole(Box::new(Pieces(bytes))))
    }

    pub(crate) fn stream(body: Body, listed: ListedStream) -> Self {
        Self::new(Kind::Stream(Box::new(Streamed { body, listed })))
    }

    fn new(kind: Kind) -> Self {
        Self { kind, watch: None }
    }

    /// Sets what is released with the body, and what its progress is told.
    pub(crate) fn watch(&mut self, answering: Answering, progress: Watched) {
        self.watch = Some((answering, progress));
    }

    fn poll_kind(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match &mut self.kind {
            Kind::Whole(pieces) => Poll::Ready(pieces.next()),
            Kind::Stream(streamed) => {
                let Streamed { body, listed } = &mut **streamed;
                let polled = Pin::new(body).poll_next(cx);
                // With nothing to send, the stream is at the tail; hyper polls again as soon as the
                // reader has taken everything.
                listed.set_behind(polled.is_ready());
                polled
            }
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        let Kind::Stream(streamed) = &self.kind else {
            if let Some((_, progress)) = &self.watch {
                progress.count_answer();
            }
            return;
        };
        let is_stalled = self.watch.as_ref().is_some_and(|(_, progress)| progress.is_stalled());
        // A body dropped before its end means that the client has left or takes nothing.
        let reason = match streamed.body.stream_end() {
            Some(end) => end.into(),
            None if is_stalled => Reason::ClientStalled,
            None => StreamEnd::ClientClosed.into(),
        };
        streamed.listed.count_end(reason);
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let polled = self.poll_kind(cx);
        if let Some((_, progress)) = &self.watch {
            progress.asked(polled.is_ready());
        }
        polled.map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Whole(pieces) => pieces.0.is_empty(),
            Kind::Stream(streamed) => http_body::Body::is_end_stream(&streamed.body),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole(pieces) => SizeHint::with_exact(pieces.0.len() as u64),
            Kind::Stream(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.kind {
            Kind::Whole(_) => "ResponseBody::Whole",
            Kind::Stream(_) => "ResponseBody::Stream",
        })
    }
}

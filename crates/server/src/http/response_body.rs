//! The body of a response.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::Full;
use tidings_hub::{Body, StreamEnd};

use crate::engine::streams::ListedStream;

/// The body of a response: whole, or a stream that hyper writes.
pub(crate) struct ResponseBody(Kind);

enum Kind {
    // Both boxed, because the body is part of an HTTP/2 stream's task for as long as the stream is
    // open.
    Whole(Box<Full<Bytes>>),
    Stream(Box<Streamed>),
}

struct Streamed {
    body: Body,
    listed: ListedStream,
}

impl ResponseBody {
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self(Kind::Whole(Box::new(Full::new(bytes))))
    }

    pub(crate) fn stream(body: Body, listed: ListedStream) -> Self {
        Self(Kind::Stream(Box::new(Streamed { body, listed })))
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        // A body dropped before its end means that the client has left.
        self.listed.count_end(self.body.stream_end().unwrap_or(StreamEnd::ClientClosed).into());
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
            Kind::Whole(body) => Pin::new(&mut **body).poll_frame(cx),
            Kind::Stream(streamed) => {
                let Streamed { body, listed } = &mut **streamed;
                let polled = Pin::new(body).poll_frame(cx);
                // With nothing to send, the stream is at the tail; hyper polls again as soon as the
                // reader has taken everything.
                listed.set_behind(polled.is_ready());
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(body) => body.is_end_stream(),
            Kind::Stream(streamed) => streamed.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(body) => body.size_hint(),
            Kind::Stream(streamed) => streamed.body.size_hint(),
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Whole(_) => "ResponseBody::Whole",
            Kind::Stream(_) => "ResponseBody::Stream",
        })
    }
}

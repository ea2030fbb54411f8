//! The body of a response.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream as _;
use http_body::{Frame, SizeHint};
use tidings_hub::{Body, Sequence, StreamEnd};

use crate::engine::reason::Reason;
use crate::engine::streams::{LingerPermit, ListedStream};
use crate::http::pieces::AnswerPieces;
use crate::net::connections::Answering;
use crate::net::stalls::{LargeEvent, Watched};

/// The body of a response: that of an answer, or a stream that hyper writes.
// Both boxed, because the body is part of an HTTP/2 stream's task for as long as the stream is open.
pub(crate) struct ResponseBody(Kind);

enum Kind {
    Answer(Box<Answered>),
    /// A stream, and the reason for which its client is gone, if more is known than hyper says.
    Stream(Box<Streamed>, Option<Reason>),
}

struct Answered {
    pieces: AnswerPieces,
    watch: Watch,
}

struct Streamed {
    body: Body,
    listed: ListedStream,
    watch: Watch,
}

/// A body's connection, and its progress; `None` until it is handed to hyper.
type Watch = Option<(Answering, Watched)>;

impl ResponseBody {
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self::answer(AnswerPieces::whole(bytes))
    }

    pub(crate) fn answer(pieces: AnswerPieces) -> Self {
        Self(Kind::Answer(Box::new(Answered { pieces, watch: None })))
    }

    pub(crate) fn stream(body: Body, listed: ListedStream) -> Self {
        Self(Kind::Stream(Box::new(Streamed { body, listed, watch: None }), None))
    }

    /// Sets the reason for which its client is gone, if the stream has not ended by itself.
    pub(crate) fn end_as(&mut self, reason: Reason) {
        if let Kind::Stream(_, end) = &mut self.0 {
            *end = Some(reason);
        }
    }

    /// Ends the stream, whose connection waits for its client to close.
    pub(crate) fn into_place(self) -> Option<LingerPermit> {
        match &self.0 {
            Kind::Answer(_) => None,
            Kind::Stream(streamed, _) => Some(streamed.listed.linger()),
        }
    }

    /// Sets what is released with the body, and what its progress is told.
    pub(crate) fn watch(&mut self, answering: Answering, progress: Watched) {
        let watch = match &mut self.0 {
            Kind::Answer(answered) => &mut answered.watch,
            Kind::Stream(streamed, _) => &mut streamed.watch,
        };
        *watch = Some((answering, progress));
    }

    fn progress(&self) -> Option<&Watched> {
        let watch = match &self.0 {
            Kind::Answer(answered) => &answered.watch,
            Kind::Stream(streamed, _) => &streamed.watch,
        };
        watch.as_ref().map(|(_, progress)| progress)
    }

    /// The large event of the hub's history that the last piece is.
    fn large_event(&self) -> Option<Sequence> {
        match &self.0 {
            Kind::Stream(streamed, _) => streamed.body.large_event(),
            Kind::Answer(_) => None,
        }
    }

    fn poll_kind(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match &mut self.0 {
            Kind::Answer(answered) => answered.pieces.poll_next(cx),
            Kind::Stream(streamed, _) => {
                let Streamed { body, listed, .. } = &mut **streamed;
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
        let Kind::Stream(streamed, end) = &self.0 else {
            if let Some(progress) = self.progress() {
                progress.count_answer();
            }
            return;
        };
        let is_stalled = self.progress().is_some_and(Watched::is_stalled);
        // A body dropped before its end means that the client has left or takes nothing.
        let gone = || end.unwrap_or(StreamEnd::ClientClosed.into());
        let reason = match streamed.body.stream_end() {
            Some(end) => end.into(),
            None if is_stalled => Reason::ClientStalled,
            None => gone(),
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
        if let Some(progress) = self.progress() {
            progress.asked(polled.is_ready());
            if let Poll::Ready(Some(piece)) = &polled {
                let large = self.large_event();
                progress.gave(large.map(|sequence| LargeEvent { sequence, bytes: piece.len() }));
            }
        }
        polled.map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Answer(answered) => answered.pieces.is_over(),
            Kind::Stream(streamed, _) => http_body::Body::is_end_stream(&streamed.body),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Answer(answered) => match answered.pieces.exact_len() {
                Some(len) => SizeHint::with_exact(len as u64),
                None => SizeHint::default(),
            },
            Kind::Stream(..) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Answer(_) => "ResponseBody::Answer",
            Kind::Stream(..) => "ResponseBody::Stream",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_takes_two_pointers_of_its_stream_s_task_and_at_most_160_bytes_of_its_own() {
        assert_eq!(size_of::<ResponseBody>(), 16);
        // A size class of the allocator.
        assert!(size_of::<Streamed>() <= 160, "{}", size_of::<Streamed>());
    }
}

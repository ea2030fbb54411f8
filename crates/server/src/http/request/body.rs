//! Bodies of requests: bounded in time and size.

use std::future::poll_fn;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::http::problem::{Problem, ProblemKind};
use crate::socket::buffered::BufferedSocket;

/// The body of a request, read in a bounded time.
#[derive(Debug)]
pub struct RequestBody {
    source: Source,
    /// How long a chunk may take, or a body that is read whole.
    timeout: Duration,
    ended: bool,
    /// Whether the client sends the body whatever the answer may be.
    is_coming: bool,
}

#[derive(Debug)]
enum Source {
    /// What hyper reads.
    Hyper(Incoming),
    /// What has come already.
    Come(Bytes),
    /// So many bytes of a connection of HTTP/1.
    Sized { socket: BufferedSocket, bytes: u64 },
}

impl RequestBody {
    /// A body that hyper reads. `is_coming`: its client sends it whatever the answer may be.
    pub(crate) fn new(incoming: Incoming, is_coming: bool, timeout: Duration) -> Self {
        let ended = incoming.is_end_stream();
        Self { source: Source::Hyper(incoming), timeout, ended, is_coming }
    }

    /// A body that has come whole.
    pub(crate) fn come(body: Bytes) -> Self {
        let ended = body.is_empty();
        Self { source: Source::Come(body), timeout: Duration::ZERO, ended, is_coming: true }
    }

    /// The next `bytes` bytes of a connection, not all of which have come.
    pub(crate) fn sized(socket: BufferedSocket, bytes: u64, timeout: Duration) -> Self {
        let source = Source::Sized { socket, bytes };
        Self { source, timeout, ended: bytes == 0, is_coming: true }
    }

    /// The connection of a [sized](Self::sized) body, and whether the body came to its end.
    pub(crate) fn into_socket(self) -> (BufferedSocket, bool) {
        match self.source {
            Source::Sized { socket, bytes } => (socket, bytes == 0),
            _ => (BufferedSocket::default(), self.ended),
        }
    }

    /// Waits for the next chunk; `None` at the end.
    ///
    /// # Errors
    ///
    /// A [`Problem`] if nothing came for long, or if the body broke off.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Problem> {
        match timeout(self.timeout, self.next()).await {
            Ok(chunk) => chunk,
            Err(_) => Err(self.give_up()),
        }
    }

    /// Reads the whole body, `bytes_max` bytes at most.
    ///
    /// # Errors
    ///
    /// A [`Problem`] of the kind `too_large` if it is longer, and as [`RequestBody::chunk`], for the
    /// body as a whole.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses what was read.
    pub async fn whole(
        &mut self,
        bytes_max: usize,
        too_large: ProblemKind,
    ) -> Result<Bytes, Problem> {
        let problem = || {
            let detail = format!("the body may have at most {bytes_max} bytes");
            Problem::new(too_large, detail).with("bytes_max", bytes_max)
        };
        // A body that says how long it is need not be read to be refused.
        if self.bytes_at_least() > bytes_max as u64 {
            return Err(problem());
        }
        if let Some(whole) = self.take_whole() {
            return Ok(whole);
        }
        let time = self.timeout;
        let read = async {
            let first = self.next().await?.unwrap_or_default();
            // Most bodies come in one piece, and that one need not be copied.
            if self.ended && first.len() <= bytes_max {
                return Ok(first);
            }
            let mut whole = BytesMut::from(first);
            while whole.len() <= bytes_max {
                match self.next().await? {
                    Some(chunk) => whole.extend_from_slice(&chunk),
                    None => return Ok(whole.freeze()),
                }
            }
            Err(problem())
        };
        match timeout(time, read).await {
            Ok(whole) => whole,
            Err(_) => Err(self.give_up()),
        }
    }

    /// Reads the whole body as text, `bytes_max` bytes at most.
    ///
    /// # Errors
    ///
    /// As [`RequestBody::whole`], and a [`Problem`] if the body is not UTF-8.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses the bytes that were read.
    pub async fn text(
        &mut self,
        bytes_max: usize,
        too_large: ProblemKind,
    ) -> Result<String, Problem> {
        let bytes = self.whole(bytes_max, too_large).await?;
        utf8(&bytes).map(str::to_owned)
    }

    /// Reads on without a use for it, so that a client which writes before it reads gets to see the
    /// answer: closing on unread bytes would reset the connection and take the answer with it.
    ///
    /// Bounded in bytes and time: beyond, the answer is lost on those who do not listen.
    pub(crate) async fn discard(&mut self) {
        const BYTES_MAX: usize = 16 * 1024 * 1024;
        const TIME_MAX: Duration = Duration::from_secs(2);
        if self.ended || !self.is_coming {
            return;
        }
        let read = async {
            let mut bytes = 0;
            while let Ok(Some(chunk)) = self.next().await {
                bytes += chunk.len();
                if bytes > BYTES_MAX {
                    break;
                }
            }
        };
        // Whether it came to its end is the same to the answer.
        let _ = timeout(TIME_MAX, read).await;
    }

    /// Waits no longer, not even to [`discard`](Self::discard) what may still come.
    fn give_up(&mut self) -> Problem {
        self.is_coming = false;
        let seconds = self.timeout.as_secs_f32();
        let detail = format!("the body did not come within {seconds} seconds");
        Problem::new(ProblemKind::BodyTimeout, detail)
    }

    fn bytes_at_least(&self) -> u64 {
        match &self.source {
            Source::Hyper(incoming) => incoming.size_hint().lower(),
            Source::Come(body) => body.len() as u64,
            Source::Sized { bytes, .. } => *bytes,
        }
    }

    /// The whole body, if it has come already: most came with their heads, and need no timer.
    fn take_whole(&mut self) -> Option<Bytes> {
        let Source::Come(body) = &mut self.source else { return None };
        self.ended = true;
        Some(std::mem::take(body))
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        if self.ended {
            return Ok(None);
        }
        let read = match &mut self.source {
            Source::Hyper(incoming) => next_of_hyper(incoming).await,
            Source::Come(body) => Ok(Some(std::mem::take(body))),
            Source::Sized { socket, bytes } => next_of_sized(socket, bytes).await,
        };
        self.ended = match (&read, &self.source) {
            (Ok(Some(_)), Source::Hyper(incoming)) => incoming.is_end_stream(),
            (Ok(Some(_)), Source::Sized { bytes, .. }) => *bytes == 0,
            _ => true,
        };
        read.map_err(|_| {
            let detail = "the body broke off before its end";
            Problem::new(ProblemKind::BodyBroken, detail)
        })
    }
}

/// A body broke off.
struct Broken;

async fn next_of_hyper(incoming: &mut Incoming) -> Result<Option<Bytes>, Broken> {
    while let Some(frame) = incoming.frame().await {
        // Trailers mean nothing here.
        if let Ok(chunk) = frame.map_err(|_| Broken)?.into_data() {
            return Ok(Some(chunk));
        }
    }
    Ok(None)
}

async fn next_of_sized(
    socket: &mut BufferedSocket,
    bytes: &mut u64,
) -> Result<Option<Bytes>, Broken> {
    while socket.buffer.is_empty() {
        match poll_fn(|cx| socket.poll_fill(cx)).await {
            Ok(0) | Err(_) => return Err(Broken),
            Ok(_) => {}
        }
    }
    let len = usize::try_from(*bytes).unwrap_or(usize::MAX).min(socket.buffer.len());
    *bytes -= len as u64;
    Ok(Some(socket.buffer.split_to(len).freeze()))
}

/// The bytes as text, or where they stop being UTF-8.
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let detail = format!("events are text, and the body is not UTF-8 at byte {at}");
        Problem::new(ProblemKind::NotUtf8, detail).with("byte", at)
    })
}

//! Bodies of requests, bounded in time and size.

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
    /// The timeout of a chunk, or of a body that is read whole.
    timeout: Duration,
    ended: bool,
    /// Whether the client sends the body regardless of the answer.
    is_coming: bool,
}

#[derive(Debug)]
enum Source {
    /// A body that hyper reads.
    Hyper(Incoming),
    /// A body that has arrived.
    Come(Bytes),
    /// The next `bytes` bytes of an HTTP/1 connection.
    Sized { socket: BufferedSocket, bytes: u64 },
}

impl RequestBody {
    /// A body that hyper reads. `is_coming`: the client sends it regardless of the answer.
    pub(crate) fn new(incoming: Incoming, is_coming: bool, timeout: Duration) -> Self {
        let ended = incoming.is_end_stream();
        Self { source: Source::Hyper(incoming), timeout, ended, is_coming }
    }

    /// A body that has arrived whole.
    pub(crate) fn come(body: Bytes) -> Self {
        let ended = body.is_empty();
        Self { source: Source::Come(body), timeout: Duration::ZERO, ended, is_coming: true }
    }

    /// The next `bytes` bytes of a connection, not all of which have arrived.
    pub(crate) fn sized(socket: BufferedSocket, bytes: u64, timeout: Duration) -> Self {
        let source = Source::Sized { socket, bytes };
        Self { source, timeout, ended: bytes == 0, is_coming: true }
    }

    /// The connection of a [sized](Self::sized) body, and whether the body was read to its end.
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
    /// A [`Problem`] if the idle timeout passed or the body ended too early.
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
    /// Dropping the future loses the bytes that were read.
    pub async fn whole(
        &mut self,
        bytes_max: usize,
        too_large: ProblemKind,
    ) -> Result<Bytes, Problem> {
        let problem = || {
            let detail = format!("the body may have at most {bytes_max} bytes");
            Problem::new(too_large, detail).with("bytes_max", bytes_max)
        };
        // A body of known length can be refused without reading it.
        if self.bytes_at_least() > bytes_max as u64 {
            return Err(problem());
        }
        if let Some(whole) = self.take_whole() {
            return Ok(whole);
        }
        let time = self.timeout;
        let read = async {
            let first = self.next().await?.unwrap_or_default();
            // Most bodies arrive in one piece, which need not be copied.
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

    /// Reads and discards the rest, so that a client that writes before it reads sees the answer: a
    /// close with unread bytes would reset the connection, and the answer would be lost.
    ///
    /// Bounded in bytes and time: beyond that, a client that does not read loses the answer.
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
        // The answer does not depend on whether the end was reached.
        let _ = timeout(TIME_MAX, read).await;
    }

    /// Gives the body up: not even [`discard`](Self::discard) waits for the rest.
    fn give_up(&mut self) -> Problem {
        self.is_coming = false;
        let seconds = self.timeout.as_secs_f32();
        let detail = format!("the body did not arrive within {seconds} seconds");
        Problem::new(ProblemKind::BodyTimeout, detail)
    }

    fn bytes_at_least(&self) -> u64 {
        match &self.source {
            Source::Hyper(incoming) => incoming.size_hint().lower(),
            Source::Come(body) => body.len() as u64,
            Source::Sized { bytes, .. } => *bytes,
        }
    }

    /// The whole body, if it has arrived: most bodies arrive with their heads and need no timer.
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
            let detail = "the body ended too early";
            Problem::new(ProblemKind::BodyBroken, detail)
        })
    }
}

/// The error of a body that ended too early.
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

/// The bytes as text, or a problem that names the first byte that is not UTF-8.
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let detail = format!("events are text, and the body is not UTF-8 at byte {at}");
        Problem::new(ProblemKind::NotUtf8, detail).with("byte", at)
    })
}

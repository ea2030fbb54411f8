//! Bodies of requests, bounded in time and size.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use memchr::memchr2;
use tokio::time::{Instant, timeout};

use crate::budget::{Budget, Claim, OverBudget, SMALL_BYTES_MAX, Share};
use crate::http::problem::{Problem, ProblemKind};
use crate::net::connections::Activity;
use crate::net::linger;
use crate::socket::buffered::BufferedSocket;

/// The body of a request, read in a bounded time.
#[derive(Debug)]
pub struct RequestBody {
    source: Source,
    /// The timeout of a part of a streamed body, or of a body that is read whole.
    timeout: Duration,
    ended: bool,
    /// Whether the body timed out or broke off, so that its rest is not waited for.
    is_given_up: bool,
    /// When the body last made progress; `None` for one that arrived with its head.
    progress_at: Option<Instant>,
    /// The number of bytes since then.
    bytes_since: usize,
    /// The time since then in which the body was waited for.
    waited: Duration,
    /// The connection, which gives way to others while it waits for the body.
    activity: Option<Arc<Activity>>,
    /// The bytes that are held for the body; none for one that arrived with its head.
    share: Option<Share>,
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
    fn with(source: Source, ended: bool, timeout: Duration) -> Self {
        Self {
            source,
            timeout,
            ended,
            is_given_up: false,
            progress_at: None,
            bytes_since: 0,
            waited: Duration::ZERO,
            activity: None,
            share: None,
        }
    }

    /// A body that is still to come, on a connection.
    fn of(self, activity: Arc<Activity>) -> Self {
        Self { progress_at: Some(Instant::now()), activity: Some(activity), ..self }
    }

    /// Lets a body that is piped into a topic's stream be silent for ten times as long: a model thinks for
    /// minutes, and its server has nothing to send meanwhile.
    pub(crate) fn allow_silence(&mut self) {
        self.timeout = self.timeout.saturating_mul(10);
    }

    /// Counts the bytes that are held for the body in a budget.
    pub(crate) fn within(mut self, budget: &Arc<Budget>) -> Self {
        let is_small = self.bytes_at_least() <= SMALL_BYTES_MAX as u64;
        self.share = Some(budget.share(if is_small { Claim::Small } else { Claim::Large }));
        self
    }

    /// A body that hyper reads.
    pub(crate) fn new(incoming: Incoming, activity: Arc<Activity>, timeout: Duration) -> Self {
        let ended = incoming.is_end_stream();
        Self::with(Source::Hyper(incoming), ended, timeout).of(activity)
    }

    /// A body that has arrived whole.
    pub(crate) fn come(body: Bytes) -> Self {
        let ended = body.is_empty();
        Self::with(Source::Come(body), ended, Duration::ZERO)
    }

    /// The next `bytes` bytes of a connection, not all of which have arrived.
    pub(crate) fn sized(
        socket: BufferedSocket,
        bytes: u64,
        activity: Arc<Activity>,
        timeout: Duration,
    ) -> Self {
        Self::with(Source::Sized { socket, bytes }, bytes == 0, timeout).of(activity)
    }

    /// Returns whether hyper reads the request. The requests that are read here have no transfer
    /// codings.
    pub(crate) fn is_read_by_hyper(&self) -> bool {
        matches!(self.source, Source::Hyper(_))
    }

    /// Returns whether it had arrived with its head. Its connection has then advanced the hub's time for it.
    pub(crate) fn came_with_head(&self) -> bool {
        matches!(self.source, Source::Come(_))
    }

    /// The connection of a [sized](Self::sized) body, and what was not read of the body.
    pub(crate) fn into_socket(self) -> (BufferedSocket, Rest) {
        match self.source {
            _ if self.is_given_up => (self.source.into_socket(), Rest::GivenUp),
            Source::Sized { socket, bytes } => (socket, Rest::Bytes(bytes)),
            source => (source.into_socket(), Rest::Bytes(0)),
        }
    }

    /// Waits for the next chunk; `None` at the end.
    ///
    /// A streamed body must make progress within its timeout: complete a line, or bring a kibibyte.
    /// Single bytes now and then are not enough.
    ///
    /// # Errors
    ///
    /// A [`Problem`] if the body made no progress in time or ended too early.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Problem> {
        let began = Instant::now();
        let left = self.timeout.saturating_sub(self.waited);
        let Ok(chunk) = timeout(left, self.next()).await else { return Err(self.give_up()) };
        // The time that the handler takes between two chunks is not the client's.
        self.waited += began.elapsed();
        if self.bytes_since == 0 {
            self.waited = Duration::ZERO;
        }
        chunk
    }

    /// Counts bytes that have come; enough of them, or the end of a line, are progress.
    fn count(&mut self, chunk: &[u8]) {
        self.bytes_since += chunk.len();
        if self.bytes_since >= PROGRESS_BYTES_MIN || memchr2(b'\n', b'\r', chunk).is_some() {
            (self.progress_at, self.bytes_since) = (Some(Instant::now()), 0);
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
        // Nor need one be read for which there is no room now.
        let least = usize::try_from(self.bytes_at_least()).unwrap_or(usize::MAX);
        if self.share.as_ref().is_some_and(|share| !share.could_be(least)) {
            return Err(Problem::too_many_bytes());
        }
        let time = self.timeout;
        let read = async {
            let first = self.next().await?.unwrap_or_default();
            // Most bodies arrive in one piece, which need not be copied.
            if self.ended && first.len() <= bytes_max {
                self.hold(first.len())?;
                return Ok(first);
            }
            let mut whole = BytesMut::from(first);
            while whole.len() <= bytes_max {
                self.hold(whole.len())?;
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

    /// Counts the bytes that are held for this body.
    ///
    /// # Errors
    ///
    /// A [`Problem`] if there is no room for them.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), Problem> {
        let Some(share) = &mut self.share else { return Ok(()) };
        share.set(bytes).map_err(|OverBudget| Problem::too_many_bytes())
    }

    /// Reads and discards the rest, for a while.
    pub(crate) async fn discard(&mut self) {
        if self.is_given_up {
            return;
        }
        let read = async {
            let mut bytes = 0;
            while let Ok(Some(chunk)) = self.next().await {
                bytes += chunk.len() as u64;
                if bytes > linger::BYTES_MAX {
                    break;
                }
            }
        };
        // The answer does not depend on whether the end was reached.
        let _ = timeout(linger::TIME_MAX, read).await;
    }

    /// Gives the body up: its rest is not waited for.
    fn give_up(&mut self) -> Problem {
        self.is_given_up = true;
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
        let awaiting = self.activity.as_ref().zip(self.progress_at);
        let awaiting = awaiting.map(|(activity, at)| activity.await_body(at));
        let read = match &mut self.source {
            Source::Hyper(incoming) => next_of_hyper(incoming).await,
            Source::Come(body) => Ok(Some(std::mem::take(body))),
            Source::Sized { socket, bytes } => next_of_sized(socket, bytes).await,
        };
        drop(awaiting);
        if let Ok(Some(chunk)) = &read {
            self.count(chunk);
        }
        self.ended = match (&read, &self.source) {
            (Ok(Some(_)), Source::Hyper(incoming)) => incoming.is_end_stream(),
            (Ok(Some(_)), Source::Sized { bytes, .. }) => *bytes == 0,
            _ => true,
        };
        read.map_err(|_| {
            self.is_given_up = true;
            let detail = "the body ended too early";
            Problem::new(ProblemKind::BodyBroken, detail)
        })
    }
}

/// The unread rest of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// So many bytes, which its client sends.
    Bytes(u64),
    /// Bytes that are not waited for.
    GivenUp,
}

impl Source {
    fn into_socket(self) -> BufferedSocket {
        match self {
            Self::Sized { socket, .. } => socket,
            _ => BufferedSocket::default(),
        }
    }
}

/// The number of bytes without a line end that count as progress of a streamed body: a large event
/// on a slow line brings them in a second.
const PROGRESS_BYTES_MIN: usize = 1024;

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

/// The bytes without a byte order mark, which a reader of JSON may ignore (RFC 8259, section 8.1).
pub(crate) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes)
}

/// The bytes as text, or a problem that names the first byte that is not UTF-8.
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let detail = format!("events are text, and the body is not UTF-8 at byte {at}");
        Problem::new(ProblemKind::NotUtf8, detail).with("byte", at)
    })
}

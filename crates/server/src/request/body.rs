//! Bodies of requests: bounded in time and size.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Version;
use http::header::EXPECT;
use http::request::Parts;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::problem::{Problem, ProblemKind};

/// The body of a request, read in a bounded time.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Incoming,
    /// How long a chunk may take, or a body that is read whole.
    timeout: Duration,
    ended: bool,
    /// Whether the client sends the body whatever the answer may be.
    is_coming: bool,
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming, head: &Parts, timeout: Duration) -> Self {
        // HTTP/2 says that a body is no longer wanted; a client that asks first does not send it.
        let is_coming = head.version < Version::HTTP_2 && !head.headers.contains_key(EXPECT);
        let ended = incoming.is_end_stream();
        Self { incoming, timeout, ended, is_coming }
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
        if self.incoming.size_hint().lower() > bytes_max as u64 {
            return Err(problem());
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

    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        while !self.ended {
            match self.incoming.frame().await {
                Some(Ok(frame)) => {
                    // Trailers mean nothing here.
                    if let Ok(chunk) = frame.into_data() {
                        self.ended = self.incoming.is_end_stream();
                        return Ok(Some(chunk));
                    }
                }
                Some(Err(_)) => {
                    self.ended = true;
                    let detail = "the body broke off before its end";
                    return Err(Problem::new(ProblemKind::BodyBroken, detail));
                }
                None => self.ended = true,
            }
        }
        Ok(None)
    }
}

/// The bytes as text, or where they stop being UTF-8.
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let detail = format!("events are text, and the body is not UTF-8 at byte {at}");
        Problem::new(ProblemKind::NotUtf8, detail).with("byte", at)
    })
}

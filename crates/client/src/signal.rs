//! What an event source tells its owner.

use std::error::Error;
use std::fmt;
use std::io;
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tidings_proto::LimitExceeded;

use crate::credentials::CredentialsError;
use crate::event::{Event, Gap};
use crate::redirect::RedirectError;
use crate::transport::{Stage, TransportError};

/// One thing that happened to an event source, in the order in which things happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Signal {
    /// The stream is open: events may follow.
    Open(Open),
    /// An event.
    Event(Event),
    /// A comment, if they were asked for: the text after its colon, a space included.
    Comment(String),
    /// Events are missing that this reader should have had.
    Gap(Gap),
    /// The server has set another reconnection time with `retry`. It is in force from here on, and
    /// can be read from [`EventSource::reconnection_time`](crate::EventSource::reconnection_time)
    /// at any time. A `retry` that changes nothing is not reported.
    ReconnectionTime(Duration),
    /// The stream is gone, or could not be opened, and will be tried again. No error: nothing is
    /// lost as long as the server keeps what follows the last event ID.
    Retrying(Retrying),
    /// The source has stopped for good. Nothing follows, unless it is started again with
    /// [`restart`](crate::EventSource::restart) or [`reset`](crate::EventSource::reset).
    Closed(Closed),
}

/// The head of a response that opened the stream.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Open {
    /// The status, 200.
    pub status: StatusCode,
    /// The response's headers.
    pub headers: HeaderMap,
    /// The URL that answered in the end, redirects followed.
    pub url: String,
    /// What place was asked for.
    pub resumption: Resumption,
}

/// The place that a request asked to continue from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resumption {
    /// None: the stream starts where the server likes.
    Fresh,
    /// After the event with this ID.
    After(String),
    /// None, although there is one: this ID has control characters, which no header can carry.
    /// Events may be missing.
    Unsendable(String),
}

impl Resumption {
    /// Whether the server was told where to continue.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        matches!(self, Self::After(_))
    }
}

/// An announcement of another attempt.
#[derive(Debug)]
#[non_exhaustive]
pub struct Retrying {
    /// What ended the stream, or kept it from opening.
    pub cause: Cause,
    /// The number of the coming attempt since the last good stream, from 1.
    pub attempt: u32,
    /// The wait until then.
    pub delay: Duration,
}

/// What ended a stream or an attempt that may be repeated.
#[derive(Debug)]
#[non_exhaustive]
pub enum Cause {
    /// The server ended the response. Usual for a server that drains or limits the age of streams.
    Ended,
    /// The connection could not be made, or broke.
    Transport(TransportError),
    /// Not a byte came for this long, not even a comment.
    Idle(Duration),
    /// No response came within this time.
    NoResponse(Duration),
    /// The server answered with a status that passes.
    Status {
        /// The status.
        status: StatusCode,
        /// How long the server asked to be left alone.
        retry_after: Option<Duration>,
    },
    /// The caller's own function had no credentials to give.
    Credentials(CredentialsError),
    /// The response's content encoding was damaged or cut short.
    Encoding(io::Error),
}

impl Cause {
    /// Whether the server can have seen a request: if not, repeating it repeats nothing.
    pub(crate) fn may_have_reached_server(&self) -> bool {
        match self {
            Self::Transport(error) => error.stage() != Stage::Connect,
            Self::Credentials(_) => false,
            _ => true,
        }
    }

    /// Whether the connection itself is under suspicion, so that the next attempt needs another.
    pub(crate) fn is_about_the_connection(&self) -> bool {
        matches!(self, Self::Transport(_) | Self::Idle(_) | Self::NoResponse(_))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => write!(f, "the server ended the stream"),
            Self::Transport(error) => write!(f, "{error}"),
            Self::Idle(time) => write!(f, "nothing came for {time:?}"),
            Self::NoResponse(time) => write!(f, "no response within {time:?}"),
            Self::Status { status, .. } => write!(f, "the server answered {status}"),
            Self::Credentials(_) => write!(f, "there were no credentials to send"),
            Self::Encoding(_) => write!(f, "the response's content encoding is damaged"),
        }
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // `Display` shows the transport error itself, so the chain goes on below it.
            Self::Transport(error) => error.source(),
            Self::Credentials(error) => Some(error),
            Self::Encoding(error) => Some(error),
            _ => None,
        }
    }
}

/// Why an event source stopped for good.
///
/// [`is_failure`](Self::is_failure) tells the ends that somebody intended from the others.
#[derive(Debug)]
#[non_exhaustive]
pub enum Closed {
    /// The server answered 204, which means "do not come back".
    NoContent,
    /// The caller closed it.
    ByCaller,
    /// A one-shot stream came to its end: the data that [`until`](crate::Builder::until) names,
    /// or the end of the response where none was named.
    Complete,
    /// A one-shot stream broke, or ended before the data that [`until`](crate::Builder::until)
    /// names. What came until then is good, and not all of it.
    Incomplete(Cause),
    /// The server's answer opens no stream, and asking again would not change it.
    Refused(Box<RefusedResponse>),
    /// A redirect that cannot be followed.
    Redirect(RedirectError),
    /// An event is larger than the limits allow. The place before it is kept; asking again would
    /// bring the same event.
    Limit(LimitExceeded),
    /// The attempts allowed were all used.
    Exhausted {
        /// How many failed in a row.
        attempts: NonZeroU32,
        /// How the last one failed.
        last: Cause,
    },
    /// The request may have reached the server and may not be sent again: it has a body, or
    /// another method than GET, and [`resend`](crate::Builder::resend) was not called.
    NotResent(Cause),
}

impl Closed {
    /// Whether something went wrong. [`NoContent`](Self::NoContent), [`Complete`](Self::Complete)
    /// and [`ByCaller`](Self::ByCaller) are how streams are meant to end.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        !matches!(self, Self::NoContent | Self::Complete | Self::ByCaller)
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoContent => write!(f, "the server said not to come back"),
            Self::ByCaller => write!(f, "the event source was closed"),
            Self::Complete => write!(f, "the stream is complete"),
            Self::Incomplete(_) => write!(f, "the stream ended before it was complete"),
            Self::Refused(refused) => write!(f, "{refused}"),
            Self::Redirect(_) => write!(f, "a redirect could not be followed"),
            Self::Limit(_) => write!(f, "the stream exceeded a limit"),
            Self::Exhausted { attempts, .. } => write!(f, "{attempts} attempts in a row failed"),
            Self::NotResent(_) => write!(f, "the request may not be sent a second time"),
        }
    }
}

impl Error for Closed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NoContent | Self::ByCaller | Self::Complete | Self::Refused(_) => None,
            Self::Incomplete(cause) | Self::NotResent(cause) => Some(cause),
            Self::Exhausted { last, .. } => Some(last),
            Self::Redirect(error) => Some(error),
            Self::Limit(error) => Some(error),
        }
    }
}

/// A response that opens no stream.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RefusedResponse {
    /// What about the response is to blame.
    pub reason: Refusal,
    /// The status.
    pub status: StatusCode,
    /// The response's headers.
    pub headers: HeaderMap,
    /// The beginning of the response's body, at most 8 KiB: often an explanation for a person.
    /// It is never read as an event stream.
    pub body: Bytes,
}

/// What about a response keeps it from opening a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The status.
    Status,
    /// The `Content-Type` is not `text/event-stream`. Holds what it is, if there is one.
    ContentType(Option<String>),
    /// The `Content-Encoding` is none that was asked for. Holds its name.
    ContentEncoding(String),
}

impl fmt::Display for RefusedResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Refusal::Status => write!(f, "the server refused the stream with {}", self.status),
            Refusal::ContentType(Some(mime)) => {
                write!(f, "the server answered with {mime:?} instead of an event stream")
            }
            Refusal::ContentType(None) => {
                write!(f, "the server answered without a content type")
            }
            Refusal::ContentEncoding(name) => {
                write!(f, "the server used the content encoding {name:?}, which was not asked for")
            }
        }
    }
}

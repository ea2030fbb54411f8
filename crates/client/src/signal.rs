//! The signals that an event source reports to its owner.

use std::error::Error;
use std::fmt;
use std::io;
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tidings_proto::LimitExceeded;

use crate::credentials::CredentialsError;
use crate::end::End;
use crate::event::{Event, Gap};
use crate::redirect::RedirectError;
use crate::transport::{Stage, TransportError};

/// Something that happened to an event source. Signals are reported in order.
#[derive(Debug)]
#[non_exhaustive]
pub enum Signal {
    /// The stream is open: events may follow.
    Open(Open),
    /// An event.
    Event(Event),
    /// A comment, if [`Builder::comments`](crate::Builder::comments) was called: the text after its
    /// colon, including a space.
    Comment(String),
    /// This reader should have had events that the hub no longer holds.
    Gap(Gap),
    /// A stream within a topic has ended. A source of exactly this topic stops.
    End(End),
    /// The server has set another reconnection time with `retry`. It is in force from here on, and
    /// can be read from [`EventSource::reconnection_time`](crate::EventSource::reconnection_time)
    /// at any time. A `retry` that changes nothing is not reported.
    ReconnectionTime(Duration),
    /// The stream is gone, or could not be opened, and the source will try again. This is not an
    /// error: nothing is lost as long as the server keeps the events after the last event ID.
    Retrying(Retrying),
    /// The source has stopped for good. Nothing follows unless the caller starts it again with
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
    /// The URL that answered, after all redirects.
    pub url: String,
    /// The place that the request asked to continue from.
    pub resumption: Resumption,
}

/// The place that a request asked to continue from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resumption {
    /// No place: the server decides where the stream starts.
    Fresh,
    /// After the event with this ID.
    After(String),
    /// No place, although the source has one: this ID contains control characters, which a header
    /// cannot carry. Events may be missing.
    Unsendable(String),
}

impl Resumption {
    /// Returns whether the request asked to continue from a place.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        matches!(self, Self::After(_))
    }
}

/// An announcement of another attempt.
#[derive(Debug)]
#[non_exhaustive]
pub struct Retrying {
    /// The cause that ended the stream or kept it from opening.
    pub cause: Cause,
    /// The number of the coming attempt since the last good stream, from 1.
    pub attempt: u32,
    /// The wait until that attempt.
    pub delay: Duration,
}

/// The cause that ended a stream or an attempt. The attempt may be repeated.
#[derive(Debug)]
#[non_exhaustive]
pub enum Cause {
    /// The server ended the response. Servers that drain or limit the age of streams do so.
    Ended,
    /// The connection could not be made, or broke.
    Transport(TransportError),
    /// No byte arrived for this long, not even a comment.
    Idle(Duration),
    /// No response arrived within this time.
    NoResponse(Duration),
    /// The server answered with a temporary status.
    Status {
        /// The status.
        status: StatusCode,
        /// The wait that the server asked for.
        retry_after: Option<Duration>,
    },
    /// The caller's function returned no credentials.
    Credentials(CredentialsError),
    /// The response's content encoding was damaged or truncated.
    Encoding(io::Error),
}

impl Cause {
    /// Returns whether the server can have seen the request. If not, sending it again is safe.
    pub(crate) fn may_have_reached_server(&self) -> bool {
        match self {
            Self::Transport(error) => error.stage() != Stage::Connect,
            Self::Credentials(_) => false,
            _ => true,
        }
    }

    /// Returns whether the connection itself may be at fault, so that the next attempt needs
    /// another.
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
            // `Display` shows the transport error itself, so the chain continues below it.
            Self::Transport(error) => error.source(),
            Self::Credentials(error) => Some(error),
            Self::Encoding(error) => Some(error),
            _ => None,
        }
    }
}

/// The reason why an event source stopped for good.
///
/// [`is_failure`](Self::is_failure) tells failures from intended ends.
#[derive(Debug)]
#[non_exhaustive]
pub enum Closed {
    /// The server answered 204, which means "do not come back".
    NoContent,
    /// The stream of the source's topic has ended. It has been received completely, unless it was
    /// [aborted or expired](crate::StreamReason::is_failure).
    Ended(End),
    /// The caller closed it.
    ByCaller,
    /// A one-shot stream is complete: it delivered the data that [`until`](crate::Builder::until)
    /// names, or the response ended and no such data was named.
    Complete,
    /// A one-shot stream broke, or ended before the data that [`until`](crate::Builder::until)
    /// names. The events before that are good, but not complete.
    Incomplete(Cause),
    /// The response does not open a stream, and another request would not change that.
    Refused(Box<RefusedResponse>),
    /// A redirect cannot be followed.
    Redirect(RedirectError),
    /// An event is larger than the limits allow. The last event ID before it is kept; another
    /// request would bring the same event.
    Limit(LimitExceeded),
    /// All allowed attempts have failed.
    Exhausted {
        /// The number of failures in a row.
        attempts: NonZeroU32,
        /// The cause of the last failure.
        last: Cause,
    },
    /// The request may have reached the server and may not be sent again: it has a body, or
    /// another method than GET, and [`resend`](crate::Builder::resend) was not called.
    NotResent(Cause),
}

impl Closed {
    /// Returns whether something went wrong. [`NoContent`](Self::NoContent),
    /// [`Complete`](Self::Complete), [`ByCaller`](Self::ByCaller), and [`Ended`](Self::Ended) as done or
    /// stopped are intended ends.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        match self {
            Self::NoContent | Self::Complete | Self::ByCaller => false,
            Self::Ended(end) => end.reason.is_failure(),
            _ => true,
        }
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoContent => write!(f, "the server said not to come back"),
            Self::Ended(end) => write!(f, "{end}"),
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
            Self::NoContent
            | Self::Ended(_)
            | Self::ByCaller
            | Self::Complete
            | Self::Refused(_) => None,
            Self::Incomplete(cause) | Self::NotResent(cause) => Some(cause),
            Self::Exhausted { last, .. } => Some(last),
            Self::Redirect(error) => Some(error),
            Self::Limit(error) => Some(error),
        }
    }
}

/// A response that does not open a stream.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RefusedResponse {
    /// The part of the response that is at fault.
    pub reason: Refusal,
    /// The status.
    pub status: StatusCode,
    /// The response's headers.
    pub headers: HeaderMap,
    /// The beginning of the response's body, at most 8 KiB. It often explains the refusal to a
    /// person, and is never decoded as an event stream.
    pub body: Bytes,
}

/// The part of a response that keeps it from opening a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The status.
    Status,
    /// The `Content-Type` is not `text/event-stream`. Holds its value, if there is one.
    ContentType(Option<String>),
    /// The request did not accept this `Content-Encoding`. Holds its name.
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

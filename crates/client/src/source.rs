//! The event source: the thin driver that connects the lifecycle machine to a socket and a clock.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use futures_core::Stream;
use http::{Request, Uri};
use http_body::Body as _;
use serde::de::DeserializeOwned;

use crate::credentials::{Authorize, Authorizing};
use crate::event::{Event, JsonError};
use crate::lifecycle::{Attempt, Connection, Lifecycle, State};
use crate::redirect::Carried;
use crate::request_body::RequestBody;
use crate::signal::{Closed, Signal};
use crate::timer::{Sleep, judge_at};
use crate::transport::{Body, NewConnection, Sending, Stage, TransportError};
use crate::wiring::Wiring;

/// The number of chunks that one poll reads without a signal before it yields to other tasks: a
/// flood of unreported comments must not occupy the thread.
const CHUNKS_PER_POLL_MAX: u32 = 32;

/// The number of bytes that one poll decodes without a signal before it yields. A compressed chunk
/// of 64 KiB can contain gigabytes of comments.
const BYTES_PER_POLL_MAX: usize = 1 << 20;

/// The client's end of a subscription: it connects, stays connected, and keeps its place.
///
/// It is a [`Stream`] of [`Signal`]s and does everything inside its own poll. It has no task of its
/// own, so dropping it ends the connection at once. While the caller does not poll, nothing is
/// read, and TCP's backpressure reaches the server.
///
/// After [`Signal::Closed`] the stream yields `None`, until the source is started again with
/// [`restart`](Self::restart) or [`reset`](Self::reset).
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use tidings_client::{EventSource, Signal};
///
/// let mut source = EventSource::get("http://localhost:8080/topics/news").open()?;
/// while let Some(signal) = source.next().await {
///     match signal {
///         Signal::Event(event) => println!("{}: {}", event.event_type(), event.data()),
///         Signal::Retrying(retrying) => eprintln!("{}; waiting", retrying.cause),
///         Signal::Closed(closed) => eprintln!("{closed}"),
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct EventSource {
    lifecycle: Lifecycle,
    wiring: Wiring,
    body: RequestBody,
    authorize: Option<Authorize>,
    exchange: Exchange,
    /// Bytes that have arrived and are not read yet.
    chunk: Bytes,
    /// The sleep under way, and its deadline.
    sleep: Option<(Instant, Sleep)>,
    idle_clock: IdleClock,
}

/// The progress of the attempt under way.
enum Exchange {
    None,
    Authorizing(Authorizing, Box<Attempt>),
    Sending(Sending),
    Reading(Body),
}

/// Whether the time that passes is the server's silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IdleClock {
    Running,
    /// The caller has a signal to deal with, and nobody looks at the socket.
    Stopped,
}

impl EventSource {
    pub(crate) fn new(
        lifecycle: Lifecycle,
        wiring: Wiring,
        body: RequestBody,
        authorize: Option<Authorize>,
    ) -> Self {
        Self {
            lifecycle,
            wiring,
            body,
            authorize,
            exchange: Exchange::None,
            chunk: Bytes::new(),
            sleep: None,
            idle_clock: IdleClock::Stopped,
        }
    }

    /// Waits for the next signal; `None` after [`Signal::Closed`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the next call continues from the same point.
    pub async fn next(&mut self) -> Option<Signal> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Waits for the next event and skips every other signal; `None` when the stream has ended as
    /// intended.
    ///
    /// A [`Gap`](crate::Gap) is skipped too, and so is an [`End`](crate::End) after which the source goes on. If missing events matter, use [`next`](Self::next).
    ///
    /// # Errors
    ///
    /// The reason why the source stopped, if [`Closed::is_failure`] holds for it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no event.
    pub async fn next_event(&mut self) -> Result<Option<Event>, Closed> {
        loop {
            match self.next().await {
                Some(Signal::Event(event)) => return Ok(Some(event)),
                Some(Signal::Closed(closed)) if closed.is_failure() => return Err(closed),
                Some(Signal::Closed(_)) | None => return Ok(None),
                Some(_) => {}
            }
        }
    }

    /// Waits for the next event, as [`next_event`](Self::next_event) does, and deserializes its
    /// data from JSON.
    ///
    /// # Errors
    ///
    /// [`NextJsonError::Json`] if the data does not fit; the caller may go on to the next event.
    /// [`NextJsonError::Closed`] if the source stopped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no event.
    pub async fn next_json<T: DeserializeOwned>(&mut self) -> Result<Option<T>, NextJsonError> {
        match self.next_event().await {
            Ok(Some(event)) => event.json().map(Some).map_err(NextJsonError::Json),
            Ok(None) => Ok(None),
            Err(closed) => Err(NextJsonError::Closed(closed)),
        }
    }

    /// The last event ID, which the next request will send. Empty if there is none.
    ///
    /// It can be ahead of the last event received, because a server may send an ID without an
    /// event.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        self.lifecycle.last_event_id()
    }

    /// The reconnection time in force: what the server's last `retry` says, within
    /// [`Backoff::reconnection_time_max`](crate::Backoff::reconnection_time_max), or the time that
    /// the builder set.
    ///
    /// It stays readable after the stream has ended, for the source that continues it: see
    /// [`Builder::continue_from`](crate::Builder::continue_from). Each change is also reported, as
    /// [`Signal::ReconnectionTime`].
    #[must_use]
    pub fn reconnection_time(&self) -> Duration {
        self.lifecycle.reconnection_time()
    }

    /// The state of the source.
    #[must_use]
    pub fn state(&self) -> State {
        self.lifecycle.state()
    }

    /// Stops for good: drops the connection at once, and makes [`Closed::ByCaller`] the next
    /// signal. No event follows, not even one that has already arrived.
    pub fn close(&mut self) {
        self.lifecycle.close();
        self.drop_exchange();
    }

    /// Drops the connection and connects again at once, after the same last event ID, whether the
    /// source was connected, waiting or closed. Earlier failures are forgotten. No
    /// [`Signal::Retrying`] is reported, because nothing went wrong.
    ///
    /// By this call the caller allows the request to be sent again, even if it has a body.
    pub fn restart(&mut self) {
        self.lifecycle.restart();
        self.drop_exchange();
    }

    /// Like [`restart`](Self::restart), but continues after the event with the ID `last_event_id`.
    /// If the ID is empty, the server decides where the stream starts.
    pub fn reset(&mut self, last_event_id: &str) {
        self.lifecycle.reset(last_event_id);
        self.drop_exchange();
    }

    fn drop_exchange(&mut self) {
        self.exchange = Exchange::None;
        self.chunk.clear();
    }

    fn now(&self) -> Instant {
        self.wiring.timer.now()
    }

    fn begin(&mut self, attempt: Attempt) {
        self.drop_exchange();
        self.exchange = match (&self.authorize, attempt.credentials) {
            (Some(authorize), Some(occasion)) => {
                Exchange::Authorizing(authorize.run(occasion), Box::new(attempt))
            }
            _ => self.send(attempt),
        };
    }

    fn send(&self, attempt: Attempt) -> Exchange {
        let Attempt { hop, connection, .. } = attempt;
        let body = match hop.body {
            Carried::Yes => self.body.make(),
            Carried::No => Body::empty(),
        };
        let mut request = Request::new(body);
        *request.method_mut() = hop.method;
        *request.headers_mut() = hop.headers;
        if connection == Connection::New {
            request.extensions_mut().insert(NewConnection);
        }
        match Uri::try_from(hop.url.as_str()) {
            Ok(uri) => {
                *request.uri_mut() = uri;
                Exchange::Sending(self.wiring.transport.send(request))
            }
            // The URL standard allows a few characters that the URI type rejects.
            Err(error) => {
                let error = TransportError::new(Stage::Connect, error);
                Exchange::Sending(Box::pin(async move { Err(error) }))
            }
        }
    }

    /// Advances the exchange by one step.
    fn poll_exchange(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.exchange {
            Exchange::None => Poll::Pending,
            Exchange::Authorizing(authorizing, attempt) => {
                let made = ready!(authorizing.as_mut().poll(cx));
                let mut attempt = (**attempt).clone();
                match made {
                    Ok(credentials) => {
                        let (name, value) = credentials.into_parts();
                        attempt.hop.headers.insert(name, value);
                        self.exchange = self.send(attempt);
                    }
                    Err(error) => {
                        let now = self.now();
                        self.lifecycle.handle_no_credentials(error, now);
                    }
                }
                Poll::Ready(())
            }
            Exchange::Sending(sending) => {
                let result = ready!(sending.as_mut().poll(cx));
                let now = self.now();
                match result {
                    Ok(response) => {
                        let (head, body) = response.into_parts();
                        self.exchange = Exchange::Reading(body);
                        self.lifecycle.handle_response(head, now, self.wiring.timer.wall());
                    }
                    Err(error) => self.lifecycle.handle_error(error, now),
                }
                Poll::Ready(())
            }
            Exchange::Reading(_) => self.poll_body(cx),
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Exchange::Reading(body) = &mut self.exchange else { return Poll::Pending };
        let frame = Pin::new(body).poll_frame(cx);
        let now = self.now();
        match frame {
            Poll::Pending => {
                if self.idle_clock == IdleClock::Stopped {
                    self.idle_clock = IdleClock::Running;
                    self.lifecycle.handle_listening(now);
                }
                return Poll::Pending;
            }
            // Trailers carry no events.
            Poll::Ready(Some(Ok(frame))) => self.chunk = frame.into_data().unwrap_or_default(),
            Poll::Ready(Some(Err(error))) => self.lifecycle.handle_error(error, now),
            Poll::Ready(None) => {
                self.exchange = Exchange::None;
                self.lifecycle.handle_end(now);
            }
        }
        Poll::Ready(())
    }

    /// Decodes bytes that have arrived, and returns how many were decoded; `None` if there are none.
    fn read_chunk(&mut self) -> Option<usize> {
        if self.chunk.is_empty() && !self.lifecycle.has_unread() {
            return None;
        }
        let now = self.now();
        let mut input = &self.chunk[..];
        let unpacked = self.lifecycle.handle_bytes(&mut input, now);
        let read = self.chunk.len() - input.len();
        self.chunk.advance(read);
        Some(read + unpacked)
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.lifecycle.poll_timeout() else {
            self.sleep = None;
            return Poll::Pending;
        };
        if self.sleep.as_ref().is_none_or(|(armed, _)| *armed != deadline) {
            self.sleep = Some((deadline, self.sleep_until(deadline)));
        }
        if let Some((_, sleep)) = &mut self.sleep {
            ready!(sleep.as_mut().poll(cx));
        }
        self.sleep = None;
        let now = self.now().max(deadline);
        self.lifecycle.handle_timeout(now);
        Poll::Ready(())
    }

    /// A wait before an attempt ends at its deadline. Every other deadline judges the server.
    fn sleep_until(&self, deadline: Instant) -> Sleep {
        match self.lifecycle.state() {
            State::Waiting => self.wiring.timer.wake_at(deadline),
            _ => judge_at(Arc::clone(&self.wiring.timer), deadline),
        }
    }
}

impl Stream for EventSource {
    type Item = Signal;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Signal>> {
        let this = &mut *self;
        let (mut chunks, mut bytes) = (0, 0);
        loop {
            if !this.lifecycle.wants_exchange() {
                this.drop_exchange();
            }
            if let Some(signal) = this.lifecycle.poll_signal() {
                this.idle_clock = IdleClock::Stopped;
                return Poll::Ready(Some(signal));
            }
            let now = this.now();
            if let Some(attempt) = this.lifecycle.poll_attempt(now) {
                this.begin(attempt);
                continue;
            }
            if this.lifecycle.state() == State::Failed {
                this.sleep = None;
                return Poll::Ready(None);
            }
            if bytes >= BYTES_PER_POLL_MAX || chunks >= CHUNKS_PER_POLL_MAX {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let Some(decoded) = this.read_chunk() {
                bytes += decoded;
                continue;
            }
            chunks += 1;
            // Bytes before time: bytes that have arrived are not late because nobody polled.
            if this.poll_exchange(cx).is_ready() || this.poll_timer(cx).is_ready() {
                continue;
            }
            return Poll::Pending;
        }
    }
}

impl fmt::Debug for EventSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSource")
            .field("state", &self.state())
            .field("last_event_id", &self.last_event_id())
            .finish_non_exhaustive()
    }
}

/// The reason why there is no next JSON value.
#[derive(Debug)]
pub enum NextJsonError {
    /// The source stopped.
    Closed(Closed),
    /// An event's data does not fit. The caller may go on to the next event.
    Json(JsonError),
}

impl fmt::Display for NextJsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(closed) => write!(f, "{closed}"),
            Self::Json(error) => write!(f, "{error}"),
        }
    }
}

impl Error for NextJsonError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Closed(closed) => closed.source(),
            Self::Json(error) => error.source(),
        }
    }
}

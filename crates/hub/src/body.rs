//! Bodies: event streams as the body of an HTTP response.

mod source;

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use http::{Response, StatusCode};
use http_body::Frame;
use tidings_proto::{Event, encode, encode_retry};

use self::source::{OwnStream, Source};
use crate::closer::Closer;
use crate::cursor::Sequence;
use crate::history::Block;
use crate::hub::Hub;
use crate::lifetime::return_time;
use crate::on_end::{OnEnd, StreamEnd};
use crate::reader::Read;
use crate::request::StreamRequest;
use crate::shape::{GapShape, Pings, StreamShape};
use crate::stream_text::{Client, Silence, parting, stream_headers, without_id, write_preamble};
use crate::subscriber::Subscriber;
use crate::time::millis;
use crate::view::View;
use crate::watch::Due;

/// An event stream as an `http_body::Body`, and as a [`Stream`] of [`Bytes`].
///
/// It begins with a comment and the reconnection time, so that the reader's connection opens at once. It
/// sends a heartbeat comment after a silence, provided that the hub is [driven](crate::docs::driving). It
/// merges the events that are due into pieces of at most 16 KiB; a larger event is a piece of its own,
/// which all readers share. It reads only as
/// fast as it is polled: a reader that takes nothing costs nothing. The text is that of WHATWG HTML,
/// section 9.2.5; a piece always ends where a line ends.
///
/// # Cancel safety
///
/// A piece is yielded whole or not at all, so the wait for the next one can be abandoned. A body that is
/// dropped before its end means that the client has left: its hook runs with
/// [`StreamEnd::ClientClosed`].
pub struct Body {
    source: Source,
    client: Client,
    state: State,
    // Boxed, because a stream has them for a moment or not at all, and stays open.
    extras: Option<Box<Extras>>,
}

/// Parts that few streams have.
#[derive(Default)]
struct Extras {
    greeting: Option<Event>,
    /// An event that is the next piece, and its place in history.
    large: Option<(Sequence, Bytes)>,
    /// The sequence of the large event that is the latest piece, if it is one.
    last_large: Option<Sequence>,
    on_end: Option<OnEnd>,
    gap: GapShape,
    pings: Option<Pings>,
}

impl Extras {
    /// Returns whether nothing is left that the stream needs.
    fn are_over(&self) -> bool {
        let is_plain = self.gap == GapShape::default() && self.pings.is_none();
        is_plain && self.greeting.is_none() && self.large.is_none() && self.on_end.is_none()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Preamble,
    Open,
    Ended(StreamEnd),
}

/// The most bytes of merged events in one piece, so that the streams of one connection take turns: a
/// frame of HTTP/2, because a reader that takes nothing may hold as much. A larger event is not copied.
const PIECE_BYTES_MAX: usize = 16 * 1024;

/// An event that a block holds, as a piece.
struct HeldFrame {
    block: Arc<Block>,
    index: usize,
}

impl AsRef<[u8]> for HeldFrame {
    fn as_ref(&self) -> &[u8] {
        self.block.frame(self.index)
    }
}

impl Hub {
    /// Opens the event stream of a view, for a [`StreamRequest`] or from a [`Start`](crate::Start).
    ///
    /// From this call on nothing published is missed, whenever the body is first polled.
    ///
    /// ```
    /// use tidings_hub::{Hub, Start, StreamRequest, Topic};
    ///
    /// let hub = Hub::default();
    /// let request = StreamRequest::from(Start::Tail);
    /// let response = hub.stream(Topic::from_static("news"), request).into_response();
    /// assert_eq!(response.headers()["content-type"], "text/event-stream");
    /// ```
    #[must_use]
    pub fn stream(&self, view: impl Into<View>, request: impl Into<StreamRequest>) -> Body {
        let StreamRequest { start, client } = request.into();
        Body::new(self.subscribe(view, start)).for_client(client)
    }
}

impl Subscriber {
    /// The event stream of what the subscriber finds, as the body of a response.
    #[must_use]
    pub fn into_body(self) -> Body {
        Body::new(self)
    }
}

impl Body {
    /// The event stream of what a subscriber finds.
    #[must_use]
    pub fn new(subscriber: Subscriber) -> Self {
        Self::with_source(Source::Subscriber(subscriber))
    }

    /// A stream for this reader alone: any stream of events, with heartbeats. It is polled only as fast
    /// as the reader takes, and dropped with the reader. The body ends when the stream does.
    ///
    /// Its events are kept nowhere: a reader that comes back has no place in it, unless the program gives
    /// its events IDs and starts where the [`StreamRequest`] says.
    #[must_use]
    pub fn from_stream(hub: &Hub, events: impl Stream<Item = Event> + Send + 'static) -> Self {
        let watch = hub.watch();
        let (events, hub) = (Box::pin(events), hub.clone());
        Self::with_source(Source::Stream(Box::new(OwnStream { events, hub, watch })))
    }

    fn with_source(source: Source) -> Self {
        let (client, state) = (Client::default(), State::Preamble);
        Self { source, client, state, extras: None }
    }

    /// Sets the kind of client that reads the stream, [`Client::Other`] by default. An EventSource is
    /// given its place before the first event, so that a connection that breaks early loses nothing.
    #[must_use]
    pub fn for_client(mut self, client: Client) -> Self {
        self.client = client;
        self
    }

    /// Sets how the reader is told of a gap, and whether silences are broken visibly. The hub looks for
    /// silences about twice a second.
    #[must_use]
    pub fn with_shape(mut self, shape: StreamShape) -> Self {
        if shape == StreamShape::default() {
            return self;
        }
        let tenths = shape.ping_tenths();
        self.source.watch().set_ping(tenths);
        let now = self.source.hub().clock().uptime();
        let extras = self.extras.get_or_insert_default();
        extras.gap = shape.gap;
        extras.pings = (tenths > 0).then(|| Pings::new(u64::from(tenths) * 100, now));
        self
    }

    /// Sends an event before all others, to this reader alone. Its ID is left out, because the event is
    /// not in history and no reader could resume after it.
    #[must_use]
    pub fn with_greeting(mut self, greeting: Event) -> Self {
        self.extras.get_or_insert_default().greeting = Some(without_id(&greeting));
        self
    }

    /// Ends the stream after this time, as [`Hub::tick`] tells it; readers come back by themselves. Of
    /// several timeouts the shortest counts.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        let at = self.source.hub().clock().uptime() + millis(timeout);
        self.source.watch().end_at(at);
        self
    }

    /// Calls `hook` once, however the stream ends; after the hooks given before.
    ///
    /// It runs where the stream is polled or dropped, with no lock of the hub's held.
    #[must_use]
    pub fn on_end(mut self, hook: impl FnOnce(StreamEnd) + Send + 'static) -> Self {
        let extras = self.extras.get_or_insert_default();
        extras.on_end = Some(match extras.on_end.take() {
            Some(earlier) => earlier.then(hook),
            None => OnEnd::new(hook),
        });
        self
    }

    /// Closes the stream at once: nothing more is sent, and its hook runs with
    /// [`StreamEnd::Completed`].
    pub fn close(&mut self) {
        if self.stream_end().is_none() {
            self.finish(StreamEnd::Completed);
        }
    }

    /// A handle that closes the stream from elsewhere.
    #[must_use]
    pub fn closer(&self) -> Closer {
        Closer::new(Arc::clone(self.source.watch()))
    }

    /// The reason why the stream has ended, as its hook is told; `None` while it is open.
    #[must_use]
    pub fn stream_end(&self) -> Option<StreamEnd> {
        match self.state {
            State::Preamble | State::Open => None,
            State::Ended(end) => Some(end),
        }
    }

    /// The response with this body: status 200 and the headers of an event stream, including those that
    /// keep proxies from buffering and transforming it.
    ///
    /// A stream that was [closed](Hub::close) while its reader was away is answered with status 204 and
    /// an empty body, which keeps an EventSource closed (WHATWG HTML, section 9.2.3); so is a reader that comes
    /// back to a [stream of its topic](Hub::begin_stream) that has ended, after it was sent all of it. One that would begin
    /// with a gap and has the shape that [ends](GapShape::Close) then is answered with status 410.
    #[must_use]
    pub fn into_response(mut self) -> Response<Self> {
        if let Source::Subscriber(subscriber) = &mut self.source
            && (subscriber.is_closed() || subscriber.reader().is_over())
        {
            self.finish(StreamEnd::Completed);
            let mut response = Response::new(self);
            *response.status_mut() = StatusCode::NO_CONTENT;
            return response;
        }
        if self.gap_shape() == GapShape::Close
            && let Source::Subscriber(subscriber) = &mut self.source
            && subscriber.reader().has_gap()
        {
            self.finish(StreamEnd::EventsLost);
            let mut response = Response::new(self);
            *response.status_mut() = StatusCode::GONE;
            return response;
        }
        let started_after = match &mut self.source {
            Source::Subscriber(subscriber) => Some(subscriber.reader().take_started_after()),
            Source::Stream(_) => None,
        };
        let epoch = self.source.hub().epoch();
        let place = started_after.as_ref().map(|after| (epoch, after.as_deref()));
        let headers = stream_headers(place);
        let mut response = Response::new(self);
        *response.headers_mut() = headers;
        response
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.forget_last_large();
        if self.stream_end().is_some() {
            return Poll::Ready(None);
        }
        if let Some(large) = self.take_large() {
            return Poll::Ready(Some(large));
        }
        self.source.hub().clock().warn_if_idle();
        let mut out = Vec::new();
        if self.state == State::Preamble {
            self.state = State::Open;
            self.write_preamble(&mut out);
        }
        // Before reading, so that an event that is committed after the read still wakes.
        self.source.watch().register(cx.waker());
        let end = if self.source.watch().is_due(Due::Close) {
            Some(StreamEnd::Completed)
        } else {
            // Events that are there go first: after a pause of the process, all timers are overdue.
            let end = self.write_events(cx, &mut out);
            end.or_else(|| self.source.watch().is_due(Due::TimeOut).then_some(StreamEnd::TimedOut))
        };
        if end.is_none() && out.is_empty() && self.source.watch().is_due(Due::Heartbeat) {
            self.write_heartbeat(&mut out);
        }
        if let Some(end) = end {
            if end == StreamEnd::Drained {
                let reconnection_time = self.source.hub().config().reconnection_time;
                encode_retry(return_time(reconnection_time), &mut out);
            }
            if end == StreamEnd::Completed && matches!(self.source, Source::Subscriber(_)) {
                out.extend_from_slice(parting(self.client).unwrap_or_default());
            }
            self.finish(end);
        }
        if out.is_empty()
            && let Some(large) = self.take_large()
        {
            self.source.watch().sent(self.source.hub().clock().uptime());
            return Poll::Ready(Some(large));
        }
        if out.is_empty() {
            return if end.is_some() { Poll::Ready(None) } else { Poll::Pending };
        }
        self.source.watch().sent(self.source.hub().clock().uptime());
        Poll::Ready(Some(out.into()))
    }

    /// Writes the events that are due; returns the end if the stream has come to it.
    fn write_events(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Option<StreamEnd> {
        let (mut delivered, mut large, gap_shape) = (0, None, self.gap_shape());
        let end = loop {
            match &mut self.source {
                Source::Subscriber(subscriber) => {
                    let is_of_one = subscriber.is_of_one();
                    let visit = |block: &Arc<Block>, index: usize| {
                        delivered += 1;
                        if is_of_one && let Some(end) = block.end_for_one(index) {
                            return out.extend_from_slice(&end);
                        }
                        let frame = block.frame(index);
                        if frame.len() < PIECE_BYTES_MAX {
                            out.extend_from_slice(frame);
                        } else {
                            large = Some(HeldFrame { block: Arc::clone(block), index });
                        }
                    };
                    match subscriber.read(PIECE_BYTES_MAX, visit) {
                        // It is read alone, and whatever comes after it is found by the next poll.
                        _ if large.is_some() => break None,
                        Read::Gap(_) if gap_shape == GapShape::Close => {
                            break Some(StreamEnd::EventsLost);
                        }
                        Read::Gap(gap) => gap.write(out),
                        Read::Closed => break Some(StreamEnd::Completed),
                        Read::Tail | Read::Waiting if subscriber.watch().is_due(Due::Drain) => {
                            break Some(StreamEnd::Drained);
                        }
                        Read::Tail | Read::Waiting => break None,
                        Read::Full => {
                            // A long walk without a match: go on, but let other tasks run in between.
                            if out.is_empty() {
                                cx.waker().wake_by_ref();
                            }
                            break None;
                        }
                    }
                }
                Source::Stream(own) => {
                    if out.len() >= PIECE_BYTES_MAX {
                        break None;
                    }
                    match own.events.as_mut().poll_next(cx) {
                        Poll::Ready(Some(event)) => encode(&event, out),
                        Poll::Ready(None) => break Some(StreamEnd::Completed),
                        Poll::Pending if own.watch.is_due(Due::Drain) => {
                            break Some(StreamEnd::Drained);
                        }
                        Poll::Pending => break None,
                    }
                }
            }
        };
        if let Some(large) = large {
            let event = large.block.sequence(large.index);
            self.extras.get_or_insert_default().large = Some((event, Bytes::from_owner(large)));
        }
        self.source.hub().count_delivered(delivered);
        end
    }

    #[cfg(feature = "engine")]
    pub(crate) fn last_large(&self) -> Option<Sequence> {
        self.extras.as_ref()?.last_large
    }

    fn forget_last_large(&mut self) {
        if let Some(extras) = &mut self.extras
            && extras.last_large.take().is_some()
            && extras.are_over()
        {
            self.extras = None;
        }
    }

    fn take_large(&mut self) -> Option<Bytes> {
        let extras = self.extras.as_mut()?;
        let (event, large) = extras.large.take()?;
        extras.last_large = Some(event);
        Some(large)
    }

    fn write_preamble(&mut self, out: &mut Vec<u8>) {
        let reconnection_time = self.source.hub().config().reconnection_time;
        write_preamble(reconnection_time, out);
        let gap = self.gap_shape();
        if let Source::Subscriber(subscriber) = &mut self.source {
            subscriber.reader().write_start(self.client, gap, out);
        }
        if let Some(extras) = &mut self.extras {
            if let Some(greeting) = extras.greeting.take() {
                encode(&greeting, out);
            }
            if extras.are_over() {
                self.extras = None;
            }
        }
    }

    fn gap_shape(&self) -> GapShape {
        self.extras.as_ref().map_or_else(GapShape::default, |extras| extras.gap)
    }

    fn write_heartbeat(&mut self, out: &mut Vec<u8>) {
        let (clock, sent_at) = (self.source.hub().clock(), self.source.watch().sent_at());
        let pings = self.extras.as_mut().and_then(|extras| extras.pings.as_mut());
        let (now, heartbeat) = (clock.uptime(), clock.heartbeat());
        let is_ping = pings.is_some_and(|pings| pings.is_due(now, heartbeat, sent_at));
        let silence = if is_ping { Silence::Ping } else { Silence::Comment };
        match &mut self.source {
            Source::Subscriber(subscriber) => {
                subscriber.reader().write_heartbeat(self.client, silence, out);
            }
            Source::Stream(_) => out.extend_from_slice(silence.text()),
        }
    }

    fn finish(&mut self, end: StreamEnd) {
        self.state = State::Ended(end);
        if let Some(on_end) = self.extras.take().and_then(|extras| extras.on_end) {
            on_end.run(end);
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.poll_piece(cx).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.stream_end().is_some()
    }
}

impl Stream for Body {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.poll_piece(cx)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if self.stream_end().is_none() {
            self.finish(StreamEnd::ClientClosed);
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("client", &self.client).finish_non_exhaustive()
    }
}

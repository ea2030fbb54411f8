//! HTTP/1 for plain requests: nearly all that publish and subscribe, thousands per second.
//!
//! ```text
//! wait for a head ─▶ parse ─▶ Router::handle ─▶ encode the answer
//!        ▲             │            │               │
//!        │             │            └─▶ a stream: it leaves with the connection, see `takeover`
//!        │             └─▶ not plain, or wrong: hyper has the connection from here on
//!        └── send what was answered, once no whole request is left
//! ```
//!
//! Heads are parsed by `httparse`, as hyper does. Requests that are not plain are left unread for
//! hyper, and so are malformed ones, so that their answers are decided in one place.

mod connection_turn;
mod encode;
mod head;
mod patience;
#[cfg(test)]
mod tests;

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::{Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use http::header::CONNECTION;
use http::{Method, Response, Version};
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use self::connection_turn::ConnectionTurn;
use self::encode::{After, Exchange};
use self::head::{Head, NotPlain};
use self::patience::Patience;
use crate::engine::Framing;
use crate::http::pieces::AnswerPieces;
use crate::http::request::{Caller, RequestBody, Rest};
use crate::http::respond::{Handled, OpenedStream};
use crate::net::connections::{Answering, ConnectionPermit};
use crate::net::handshake::TLS_HANDSHAKE;
use crate::net::linger::{self, linger};
use crate::phase::closing;
use crate::router::Router;
use crate::socket::buffered::BufferedSocket;
use crate::socket::transport::Transport;
use crate::turn::Turn;

/// The maximum number of bytes of answers that are collected before they are sent.
const UNSENT_BYTES_MAX: usize = 16 * 1024;

/// The maximum number of bytes of a refused body that are awaited to keep its connection: as many as
/// arrive soon. The rest of a longer body ends its connection.
const REST_BYTES_MAX: u64 = 64 * 1024;

/// The answer to TLS. No client of TLS reads it, but the people who look for the mistake do.
const NO_TLS: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n\
    this port speaks HTTP without TLS: use http://, or configure a certificate ([tls])\n";

/// A connection that this module leaves to hyper.
#[derive(Debug)]
pub(crate) struct Unread {
    pub(crate) socket: Transport,
    /// The bytes that were read from it and not used.
    pub(crate) first: Vec<u8>,
}

/// A stream that leaves with its connection, which carries nothing else from here on.
#[derive(Debug)]
pub(crate) struct Leaving<S> {
    /// The connection, with the head of the response among the bytes to send.
    pub(crate) socket: BufferedSocket,
    pub(crate) stream: S,
    pub(crate) framing: Framing,
}

/// The rest of a connection that this module has served.
#[derive(Debug)]
pub(crate) enum Left<S> {
    /// The connection has ended.
    Nothing,
    Unread(Unread),
    Stream(Leaving<S>),
}

/// Serves plain requests until the connection ends, or until it brings a stream or a request that is
/// not plain.
///
/// # Cancel safety
///
/// Dropping the future closes the connection.
pub(crate) async fn serve<S: OpenedStream>(
    socket: BufferedSocket,
    caller: Caller,
    router: &Router,
    permit: &ConnectionPermit,
) -> Left<S> {
    let mut connection = PlainConnection { router, permit, caller, socket, head: Head::new() };
    let left = match connection.serve().await {
        Ok(End::Closed) => {
            if connection.socket.is_tls() {
                // Without the end of TLS, an answer that ends with its connection looks cut.
                let _ = timeout(linger::TIME_MAX, connection.socket.shutdown()).await;
            }
            Ok(Left::Nothing)
        }
        Ok(End::NotPlain) => {
            let unread = |(socket, first): (_, BytesMut)| Unread { socket, first: first.into() };
            connection.socket.into_waiting().map(|left| Left::Unread(unread(left)))
        }
        Ok(End::Lingering) => {
            if let Ok((socket, _)) = connection.socket.into_waiting() {
                linger(socket).await;
            }
            Ok(Left::Nothing)
        }
        Ok(End::Stream(stream)) => Ok(Left::Stream(connection.leave(stream))),
        Err(error) => Err(error),
    };
    left.unwrap_or_else(|error| {
        debug!(error = &error as &dyn std::error::Error, "connection failed");
        Left::Nothing
    })
}

struct PlainConnection<'a> {
    router: &'a Router,
    permit: &'a ConnectionPermit,
    caller: Caller,
    socket: BufferedSocket,
    /// The head of the current or the latest request.
    head: Head,
}

/// The reason why the loop over requests ends.
enum End<S> {
    Closed,
    /// Its client may still be sending.
    Lingering,
    NotPlain,
    Stream(S),
}

/// The step that follows a request.
enum Next<S> {
    Request,
    Close,
    Linger,
    Stream(S),
}

impl PlainConnection<'_> {
    async fn serve<S: OpenedStream>(&mut self) -> io::Result<End<S>> {
        let config = &self.router.context.config;
        let mut phases = self.router.context.phases();
        // Before the first look at the phase, so that no change is missed.
        let changes = phases.clone();
        let closing = pin!(closing(&mut phases));
        let timer = pin!(sleep(config.head_timeout));
        let mut patience = Patience::new((closing, changes), timer, config.head_timeout);
        let mut turn = ConnectionTurn::default();
        let mut answering: Option<Answering> = None;
        loop {
            if !self.permit.has_left() && self.socket.buffer.first() == Some(&TLS_HANDSHAKE) {
                debug!("TLS on a port without TLS");
                self.socket.unsent.extend_from_slice(NO_TLS.as_bytes());
                self.send().await?;
                return Ok(End::Lingering);
            }
            match self.head.read(&mut self.socket.buffer, config.head_bytes_max) {
                Ok(false) => {
                    {
                        let mut sending = pin!(self.send());
                        poll_fn(|cx| turn.poll(sending.as_mut(), cx)).await?;
                    }
                    // The clock is read once for all requests that had come.
                    if let Some(answering) = answering.take() {
                        let now = Instant::now();
                        answering.end(now);
                        patience.begin(now);
                    }
                    let came = poll_fn(|cx| match self.socket.poll_fill(cx) {
                        Poll::Pending => {
                            turn.end();
                            patience.poll_over(self.permit, cx).map(|()| Ok(0))
                        }
                        // Bytes that have arrived count even if the wait is over.
                        came => came,
                    });
                    if came.await? == 0 {
                        return Ok(End::Closed);
                    }
                }
                Err(NotPlain) => {
                    self.send().await?;
                    return Ok(End::NotPlain);
                }
                Ok(true) => {
                    self.permit.leave();
                    if answering.is_none() {
                        answering = Some(self.permit.answer());
                    }
                    if self.head.parts.method == Method::POST && turn.needs_date() {
                        self.router.context.tick();
                    }
                    let next = {
                        let mut exchange = pin!(self.exchange());
                        poll_fn(|cx| turn.poll(exchange.as_mut(), cx)).await?
                    };
                    match next {
                        Next::Request => {}
                        Next::Stream(stream) => return Ok(End::Stream(stream)),
                        Next::Close => {
                            self.send().await?;
                            return Ok(End::Closed);
                        }
                        Next::Linger => {
                            self.send().await?;
                            return Ok(End::Lingering);
                        }
                    }
                    turn.count(self.head.body_bytes).await;
                }
            }
        }
    }

    /// Answers one request.
    async fn exchange<S: OpenedStream>(&mut self) -> io::Result<Next<S>> {
        let body_bytes = self.head.body_bytes;
        let has_come = usize::try_from(body_bytes).is_ok_and(|n| n <= self.socket.buffer.len());
        let mut rest = Rest::Bytes(0);
        let handled = if has_come {
            let body = self.socket.buffer.split_to(body_bytes as usize).freeze();
            self.handle(body).await?
        } else {
            let handled;
            (handled, rest) = self.handle_as_it_comes().await?;
            handled
        };
        let is_last = self.head.is_last()
            || !matches!(rest, Rest::Bytes(..=REST_BYTES_MAX))
            || self.router.context.is_closing();
        let mut after = if is_last { After::Close } else { After::Keep };
        match handled {
            Handled::Whole(whole) => {
                if whole.headers.as_ref().is_some_and(|own| own.contains_key(CONNECTION)) {
                    after = After::Said;
                }
                let now = self.router.context.hub.time();
                let exchange = Exchange { request: &self.head.parts, after, now };
                encode::response(&exchange, &whole, &mut self.socket.unsent);
                if self.socket.unsent.len() > UNSENT_BYTES_MAX {
                    self.send().await?;
                }
            }
            Handled::Pieces(response) => {
                let is_sized = response.body().exact_len().is_some();
                if !is_sized && self.head.parts.version == Version::HTTP_10 {
                    // The end of the connection is the end of the body.
                    after = After::Close;
                }
                self.send_pieces(*response, after).await?;
            }
            Handled::Stream(stream) => return Ok(Next::Stream(stream)),
        }
        match rest {
            Rest::Bytes(0) | Rest::GivenUp if after == After::Keep => Ok(Next::Request),
            Rest::Bytes(0) | Rest::GivenUp => Ok(Next::Close),
            Rest::Bytes(_) if after != After::Keep => Ok(Next::Linger),
            Rest::Bytes(bytes) => {
                self.send().await?;
                Ok(if self.discard(bytes).await? { Next::Request } else { Next::Close })
            }
        }
    }

    /// Sends a response whose body is written piece by piece: each when the client has taken the one
    /// before.
    async fn send_pieces(
        &mut self,
        response: Response<AnswerPieces>,
        after: After,
    ) -> io::Result<()> {
        let now = self.router.context.hub.time();
        let exchange = Exchange { request: &self.head.parts, after, now };
        let framing = encode::head_of_pieces(&exchange, &response, &mut self.socket.unsent);
        let mut pieces = response.into_body();
        let mut turn = Turn::default();
        // A piece counts in the budget until it is dropped.
        while let Some(piece) = poll_fn(|cx| pieces.poll_next(cx)).await {
            framing.frame(&piece, &mut self.socket.unsent);
            self.send().await?;
            turn.spend(piece.len()).await;
        }
        self.socket.unsent.extend_from_slice(framing.end());
        Ok(())
    }

    /// Discards the rest of an answered request's body; returns whether all of it came.
    async fn discard(&mut self, mut bytes: u64) -> io::Result<bool> {
        let read = async {
            loop {
                let come = self.socket.buffer.len();
                let discarded = usize::try_from(bytes).unwrap_or(usize::MAX).min(come);
                self.socket.buffer.advance(discarded);
                bytes -= discarded as u64;
                if bytes == 0 {
                    return Ok(true);
                }
                if poll_fn(|cx| self.socket.poll_fill(cx)).await? == 0 {
                    return Ok(false);
                }
            }
        };
        timeout(linger::TIME_MAX, read).await.unwrap_or(Ok(false))
    }

    /// Handles a request whose body has arrived.
    async fn handle<S: OpenedStream>(&mut self, body: Bytes) -> io::Result<Handled<S>> {
        let is_read_only = body.is_empty();
        let mut body = RequestBody::come(body);
        let mut handling = pin!(self.router.handle(self.head.said(), &mut body, &self.caller));
        let socket = &mut self.socket;
        poll_fn(|cx| {
            if let Poll::Ready(handled) = handling.as_mut().poll(cx) {
                return Poll::Ready(Ok(handled));
            }
            // Earlier answers are sent without waiting for this one.
            if let Poll::Ready(Err(error)) = socket.poll_send(cx) {
                return Poll::Ready(Err(error));
            }
            if is_read_only {
                ready!(socket.poll_hung_up(cx));
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            // A publish is completed even if its publisher hangs up.
            Poll::Pending
        })
        .await
    }

    /// Handles a request whose body has not arrived completely; also returns what was not read of
    /// it.
    async fn handle_as_it_comes<S: OpenedStream>(&mut self) -> io::Result<(Handled<S>, Rest)> {
        // Earlier answers are sent without waiting for this one.
        self.send().await?;
        let socket = std::mem::take(&mut self.socket);
        let permit = self.permit;
        let activity = permit.activity();
        let mut body = RequestBody::sized(
            socket,
            self.head.body_bytes,
            activity.clone(),
            self.router.context.config.body_timeout,
        )
        .within(self.router.context.control.bodies());
        let handled = {
            let mut handling = pin!(self.router.handle(self.head.said(), &mut body, &self.caller));
            poll_fn(|cx| match handling.as_mut().poll(cx) {
                Poll::Ready(handled) => Poll::Ready(Ok(handled)),
                // The connection gives way while it waits for the body.
                Poll::Pending => activity
                    .poll_cut(cx)
                    .map(|()| Err(io::Error::from(io::ErrorKind::ConnectionAborted))),
            })
            .await?
        };
        if matches!(handled, Handled::Stream(_)) {
            // The socket of a stream is handed over at once, without the bytes of a body.
            body.discard().await;
        }
        let rest;
        (self.socket, rest) = body.into_socket();
        Ok((handled, rest))
    }

    /// Sends the collected answers. A client that takes none of them for too long is closed, as a
    /// reader of a stream would be.
    async fn send(&mut self) -> io::Result<()> {
        let stall_timeout = self.router.context.config.stall_timeout;
        loop {
            let before = self.socket.unsent_bytes();
            let mut first = true;
            // Most are taken at once, and then there is no timer.
            let sent = poll_fn(|cx| match self.socket.poll_send(cx) {
                Poll::Pending if std::mem::take(&mut first) => Poll::Ready(None),
                polled => polled.map(Some),
            });
            if let Some(sent) = sent.await {
                return sent;
            }
            let progress = poll_fn(|cx| match self.socket.poll_send(cx) {
                Poll::Pending if self.socket.unsent_bytes() < before => Poll::Ready(Ok(())),
                polled => polled,
            });
            match timeout(stall_timeout, progress).await {
                Ok(sent) => sent?,
                Err(_) => {
                    self.router.context.stalls.count_answer();
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
        }
    }

    /// Ends the requests with a stream, whose head is encoded.
    fn leave<S: OpenedStream>(self, mut stream: S) -> Leaving<S> {
        let Self { router, mut socket, head, .. } = self;
        let framing = Framing::of(head.parts.version);
        encode::stream_head(framing, &mut stream, &router.context.hub, &mut socket.unsent);
        Leaving { socket, stream, framing }
    }
}

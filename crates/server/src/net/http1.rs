//! HTTP/1 for plain requests: nearly all that publish and subscribe, thousands per second.
//!
//! ```text
//! wait for a head ─▶ parse ─▶ Router::handle ─▶ encode the answer
//!        ▲             │            │               │
//!        │             │            └─▶ a stream: a shard has the socket from here on
//!        │             └─▶ not plain, or wrong: hyper has the connection from here on
//!        └── send what was answered, once no whole request is left
//! ```
//!
//! Heads are parsed by `httparse`, as hyper does. Requests that are not plain are left unread for
//! hyper, and so are malformed ones, so that their answers are decided in one place.

mod encode;
mod head;
mod patience;

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Poll, ready};

use bytes::Bytes;
use http::header::CONNECTION;
use mio::net::TcpStream as BareStream;
use tokio::net::TcpStream;
use tokio::time::sleep;
use tracing::debug;

use self::encode::After;
use self::head::{Head, NotPlain};
use self::patience::Patience;
use crate::http::request::{Caller, RequestBody};
use crate::http::respond::{Handled, ShardStream};
use crate::net::connections::ConnectionPermit;
use crate::net::takeover::take_over;
use crate::phase::{Phase, closing};
use crate::router::Router;
use crate::socket::buffered::BufferedSocket;

/// The maximum number of bytes of answers that are collected before they are sent.
const UNSENT_BYTES_MAX: usize = 16 * 1024;

/// A connection that this module leaves to hyper.
#[derive(Debug)]
pub(crate) struct Unread {
    pub(crate) socket: TcpStream,
    /// The bytes that were read from it and not used.
    pub(crate) first: Vec<u8>,
}

/// Serves plain requests until the connection ends or a shard has it (`None`), or until it brings a
/// request that is not plain.
///
/// # Cancel safety
///
/// Dropping the future closes the connection.
pub(crate) async fn serve(
    socket: BareStream,
    peer: SocketAddr,
    router: &Router,
    permit: &ConnectionPermit,
) -> Option<Unread> {
    let mut connection = PlainConnection {
        router,
        permit,
        caller: Caller::new(peer),
        socket: BufferedSocket::new(socket),
        head: Head::new(),
    };
    let left = match connection.serve().await {
        Ok(End::Closed) => Ok(None),
        Ok(End::NotPlain) => connection.socket.into_waiting().map(Some),
        Ok(End::Stream(stream)) => connection.hand_over(*stream).map(|()| None),
        Err(error) => Err(error),
    };
    match left {
        Ok(left) => left.map(|(socket, first)| Unread { socket, first: first.into() }),
        Err(error) => {
            debug!(error = &error as &dyn std::error::Error, "connection failed");
            None
        }
    }
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
enum End {
    Closed,
    NotPlain,
    Stream(Box<ShardStream>),
}

/// The step that follows a request.
enum Next {
    Request,
    Close,
    Stream(Box<ShardStream>),
}

impl PlainConnection<'_> {
    async fn serve(&mut self) -> io::Result<End> {
        let config = &self.router.context.config;
        let mut phases = self.router.context.phases();
        let closing = pin!(closing(&mut phases));
        let (cut, timer) = (pin!(self.permit.cut()), pin!(sleep(config.head_timeout)));
        let mut patience = Patience::new(closing, cut, timer, config.head_timeout);
        loop {
            match self.head.read(&mut self.socket.buffer, config.head_bytes_max) {
                Ok(false) => {
                    self.send().await?;
                    let came = poll_fn(|cx| match self.socket.poll_fill(cx) {
                        Poll::Pending => patience.poll_over(self.permit, cx).map(|()| Ok(0)),
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
                    match self.exchange().await? {
                        Next::Request => patience.begin(),
                        Next::Stream(stream) => return Ok(End::Stream(stream)),
                        Next::Close => {
                            self.send().await?;
                            return Ok(End::Closed);
                        }
                    }
                }
            }
        }
    }

    /// Answers one request.
    async fn exchange(&mut self) -> io::Result<Next> {
        let body_bytes = self.head.body_bytes;
        let has_come = usize::try_from(body_bytes).is_ok_and(|n| n <= self.socket.buffer.len());
        let (handled, is_whole) = if has_come {
            let body = self.socket.buffer.split_to(body_bytes as usize).freeze();
            (self.handle(body).await?, true)
        } else {
            self.handle_as_it_comes().await?
        };
        let whole = match handled {
            Handled::Whole(whole) => whole,
            Handled::Stream(stream) => return Ok(Next::Stream(stream)),
        };
        let after = if whole.response.headers().contains_key(CONNECTION) {
            After::Said
        } else if self.head.is_last() || !is_whole || self.router.context.phase() == Phase::Closing
        {
            After::Close
        } else {
            After::Keep
        };
        encode::response(&self.head.parts, &whole, after, &mut self.socket.unsent);
        if self.socket.unsent.len() > UNSENT_BYTES_MAX {
            self.send().await?;
        }
        Ok(if after == After::Keep { Next::Request } else { Next::Close })
    }

    /// Handles a request whose body has arrived.
    async fn handle(&mut self, body: Bytes) -> io::Result<Handled<Box<ShardStream>>> {
        let is_read_only = body.is_empty();
        let mut body = RequestBody::come(body);
        let mut handling = pin!(self.router.handle(&self.head.parts, &mut body, &self.caller));
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

    /// Handles a request whose body has not arrived completely; also returns whether it was read to
    /// its end.
    async fn handle_as_it_comes(&mut self) -> io::Result<(Handled<Box<ShardStream>>, bool)> {
        // Earlier answers are sent without waiting for this one.
        self.send().await?;
        let socket = std::mem::take(&mut self.socket);
        let mut body = RequestBody::sized(
            socket,
            self.head.body_bytes,
            self.router.context.config.body_timeout,
        );
        let handled = self.router.handle(&self.head.parts, &mut body, &self.caller).await;
        let (socket, is_whole) = body.into_socket();
        self.socket = socket;
        Ok((handled, is_whole))
    }

    /// Sends the collected answers.
    async fn send(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.socket.poll_send(cx)).await
    }

    /// Hands the socket to the shard that writes the stream.
    fn hand_over(mut self, stream: ShardStream) -> io::Result<()> {
        let mut unsent = self.socket.take_unsent();
        encode::stream_head(&stream, &mut unsent);
        let read_past = self.socket.buffer.len();
        take_over(&self.router.context, self.socket.into_bare()?, unsent, read_past, stream)
    }
}

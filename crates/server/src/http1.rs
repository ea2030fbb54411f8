//! HTTP/1 for plain requests: those that publish and subscribe, thousands a second.
//!
//! ```text
//! wait for a head ─▶ parse ─▶ App::handle ─▶ encode the answer
//!        ▲             │            │               │
//!        │             │            └─▶ a stream: a shard has the socket from here on
//!        │             └─▶ not plain, or wrong: hyper has the connection from here on
//!        └── send what was answered, once no whole request is left
//! ```
//!
//! Heads are parsed by `httparse`, as hyper's are. Whatever is not plain is left unread for hyper, and so is
//! whatever is wrong: what malformed requests are answered is decided in one place, and not here.

mod encode;
mod head;
mod patience;
mod wire;

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Poll, ready};

use http::HeaderMap;
use http::header::CONNECTION;
use tokio::net::TcpStream;
use tokio::time::sleep;
use tracing::debug;

use self::encode::{After, Encoder};
use self::head::{NotPlain, Plain};
use self::patience::Patience;
pub(crate) use self::wire::Inbound;
use self::wire::Outbound;
use crate::answer::{Handled, Opened, Via, Writer};
use crate::app::App;
use crate::heads::Seat;
use crate::phase::{Phase, closing};
use crate::request::RequestBody;
use crate::takeover::take_over;

/// Bytes of answers collected at most before they are sent.
const UNSENT_BYTES_MAX: usize = 16 * 1024;

/// What a connection brought that this module leaves to others.
#[derive(Debug)]
pub(crate) struct Unread {
    pub(crate) socket: TcpStream,
    /// What was read from it and not used.
    pub(crate) first: Vec<u8>,
}

/// Serves plain requests until the connection ends or a shard has it; `None`, unless it brings
/// something that is not plain.
///
/// # Cancel safety
///
/// Dropping the future closes the connection.
pub(crate) async fn serve(
    socket: TcpStream,
    peer: SocketAddr,
    app: &App,
    seat: &Seat,
) -> Option<Unread> {
    let (inbound, outbound) = wire::split(socket);
    let mut connection = Connection {
        app,
        seat,
        via: Via { peer, writer: Writer::Shard },
        outbound,
        encoder: Encoder::default(),
        headers: HeaderMap::new(),
    };
    match connection.serve(inbound).await {
        Ok(End::Closed) => None,
        Ok(End::NotPlain(inbound)) => {
            let (socket, first) = wire::join(inbound, connection.outbound)?;
            Some(Unread { socket, first: first.into() })
        }
        Ok(End::Stream(inbound, opened)) => {
            connection.hand_over(inbound, *opened);
            None
        }
        Err(error) => {
            debug!(error = &error as &dyn std::error::Error, "connection failed");
            None
        }
    }
}

struct Connection<'a> {
    app: &'a App,
    seat: &'a Seat,
    via: Via,
    outbound: Outbound,
    encoder: Encoder,
    /// Memory for the headers of the next request.
    headers: HeaderMap,
}

/// Why the loop over requests is left.
enum End {
    Closed,
    NotPlain(Inbound),
    Stream(Inbound, Box<Opened>),
}

/// What follows a request.
enum Next {
    Request(Inbound),
    Close,
    Stream(Inbound, Box<Opened>),
}

impl Connection<'_> {
    async fn serve(&mut self, mut inbound: Inbound) -> io::Result<End> {
        let config = &self.app.config;
        let mut phases = self.app.phases();
        let closing = pin!(closing(&mut phases));
        let (cut, timer) = (pin!(self.seat.cut()), pin!(sleep(config.head_timeout)));
        let mut patience = Patience::new(closing, cut, timer, config.head_timeout);
        loop {
            match head::parse(&mut inbound.buffer, &mut self.headers, config.head_bytes_max) {
                Ok(None) => {
                    self.send().await?;
                    let came = poll_fn(|cx| match inbound.poll_fill(cx) {
                        Poll::Pending => patience.poll_over(self.seat, cx).map(|()| Ok(0)),
                        // What has come counts, whatever else is the case.
                        came => came,
                    });
                    if came.await? == 0 {
                        return Ok(End::Closed);
                    }
                }
                Err(NotPlain) => {
                    self.send().await?;
                    return Ok(End::NotPlain(inbound));
                }
                Ok(Some(plain)) => {
                    self.seat.leave();
                    match self.exchange(inbound, plain).await? {
                        Next::Request(still) => {
                            inbound = still;
                            patience.begin();
                        }
                        Next::Stream(inbound, opened) => return Ok(End::Stream(inbound, opened)),
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
    async fn exchange(&mut self, inbound: Inbound, plain: Plain) -> io::Result<Next> {
        let Plain { head, body_bytes, is_last } = plain;
        let mut body = RequestBody::sized(inbound, body_bytes, self.app.config.body_timeout);
        let handled = {
            let mut handling = pin!(self.app.handle(&head, &mut body, self.via));
            let outbound = &mut self.outbound;
            poll_fn(|cx| {
                if let Poll::Ready(handled) = handling.as_mut().poll(cx) {
                    return Poll::Ready(Ok(handled));
                }
                // What was answered before does not wait for this.
                if let Poll::Ready(Err(error)) = outbound.poll_send(cx) {
                    return Poll::Ready(Err(error));
                }
                if body_bytes > 0 {
                    // Published is published, whether or not its publisher waits to hear of it.
                    return Poll::Pending;
                }
                ready!(outbound.poll_hung_up(cx));
                Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()))
            })
            .await?
        };
        let Some((inbound, is_whole)) = body.into_inbound() else { return Ok(Next::Close) };
        let whole = match handled {
            Handled::Whole(whole) => whole,
            Handled::Stream(opened) => return Ok(Next::Stream(inbound, opened)),
            // Not asked for: shards write the streams of this module.
            Handled::Body(_) => return Ok(Next::Close),
        };
        let after = if whole.response.headers().contains_key(CONNECTION) {
            After::Said
        } else if is_last || !is_whole || self.app.phase() == Phase::Closing {
            After::Close
        } else {
            After::Keep
        };
        self.encoder.response(&head, &whole, after, &mut self.outbound.unsent);
        self.headers = head.headers;
        self.headers.clear();
        if self.outbound.unsent.len() > UNSENT_BYTES_MAX {
            self.send().await?;
        }
        Ok(if after == After::Keep { Next::Request(inbound) } else { Next::Close })
    }

    /// Sends what was answered.
    async fn send(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.outbound.poll_send(cx)).await
    }

    /// Hands the socket to the shard that is to write the stream.
    fn hand_over(mut self, inbound: Inbound, opened: Opened) {
        let mut unsent = std::mem::take(&mut self.outbound.unsent);
        self.encoder.stream_head(&opened, &mut unsent);
        if let Some((socket, read_past)) = wire::join(inbound, self.outbound) {
            take_over(self.app, socket, unsent, read_past.len(), opened);
        }
    }
}

//! The two directions of a connection.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// Bytes read at first: most requests whole, so that one look at the socket is enough.
const READ_BYTES_MIN: usize = 1024;
/// Bytes read at a time at most.
const READ_BYTES_MAX: usize = 64 * 1024;
/// Room that is kept while nothing is under way; the rest is given back.
const KEPT_BYTES_MAX: usize = 4 * 1024;

/// What comes.
#[derive(Debug)]
pub(crate) struct Inbound {
    half: OwnedReadHalf,
    /// What has come and was not used yet.
    pub(crate) buffer: BytesMut,
    /// Bytes to be read next: twice as many as before whenever so many came.
    read_bytes: usize,
}

/// What goes.
#[derive(Debug)]
pub(super) struct Outbound {
    half: OwnedWriteHalf,
    /// What is to be sent.
    pub(super) unsent: Vec<u8>,
    sent: usize,
}

pub(super) fn split(socket: TcpStream) -> (Inbound, Outbound) {
    let (inbound, outbound) = socket.into_split();
    (
        Inbound { half: inbound, buffer: BytesMut::new(), read_bytes: READ_BYTES_MIN },
        Outbound { half: outbound, unsent: Vec::new(), sent: 0 },
    )
}

/// Puts a connection together again; with it comes what was read and not used.
pub(super) fn join(inbound: Inbound, outbound: Outbound) -> Option<(TcpStream, BytesMut)> {
    let socket = inbound.half.reunite(outbound.half).ok()?;
    Some((socket, inbound.buffer))
}

impl Inbound {
    /// Reads on; 0 is the end.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.buffer.capacity() - self.buffer.len() < self.read_bytes / 2 {
            self.buffer.reserve(self.read_bytes);
        }
        let room = self.buffer.capacity() - self.buffer.len();
        let polled = pin!(self.half.read_buf(&mut self.buffer)).poll(cx);
        match &polled {
            Poll::Ready(Ok(read)) if *read == room => {
                self.read_bytes = (room * 2).min(READ_BYTES_MAX);
            }
            Poll::Pending if self.buffer.is_empty() && room > KEPT_BYTES_MAX => {
                self.buffer = BytesMut::new();
                self.read_bytes = KEPT_BYTES_MAX;
            }
            _ => {}
        }
        polled
    }
}

impl Outbound {
    /// Sends what there is.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.unsent.len() {
            let rest = &self.unsent[self.sent..];
            let sent = ready!(Pin::new(&mut self.half).poll_write(cx, rest))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += sent;
        }
        self.sent = 0;
        self.unsent.clear();
        self.unsent.shrink_to(KEPT_BYTES_MAX);
        Poll::Ready(Ok(()))
    }

    /// Ready when the other end has closed the connection. Not if it has sent something before that:
    /// that is for those who read.
    pub(super) fn poll_hung_up(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut byte = [0];
        match self.half.as_ref().poll_peek(cx, &mut ReadBuf::new(&mut byte)) {
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }
}

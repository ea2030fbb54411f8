//! A connection: what has come on it and was not used yet, and what is to be sent.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;

/// Bytes read at first: most requests whole, so that one look at the socket is enough.
const READ_BYTES_MIN: usize = 1024;
/// Bytes read at a time at most.
const READ_BYTES_MAX: usize = 64 * 1024;
/// Room that is kept while nothing is under way; the rest is given back.
const KEPT_BYTES_MAX: usize = 4 * 1024;

/// A connection and its two buffers. By default, one that is not there.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    socket: Socket,
    /// What has come and was not used yet.
    pub(crate) buffer: BytesMut,
    /// Bytes to be read next: twice as many as before whenever so many came.
    read_bytes: usize,
    /// What is to be sent.
    pub(super) unsent: Vec<u8>,
    sent: usize,
}

#[derive(Debug, Default)]
enum Socket {
    #[default]
    Gone,
    /// Not waited for yet. The request for a stream is there, mostly, when its connection is accepted, and
    /// then the runtime need not hear of a socket that a shard is to have.
    Bare(mio::net::TcpStream),
    Waiting(TcpStream),
}

impl Wire {
    pub(super) fn new(socket: mio::net::TcpStream) -> Self {
        let socket = Socket::Bare(socket);
        Self { socket, read_bytes: READ_BYTES_MIN, ..Self::default() }
    }

    /// Reads on; 0 is the end.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Socket::Bare(socket) = &mut self.socket {
            let mut first = [0; READ_BYTES_MIN];
            match io::Read::read(socket, &mut first) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => {
                    let read = read?;
                    self.buffer.extend_from_slice(&first[..read]);
                    return Poll::Ready(Ok(read));
                }
            }
        }
        if self.buffer.capacity() - self.buffer.len() < self.read_bytes / 2 {
            self.buffer.reserve(self.read_bytes);
        }
        let room = self.buffer.capacity() - self.buffer.len();
        let socket = self.socket.waiting()?;
        let polled = pin!(socket.read_buf(&mut self.buffer)).poll(cx);
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

    /// Sends what there is.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.unsent.len() {
            let rest = &self.unsent[self.sent..];
            let sent = ready!(Pin::new(self.socket.waiting()?).poll_write(cx, rest))?;
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
    pub(super) fn poll_hung_up(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut byte = [0];
        let Ok(socket) = self.socket.waiting() else { return Poll::Ready(()) };
        match socket.poll_peek(cx, &mut ReadBuf::new(&mut byte)) {
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }

    /// The socket alone, for those who wait for it in another way.
    pub(super) fn into_bare(self) -> io::Result<mio::net::TcpStream> {
        match self.socket {
            Socket::Gone => Err(io::ErrorKind::NotConnected.into()),
            Socket::Bare(socket) => Ok(socket),
            Socket::Waiting(socket) => socket.into_std().map(mio::net::TcpStream::from_std),
        }
    }

    /// The socket as the runtime knows it, and what was read from it and not used.
    pub(super) fn into_waiting(mut self) -> io::Result<(TcpStream, BytesMut)> {
        self.socket.waiting()?;
        match self.socket {
            Socket::Waiting(socket) => Ok((socket, self.buffer)),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Socket {
    /// The socket, which the runtime waits for from now on.
    fn waiting(&mut self) -> io::Result<&mut TcpStream> {
        if let Self::Bare(_) = self
            && let Self::Bare(socket) = std::mem::take(self)
        {
            *self = Self::Waiting(TcpStream::from_std(socket.into())?);
        }
        match self {
            Self::Waiting(socket) => Ok(socket),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

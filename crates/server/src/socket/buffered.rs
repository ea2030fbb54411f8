//! A socket with two buffers: received bytes that were not used yet, and bytes to send.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::transport::Transport;

/// The number of bytes read at first. Most requests fit, so that one read is enough.
const READ_BYTES_MIN: usize = 1024;
/// The maximum number of bytes read at once.
const READ_BYTES_MAX: usize = 64 * 1024;
/// The memory kept while the connection is idle; the rest is freed.
const KEPT_BYTES_MAX: usize = 4 * 1024;

/// A socket and its two buffers. The default is a socket that is gone.
#[derive(Debug, Default)]
pub(crate) struct BufferedSocket {
    socket: Socket,
    /// Received bytes that were not used yet.
    pub(crate) buffer: BytesMut,
    /// The number of bytes to read next; doubled whenever a read fills the buffer.
    read_bytes: usize,
    /// Bytes to send.
    pub(crate) unsent: Vec<u8>,
    sent: usize,
}

#[derive(Debug, Default)]
enum Socket {
    #[default]
    Gone,
    /// Not registered with the runtime. The request for a stream usually arrives with its
    /// connection, and then the socket goes to a shard without being registered.
    Bare(mio::net::TcpStream),
    Waiting(Transport),
}

impl BufferedSocket {
    pub(crate) fn new(socket: mio::net::TcpStream) -> Self {
        let socket = Socket::Bare(socket);
        Self { socket, read_bytes: READ_BYTES_MIN, ..Self::default() }
    }

    /// A connection that the runtime waits for already.
    pub(crate) fn waiting(transport: Transport) -> Self {
        let socket = Socket::Waiting(transport);
        Self { socket, read_bytes: READ_BYTES_MIN, ..Self::default() }
    }

    /// Reads more bytes; 0 is the end.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // A client that sends more than that must be waited for anyway.
        if self.read_bytes == READ_BYTES_MIN
            && let Some(read) = self.socket.read_bare(&mut self.buffer)
        {
            if let Ok(READ_BYTES_MIN) = read {
                self.read_bytes *= 2;
            }
            return Poll::Ready(read);
        }
        if self.buffer.capacity() - self.buffer.len() < self.read_bytes / 2 {
            self.buffer.reserve(self.read_bytes);
        }
        let room = self.buffer.capacity() - self.buffer.len();
        let socket = self.socket.waiting()?;
        let polled = pin!(socket.read_buf(&mut self.buffer)).poll(cx);
        match &polled {
            Poll::Ready(Ok(read)) if *read == room => {
                self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
            }
            Poll::Pending if self.buffer.is_empty() && room > KEPT_BYTES_MAX => {
                self.buffer = BytesMut::new();
                self.read_bytes = KEPT_BYTES_MAX;
            }
            _ => {}
        }
        polled
    }

    /// Sends the unsent bytes.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.unsent.len() {
            let sent = ready!(self.socket.poll_write(cx, &self.unsent[self.sent..]))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += sent;
        }
        // TLS keeps bytes that it has encrypted and the kernel has not taken.
        if let Socket::Waiting(transport @ Transport::Tls(_)) = &mut self.socket {
            ready!(Pin::new(transport).poll_flush(cx))?;
        }
        self.sent = 0;
        self.unsent.clear();
        self.unsent.shrink_to(KEPT_BYTES_MAX);
        Poll::Ready(Ok(()))
    }

    /// Returns whether the connection has TLS.
    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.socket, Socket::Waiting(Transport::Tls(_)))
    }

    /// Closes the sending side.
    pub(crate) async fn shutdown(&mut self) -> io::Result<()> {
        self.socket.waiting()?.shutdown().await
    }

    /// The number of bytes that were not sent yet.
    pub(crate) fn unsent_bytes(&self) -> usize {
        self.unsent.len() - self.sent
    }

    /// Takes the bytes that were not sent yet.
    pub(crate) fn take_unsent(&mut self) -> Vec<u8> {
        let mut unsent = std::mem::take(&mut self.unsent);
        unsent.drain(..std::mem::take(&mut self.sent));
        unsent
    }

    /// Ready when the other end has closed the connection, unless it has sent bytes that were not
    /// read.
    pub(crate) fn poll_hung_up(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Ok(socket) = self.socket.waiting() else { return Poll::Ready(()) };
        socket.poll_hung_up(cx, &mut self.buffer)
    }

    /// The socket alone, in clear text and not registered with the runtime.
    pub(crate) fn into_bare(self) -> io::Result<mio::net::TcpStream> {
        match self.socket {
            Socket::Gone | Socket::Waiting(Transport::Tls(_)) => {
                Err(io::ErrorKind::NotConnected.into())
            }
            Socket::Bare(socket) => Ok(socket),
            Socket::Waiting(Transport::Clear(socket)) => {
                socket.into_std().map(mio::net::TcpStream::from_std)
            }
        }
    }

    /// The socket, registered with the runtime, and the bytes that were read from it and not used.
    pub(crate) fn into_waiting(mut self) -> io::Result<(Transport, BytesMut)> {
        self.socket.waiting()?;
        match self.socket {
            Socket::Waiting(socket) => Ok((socket, self.buffer)),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Socket {
    /// Reads without waiting, if the socket is not registered with the runtime.
    fn read_bare(&mut self, buffer: &mut BytesMut) -> Option<io::Result<usize>> {
        let Self::Bare(socket) = self else { return None };
        let mut first = [0; READ_BYTES_MIN];
        match io::Read::read(socket, &mut first) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            read => Some(read.inspect(|read| buffer.extend_from_slice(&first[..*read]))),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Self::Bare(socket) = self {
            match io::Write::write(socket, bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
        Pin::new(self.waiting()?).poll_write(cx, bytes)
    }

    /// The socket, registered with the runtime from here on.
    fn waiting(&mut self) -> io::Result<&mut Transport> {
        if let Self::Bare(_) = self
            && let Self::Bare(socket) = std::mem::take(self)
        {
            *self = Self::Waiting(Transport::Clear(TcpStream::from_std(socket.into())?));
        }
        match self {
            Self::Waiting(socket) => Ok(socket),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Read as _;
    use std::net::{TcpListener, TcpStream as StdStream};
    use std::task::Waker;

    use super::*;

    /// A connection, and its other end.
    fn wire() -> (BufferedSocket, StdStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = StdStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        (BufferedSocket::new(mio::net::TcpStream::from_std(socket)), peer)
    }

    fn is_bare(wire: &BufferedSocket) -> bool {
        matches!(wire.socket, Socket::Bare(_))
    }

    #[tokio::test]
    async fn the_runtime_hears_of_a_socket_that_has_to_be_waited_for() {
        let (mut wire, mut peer) = wire();
        io::Write::write_all(&mut peer, b"one").unwrap();
        // It may take a moment to come, which is not to be waited for here.
        peer.set_nodelay(true).unwrap();
        while wire.socket.read_bare(&mut wire.buffer).is_none() {}
        assert!(is_bare(&wire) && wire.buffer == "one");
        wire.unsent.extend_from_slice(b"answer");
        poll_fn(|cx| wire.poll_send(cx)).await.unwrap();
        assert!(is_bare(&wire));

        assert!(wire.poll_fill(&mut Context::from_waker(Waker::noop())).is_pending());
        assert!(!is_bare(&wire));
        io::Write::write_all(&mut peer, b"two").unwrap();
        assert_eq!(poll_fn(|cx| wire.poll_fill(cx)).await.unwrap(), 3);
        assert_eq!(wire.buffer, "onetwo");
        drop(wire);
        let mut answers = String::new();
        peer.read_to_string(&mut answers).unwrap();
        assert_eq!(answers, "answer");
    }

    #[tokio::test]
    async fn what_was_sent_is_not_handed_on() {
        let (mut wire, mut peer) = wire();
        let text: Vec<u8> = (0..16_000_000_u32).map(|n| n as u8).collect();
        wire.unsent.clone_from(&text);
        // More than the kernel takes of it.
        assert!(wire.poll_send(&mut Context::from_waker(Waker::noop())).is_pending());
        let (sent, rest) = (wire.sent, wire.take_unsent());
        assert!(sent > 0 && rest == text[sent..]);
        drop(wire);
        let mut came = Vec::new();
        peer.read_to_end(&mut came).unwrap();
        assert!(came == text[..sent]);
    }

    #[tokio::test]
    async fn a_connection_that_brings_much_is_read_in_large_pieces_and_gives_the_room_back() {
        let (mut wire, peer) = wire();
        let sent = vec![b'x'; 4 << 20];
        let writer = std::thread::spawn(move || {
            io::Write::write_all(&mut (&peer), &sent).unwrap();
            peer
        });
        let mut read = 0;
        let mut largest = 0;
        while read < 4 << 20 {
            let now = poll_fn(|cx| wire.poll_fill(cx)).await.unwrap();
            assert!(now > 0);
            (read, largest) = (read + now, largest.max(now));
            wire.buffer.clear();
        }
        let _peer = writer.join().unwrap();
        assert!(largest > READ_BYTES_MIN && largest <= 2 * READ_BYTES_MAX, "{largest}");
        assert!(wire.poll_fill(&mut Context::from_waker(Waker::noop())).is_pending());
        assert!(wire.buffer.capacity() <= KEPT_BYTES_MAX, "{}", wire.buffer.capacity());
    }
}

//! The socket of a shard: a trait, and its implementation.

use std::io;
use std::net::{Shutdown, SocketAddr};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

/// A nonblocking socket. Tests implement it by sockets that refuse, accept a part, and fail on
/// demand.
pub(crate) trait Socket {
    /// Writes some of the bytes; `WouldBlock` if the socket is full.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Reads bytes of the peer; `WouldBlock` if there are none, 0 if the peer has closed its
    /// sending side.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Closes the sending side.
    fn finish(&mut self);
}

/// A connection whose unsent bytes the kernel keeps in small packets.
///
/// How much may be unsent (`socket::options`) the kernel asks only where it begins a packet, and it adds
/// to the last one until that is as large as the device takes: 64 KiB, which a reader that stopped
/// reading would cost. So a packet is ended here now and then. Where nothing is unsent, which is the
/// rule, a packet leaves with the write that made it, and its end means nothing.
#[derive(Debug)]
pub(crate) struct ShardSocket {
    stream: TcpStream,
    /// Bytes written since a packet was ended, [`PACKET_BYTES`] at most.
    since_end: u16,
    /// Whether the shard is notified when the socket becomes writable.
    is_room_told: bool,
}

/// Bytes after which a packet is ended: half of what may be unsent, and ten times what the kernel
/// needs for a packet itself.
const PACKET_BYTES: u16 = 8 * 1024;

impl ShardSocket {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, since_end: 0, is_room_told: false }
    }

    /// Registers for notifications when the peer sends something or closes.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.stream, token, Interest::READABLE)
    }

    /// Registers for notifications when the socket becomes writable, too; if it already is, the
    /// first comes at once. Most sockets never become full, and a notification for each new one
    /// would wake its shard for nothing.
    pub(super) fn tell_room(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        if self.is_room_told {
            return Ok(());
        }
        self.is_room_told = true;
        registry.reregister(&mut self.stream, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// The address of the peer.
    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

impl Socket for ShardSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let since_end = usize::from(self.since_end) + bytes.len();
        if since_end < usize::from(PACKET_BYTES) {
            let written = io::Write::write(&mut self.stream, bytes)?;
            self.since_end += written as u16;
            return Ok(written);
        }
        let written = write_end(&self.stream, bytes)?;
        // A packet is not ended before all of the bytes are in it.
        self.since_end = if written == bytes.len() { 0 } else { PACKET_BYTES };
        Ok(written)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut self.stream, buffer)
    }

    fn finish(&mut self) {
        // Fails only if the peer is gone, and then no longer matters.
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

/// Writes some of the bytes, and ends the packet after the last of them.
#[cfg(any(target_os = "android", target_os = "linux"))]
fn write_end(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_EOR | libc::MSG_NOSIGNAL;
    stream.try_io(|| socket2::SockRef::from(stream).send_with_flags(bytes, flags))
}

/// The same where packets have no ends of their own: the whole buffer has a limit.
#[cfg(not(any(target_os = "android", target_os = "linux")))]
fn write_end(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    io::Write::write(&mut stream, bytes)
}

/// Writes as much as the socket accepts; less than everything means that the socket is full.
pub(super) fn write_some(socket: &mut impl Socket, bytes: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match socket.write(&bytes[written..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => written += n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    use socket2::SockRef;

    use super::*;
    use crate::socket::options::{UNSENT_BYTES_MAX, limit};

    /// Writes events of so many bytes until no more are taken; how many bytes that was.
    fn fill(connection: &mut ShardSocket, event_bytes: usize) -> usize {
        let event = vec![b'x'; event_bytes];
        let mut total = 0;
        loop {
            let written = write_some(connection, &event).unwrap();
            total += written;
            if written < event.len() {
                return total;
            }
        }
    }

    /// The number of written bytes that have not arrived at a reader that does not read, when no
    /// more are accepted and no more comes.
    fn held(event_bytes: usize) -> usize {
        /// More than the reader's kernel takes.
        const QUEUE_BYTES_MAX: usize = 1 << 20;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        limit(&SockRef::from(&listener), Duration::from_secs(60)).unwrap();
        let reader = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let stream = listener.accept().unwrap().0;
        stream.set_nonblocking(true).unwrap();
        let mut connection = ShardSocket::new(mio::net::TcpStream::from_std(stream));
        let mut queue = vec![0; QUEUE_BYTES_MAX];
        let (mut taken, mut came) = (fill(&mut connection, event_bytes), 0);
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let now_came = reader.peek(&mut queue).unwrap();
            let more = fill(&mut connection, event_bytes);
            // Bytes on their way count until they have arrived or were refused.
            if more == 0 && now_came == came && taken - came <= bound(event_bytes) {
                return taken - came;
            }
            assert!(Instant::now() < until, "{} bytes are held, {came} came", taken - came);
            (taken, came) = (taken + more, now_came);
        }
    }

    /// The limit of unsent bytes, a packet begun just below it, and one that the reader refused.
    fn bound(event_bytes: usize) -> usize {
        UNSENT_BYTES_MAX as usize + 2 * (usize::from(PACKET_BYTES) + event_bytes)
    }

    #[test]
    fn the_kernel_holds_little_for_a_reader_that_stopped_reading_whatever_the_size_of_events() {
        for event_bytes in [100, 1000, 4096, 10_000] {
            let held = held(event_bytes);
            assert!(held > 0, "a reader that does not read is sent everything");
        }
    }
}

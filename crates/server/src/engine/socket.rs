//! What a shard needs of a socket.

use std::io;
use std::net::Shutdown;

use mio::net::TcpStream;

/// A socket that never waits. Tests have ones that refuse, cut short and fail where they are told.
pub(crate) trait Socket {
    /// Writes some of the bytes; `WouldBlock` when it takes no more for now.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Reads what the peer has sent; `WouldBlock` when that is nothing, 0 when there will be no more.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Says to the peer that nothing more will be written.
    fn finish(&mut self);
}

impl Socket for TcpStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::Write::write(self, bytes)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        io::Read::read(self, buffer)
    }

    fn finish(&mut self) {
        // The peer may be gone already; then there is nobody to tell.
        let _ = self.shutdown(Shutdown::Write);
    }
}

/// Writes as much as the socket takes; less than everything means that it takes no more for now.
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

//! A nonblocking connection.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket as Raw, Type};

use crate::http::tls::{Security, Tls, is_not_yet};

/// The address of a server, and how connections to it are secured.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    /// `None` for plain HTTP.
    pub(crate) security: Option<Security>,
}

/// A connection that is established or being established.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    tls: Option<Box<Tls>>,
}

/// Whether the kernel reports that the peer has closed the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IsClosing {
    Yes,
    No,
}

impl Socket {
    /// Starts to connect, and registers the connection with `registry`.
    pub(crate) fn connect(
        to: &Endpoint,
        from: LocalAddress,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let mut stream = match from.address(to.address) {
            None => TcpStream::connect(to.address)?,
            Some(from) => connect_from(from, to.address)?,
        };
        let tls = to.security.as_ref().map(Tls::new).transpose()?.map(Box::new);
        if tls.is_some() {
            // The end of the handshake and the request after it are two writes.
            stream.set_nodelay(true)?;
        }
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { stream, tls })
    }

    /// Disables Nagle's algorithm. A connection that writes once does not need this system call.
    pub(crate) fn set_nodelay(&self) -> io::Result<()> {
        self.stream.set_nodelay(true)
    }

    /// Reads what is available; `None` if there is nothing yet. If the read does not fill `buffer`,
    /// nothing is left except possibly the end of the connection.
    #[inline]
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match &mut self.tls {
            None => unless_it_would_block(|| self.stream.read(buffer)),
            Some(tls) => tls.read(&mut self.stream, buffer),
        }
    }

    /// Writes what fits; `None` if nothing fits yet.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        match &mut self.tls {
            None => unless_it_would_block(|| self.stream.write(bytes)),
            Some(tls) => tls.write(&mut self.stream, bytes),
        }
    }

    /// Stops notifications for this connection.
    pub(crate) fn ignore(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(&mut self.stream)
    }
}

fn connect_from(from: SocketAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let raw = Raw::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    raw.set_nonblocking(true)?;
    raw.bind(&from.into())?;
    match raw.connect(&to.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(TcpStream::from_std(raw.into())),
    }
}

fn unless_it_would_block(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match call() {
            Ok(count) => return Ok(Some(count)),
            Err(error) if is_not_yet(&error) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The address of this machine that connections come from.
///
/// An address has about 28,000 ephemeral ports, and a closed connection occupies its port for some
/// time. On loopback there are more addresses to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LocalAddress {
    /// 0 leaves the choice to the operating system.
    number: u8,
}

impl LocalAddress {
    /// This machine has no memory for the connections of more than 16 addresses.
    const MAX: u8 = 16;

    /// Returns the next address to try when the ports of this one are used up; `None` if there is
    /// none.
    pub(crate) fn after(self, address: SocketAddr) -> Option<Self> {
        let number = self.number + 1;
        let has_more = matches!(address.ip(), IpAddr::V4(ip) if ip.is_loopback());
        (has_more && number <= Self::MAX).then_some(Self { number })
    }

    fn address(self, address: SocketAddr) -> Option<SocketAddr> {
        let IpAddr::V4(_) = address.ip() else { return None };
        let ip = Ipv4Addr::new(127, 0, 0, 1 + self.number);
        (self.number > 0).then(|| SocketAddr::new(ip.into(), 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_has_more_addresses_and_not_without_end() {
        let away = "192.0.2.1:80".parse().unwrap();
        assert_eq!(LocalAddress::default().after(away), None);
        assert_eq!(LocalAddress::default().after("[::1]:80".parse().unwrap()), None);
        let here = "127.0.0.1:80".parse().unwrap();
        assert_eq!(LocalAddress::default().address(here), None);
        let locals =
            std::iter::successors(Some(LocalAddress::default()), |local| local.after(here));
        let last = locals.last().unwrap();
        assert_eq!(last.address(here), Some("127.0.0.17:0".parse().unwrap()));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_connection_comes_from_the_address_it_was_given() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let to = Endpoint { address: listener.local_addr().unwrap(), security: None };
        let poll = mio::Poll::new().unwrap();
        let from = LocalAddress::default().after(to.address).unwrap();
        let _socket = Socket::connect(&to, from, poll.registry(), Token(0)).unwrap();
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(peer.ip(), Ipv4Addr::new(127, 0, 0, 2));
    }
}

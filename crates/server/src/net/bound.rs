//! The addresses of a server, bound before it serves, and kept from one server to the next.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket};

use super::connection::Door;
use crate::config::ServerConfig;
use crate::socket::options::{self, ACCEPTED_INHERIT};

/// The bound addresses of a server.
#[derive(Debug)]
pub struct Listeners {
    pub(crate) open: Vec<(TcpListener, Door)>,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) redirects: Vec<SocketAddr>,
}

impl Listeners {
    /// Binds the addresses of a configuration. From here on, connections wait to be accepted.
    ///
    /// # Errors
    ///
    /// [`BindError`] names the first address that cannot be listened on.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O and time.
    pub fn bind(config: &ServerConfig) -> Result<Self, BindError> {
        let mut open = Vec::new();
        let mut bind = |listen: &[SocketAddr], door| {
            let mut addresses = Vec::new();
            for &address in listen {
                let failed = |source| BindError { address, source };
                let listener = bind(address, config.stall_timeout).map_err(failed)?;
                addresses.push(listener.local_addr().map_err(failed)?);
                open.push((listener, door));
            }
            Ok(addresses)
        };
        let door = if config.tls.is_some() { Door::Tls } else { Door::Clear };
        let addresses = bind(&config.listen, door)?;
        let redirects = match (&config.tls, addresses.first()) {
            (Some(tls), Some(first)) => bind(&tls.redirect, Door::Redirect(first.port()))?,
            _ => Vec::new(),
        };
        Ok(Self { open, addresses, redirects })
    }

    /// The same addresses for another server, which may serve when this one has ended, or before: no
    /// connection is refused in between.
    ///
    /// # Errors
    ///
    /// If there is no descriptor left.
    pub fn share(self) -> io::Result<(Self, Self)> {
        let Self { open, addresses, redirects } = self;
        let (mut ours, mut others) = (Vec::new(), Vec::new());
        for (listener, door) in open {
            let listener = listener.into_std()?;
            others.push((TcpListener::from_std(listener.try_clone()?)?, door));
            ours.push((TcpListener::from_std(listener)?, door));
        }
        let other =
            Self { open: others, addresses: addresses.clone(), redirects: redirects.clone() };
        Ok((Self { open: ours, addresses, redirects }, other))
    }

    /// The addresses, in the order of the configuration, with their actual ports.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

fn bind(address: SocketAddr, stall_timeout: Duration) -> io::Result<TcpListener> {
    /// The maximum number of connections that wait to be accepted, such as all clients after a
    /// restart.
    const BACKLOG: u32 = 4096;
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // On other platforms, the option would let another program take the port.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    if ACCEPTED_INHERIT {
        options::limit(&SockRef::from(&socket), stall_timeout)?;
    }
    socket.listen(BACKLOG)
}

/// The error of an address that the server cannot listen on.
#[derive(Debug)]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// The error of the operating system.
    pub source: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}", self.address)
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

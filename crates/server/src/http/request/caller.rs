//! The client that sent a request.

use std::net::SocketAddr;

/// The client that sent a request, as far as the server knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    address: SocketAddr,
}

impl Caller {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// The address of the other end of the connection.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

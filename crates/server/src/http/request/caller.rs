//! The client that sent a request.

use std::net::SocketAddr;

use serde_json::Value;

use crate::auth::access::Access;
use crate::auth::recent::Recent;
use crate::engine::subject::Subject;

/// The client that sent a request, as far as the server knows it.
#[derive(Clone, Debug)]
pub struct Caller {
    address: SocketAddr,
    told_by: Teller,
    access: Access,
    recent: Recent,
}

/// The source of a client's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Teller {
    /// The connection: its other end is the client.
    Connection,
    /// A proxy that is trusted.
    Proxy,
}

impl Caller {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            told_by: Teller::Connection,
            access: Access::Open,
            recent: Recent::default(),
        }
    }

    /// The same client, with the access that its request's token gives.
    pub(crate) fn with_access(&self, access: Access) -> Self {
        Self { access, recent: Recent::default(), ..*self }
    }

    /// The client whose address a trusted proxy tells.
    pub(crate) fn at(&self, address: SocketAddr) -> Self {
        Self { address, told_by: Teller::Proxy, ..self.clone() }
    }

    /// The address of the client, if it is not that of the other end of the connection.
    pub(crate) fn told_address(&self) -> Option<SocketAddr> {
        (self.told_by == Teller::Proxy).then_some(self.address)
    }

    /// The address of the client: that of the other end of the connection, or the one that a trusted
    /// proxy tells. A port that the proxy does not tell is 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The subject of the request's token, or the name of its API key.
    #[must_use]
    pub fn subject(&self) -> Option<&Subject> {
        self.access.subject()
    }

    /// The data that the token has in its claim `tidings.payload`.
    #[must_use]
    pub fn payload(&self) -> Option<&Value> {
        self.access.payload()
    }

    /// The token that its connection has sent last.
    pub(crate) fn recent(&self) -> &Recent {
        &self.recent
    }

    pub(crate) fn into_access(self) -> Access {
        self.access
    }

    /// Its access, by its request's token.
    pub(crate) fn access(&self) -> &Access {
        &self.access
    }
}

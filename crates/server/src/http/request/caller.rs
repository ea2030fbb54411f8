//! The client that sent a request.

use std::net::SocketAddr;

use serde_json::Value;

use crate::auth::access::Access;
use crate::engine::subject::Subject;

/// The client that sent a request, as far as the server knows it.
#[derive(Clone, Debug)]
pub struct Caller {
    address: SocketAddr,
    access: Access,
}

impl Caller {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, access: Access::Open }
    }

    /// The same client, with the access that its request's token gives.
    pub(crate) fn with_access(&self, access: Access) -> Self {
        Self { address: self.address, access }
    }

    /// The address of the other end of the connection.
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

    pub(crate) fn into_access(self) -> Access {
        self.access
    }

    /// Its access, by its request's token.
    pub(crate) fn access(&self) -> &Access {
        &self.access
    }
}

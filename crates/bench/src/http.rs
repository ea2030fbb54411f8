//! A minimal HTTP/1.1 client for many connections: sockets, requests, responses.

pub(crate) mod body;
pub(crate) mod head;
pub(crate) mod request;
pub(crate) mod socket;
pub(crate) mod target;
pub(crate) mod tls;

//! Connections: accepting them, plain requests of HTTP/1, what hyper serves, and handing sockets to shards.

pub(crate) mod connection;
pub(crate) mod http1;
pub(crate) mod listener;
pub(crate) mod pending_heads;
mod rewound;
mod stream_tasks;
mod takeover;

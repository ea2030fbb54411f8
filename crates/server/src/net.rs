//! Connections: accepts them, serves plain HTTP/1 requests, leaves others to hyper, and hands
//! sockets of streams to shards. TLS would go here, between the listener and the connection.

pub(crate) mod connection;
pub(crate) mod http1;
pub(crate) mod listener;
pub(crate) mod pending_heads;
mod rewound;
mod stream_tasks;
mod takeover;

//! Connections: accepts them, serves plain HTTP/1 requests, leaves others to hyper, and hands
//! sockets of streams to shards. TLS would go here, between the listener and the connection.

pub(crate) mod connection;
pub(crate) mod connections;
pub(crate) mod http1;
pub(crate) mod linger;
pub(crate) mod listener;
mod rewound;
pub(crate) mod stalls;
mod stream_tasks;
mod takeover;

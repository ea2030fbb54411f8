//! Connections: accepts them, serves plain HTTP/1 requests, leaves others to hyper, and hands
//! sockets of streams to shards. TLS would go here, between the listener and the connection.

pub(crate) mod connection;
pub(crate) mod connections;
pub(crate) mod http1;
pub(crate) mod listener;

mod rewound;
mod stream_tasks;
mod takeover;

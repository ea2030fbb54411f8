//! Connections: accepts them, shakes hands with those that speak TLS, serves plain HTTP/1 requests,
//! leaves others to hyper, and hands connections of streams to shards, or to tasks where there is TLS.

pub(crate) mod bound;
pub(crate) mod connection;
pub(crate) mod connections;
mod handshake;
pub(crate) mod handshakes;
pub(crate) mod http1;
mod in_time;
pub(crate) mod linger;
pub(crate) mod listener;
mod redirect;
mod rewound;
pub(crate) mod stalls;
mod stream_tasks;
mod takeover;
mod tls_stream;

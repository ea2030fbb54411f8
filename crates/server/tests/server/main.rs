//! The server over real sockets: one module per promise.
//!
//! Time stands still in these tests until they move it, so that nothing depends on how fast the
//! machine is.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod admission;
mod answers;
mod auth;
mod bad_input;
mod budget;
mod connections;
mod cors;
mod gaps;
mod harness;
mod heartbeat;
mod hooks;
mod ingest;
mod journal;
mod json;
mod keyed;
mod leaving;
mod limits;
mod openapi;
mod ops;
mod piped_http2;
mod plain;
mod protocols;
mod proxies;
mod publish;
mod relayed;
mod resume;
mod routes;
mod shape;
mod shutdown;
mod stalls;
mod stream_lines;
mod streams;
mod streams_from;
mod streams_in_json;
mod streams_piped;
mod streams_sent_again;
mod subscribers;
mod tls;
mod usage;
mod wire;

//! Draining: shutting down with open streams.
//!
//! A server that waits for its connections waits for ever on streams. [`Hub::drain`](crate::Hub::drain) ends
//! them, spread over a time, each with a reconnection time of its own, so that the readers of a restarted
//! server do not come back all at once. Keep driving the hub meanwhile.
//!
//! With axum, drain in the future that is given to `with_graceful_shutdown`; the server is done when the
//! last stream has ended. The repository's example `axum/shutdown.rs` is such a program.

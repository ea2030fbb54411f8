//! The Tidings hub as an HTTP server.

//! The Tidings hub as an HTTP server: admission, the native API, and the life of connections.
//!
//! A [`Server`] puts HTTP in front of a [`Hub`](tidings_hub::Hub). Plain requests of HTTP/1 are read by the module
//! `net::http1`, everything else by hyper; every request passes the same stations in the same order:
//!
//! ```text
//! listener ─▶ connection ─▶ admit ─▶ route ─▶ handler ─▶ Answer ─▶ response
//!  accept      http1,        Host,     path     native/    what      CORS, the one place that
//!  errors      hyper         Origin             ops        it is     starts a stream
//! ```
//!
//! A handler never writes a stream. It answers what the stream is ([`StreamAnswer`]: a view and a
//! start), and one function after it decides who writes it.
//!
//! What is deliberately not here: reading the environment or files (the configuration is plain
//! values), and anything about history, cursors and topics, which is the hub's.

mod api;
mod config;
mod context;
mod engine;
mod http;
mod metrics;
mod net;
mod phase;
mod router;
mod server;
mod socket;

pub use crate::api::extra::{AnswerFuture, ExtraRoutes};
pub use crate::config::{Hosts, Origins, Others, ServerConfig, TimeSource};
pub use crate::engine::stream_spec::StreamSpec;
pub use crate::engine::subject::Subject;
pub use crate::http::answer::{Answer, StreamAnswer};
pub use crate::http::authority::{HostName, InvalidHostName, InvalidOrigin, Origin};
pub use crate::http::problem::{Problem, ProblemKind};
pub use crate::http::request::{Caller, Query, Request, RequestBody, topic_of_path};
pub use crate::server::{BindError, Server};

//! The Tidings hub as an HTTP server: admission, the native API, and the life of connections.
//!
//! A [`Server`] puts HTTP in front of a [`Hub`](tidings_hub::Hub). Plain requests of HTTP/1 are read by the module
//! `http1`, everything else by hyper; every request passes the same stations in the same order:
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

mod admit;
mod answer;
mod app;
mod assets;
mod authority;
mod config;
mod connection;
mod cors;
mod engine;
mod heads;
mod http1;
mod keyed;
mod listener;
mod metrics;
mod native;
mod phase;
mod problem;
mod request;
mod response_body;
mod rewound;
mod routes;
mod server;
mod socket_options;
mod stream_tasks;
mod streams;
mod subject;
mod takeover;
mod usual;

pub use crate::answer::{Answer, StreamAnswer};
pub use crate::authority::{HostName, InvalidHostName, InvalidOrigin, Origin};
pub use crate::config::{Hosts, Origins, Others, ServerConfig, TimeSource};
pub use crate::keyed::Keyed;
pub use crate::problem::{Problem, ProblemKind};
pub use crate::request::RequestBody;
pub use crate::routes::{AnswerFuture, ExtraRoutes};
pub use crate::server::{BindError, Server};
pub use crate::subject::Subject;

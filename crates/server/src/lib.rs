//! The Tidings hub as an HTTP server: admission, the native API, and the life of connections.
//!
//! A [`Server`] puts HTTP in front of a [`Hub`](tidings_hub::Hub). Plain HTTP/1 requests are read
//! by the module `net::http1`, all others by hyper. Every request takes the same steps in the
//! same order:
//!
//! ```text
//! net                       router                 api          http
//! listener ─▶ connection ─▶ admit ─▶ route ─────▶ handler ─▶ Answer ─▶ respond
//!  accept      http1,        Host,     ExtraRoutes,             a response, CORS; opens
//!  errors      hyper         Origin    then the hub's           a stream    streams
//! ```
//!
//! A handler never writes a stream. It describes the stream ([`StreamAnswer`]: a view, a start and
//! a [`StreamSpec`]), and the connection determines the part of the server that writes it.
//!
//! Deliberately not here: reading the environment or files (the configuration is plain values), and
//! history, cursors and topics, which belong to the hub.

mod api;
mod auth;
mod budget;
#[cfg(feature = "nats")]
mod cluster;
mod config;
mod context;
mod engine;
mod evicted;
mod http;
mod journal;
mod live;
mod metrics;
#[cfg(feature = "nats")]
pub mod nats;
mod net;
mod node;
mod notices;
mod paged_slab;
#[cfg(feature = "nats")]
mod peers;
mod phase;
mod pins;
mod proxies;
mod revoking;
mod router;
mod server;
mod socket;
mod tls;
mod turn;
mod usage;
mod work;

pub use crate::api::extra::{AnswerFuture, ExtraRoutes};
pub use crate::auth::config::{ApiKey, AuthConfig, Rights, TopicAccess, TopicRule};
pub use crate::auth::explain::Explanation;
pub use crate::auth::issue::{NoRandomBytes, SigningKey, TokenClaims};
pub use crate::auth::key::{Algorithm, InvalidKey, VerifyingKey};
pub use crate::auth::key_set::{InvalidKeySetUrl, KeySetError, KeySetSource};
pub use crate::config::{Hosts, Limits, Origins, Others, ServerConfig, TimeSource};
pub use crate::engine::stream_spec::StreamSpec;
pub use crate::engine::subject::Subject;
pub use crate::http::answer::{Answer, StreamAnswer};
pub use crate::http::authority::{HostName, InvalidHostName, InvalidOrigin, Origin};
pub use crate::http::pieces::AnswerPieces;
pub use crate::http::problem::{Problem, ProblemKind};
pub use crate::http::request::{Caller, Query, Request, RequestBody, topic_of_path};
pub use crate::http::respond::accept_events;
pub use crate::http::whole::WholeAnswer;
pub use crate::journal::ServedJournal;
pub use crate::live::Control;
pub use crate::net::bound::{BindError, Listeners};
pub use crate::node::{InvalidNodeName, NodeName};
pub use crate::proxies::{InvalidNetwork, Network};
pub use crate::server::Server;
pub use crate::tls::{InvalidTls, TlsConfig, TlsIdentity};

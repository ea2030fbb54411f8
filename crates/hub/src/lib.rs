//! An embeddable Server-Sent Events hub: topics, their history, and subscribers that are cursors in it.
//!
//! There is one history, and every subscriber is a cursor in it. A live subscriber stands at the end, a
//! slow one behind it, and one that comes back hands in its place as its last event ID. There is no queue
//! per subscriber: an event is stored once, encoded once, and copied from there by each reader. A
//! subscriber that missed events which are no longer held is told so.
//!
//! A [`Hub`] has no routes and no sockets. It makes the body of a response, for any server that takes an
//! [`http_body::Body`] or a stream of bytes, and runs under any executor. A whole program:
//!
//! ```toml
//! [dependencies]
//! axum = "0.8"
//! tidings-hub = { version = "0.1", features = ["axum", "tokio"] }
//! tokio = { version = "1", features = ["macros", "net", "rt-multi-thread"] }
//! ```
//!
#![cfg_attr(all(feature = "axum", feature = "tokio"), doc = "```no_run")]
#![cfg_attr(not(all(feature = "axum", feature = "tokio")), doc = "```text")]
//! use axum::Router;
//! use axum::extract::State;
//! use axum::routing::get;
//! use tidings_hub::{Body, Draft, Event, Hub, PublishError, Published, StreamRequest, Topic};
//!
//! const NEWS: Topic = Topic::from_static("news");
//!
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     let hub = Hub::default();
//!     tokio::spawn(hub.drive()); // the hub's time: heartbeats, timeouts, ages
//!     let app = Router::new().route("/news", get(listen).post(publish)).with_state(hub);
//!     axum::serve(tokio::net::TcpListener::bind("127.0.0.1:3000").await?, app).await
//! }
//!
//! async fn listen(State(hub): State<Hub>, request: StreamRequest) -> Body {
//!     hub.stream(NEWS, request)
//! }
//!
//! async fn publish(State(hub): State<Hub>, text: String) -> Result<Published, PublishError> {
//!     hub.publish(Draft::new(NEWS, Event::new(text))).await
//! }
//! ```
//!
//! `curl -N 127.0.0.1:3000/news` listens and `curl -d hello 127.0.0.1:3000/news` publishes. In a page,
//! `new EventSource('/news')` is the whole client; it comes back by itself and resumes.
//!
//! Start with [`Hub`], [`Topic`] and [`Event`]; [`Emitters`] keeps streams per user. The [guide](docs)
//! has a page for each subject, such as [resuming](docs::resuming) and [testing](docs::testing), and the
//! repository's folder `examples` has programs for axum, hyper, actix-web and smol.

// The feature `engine` makes items of several modules reachable, which are unused without it.
#![cfg_attr(not(feature = "engine"), allow(unreachable_pub, reason = "public with `engine`"))]

mod appended;
#[cfg_attr(not(feature = "engine"), allow(dead_code, reason = "used with `engine`"))]
mod appending;
mod asking;
#[cfg(feature = "axum")]
mod axum;
mod body;
mod closer;
mod cursor;
pub mod docs;
mod draft;
#[cfg_attr(not(feature = "engine"), allow(unused_imports, reason = "used with `engine`"))]
mod emitters;
#[cfg(feature = "engine")]
pub mod engine;
#[cfg_attr(not(feature = "engine"), allow(dead_code, reason = "used with `engine`"))]
mod entry;
mod filter;
mod gap;
mod grant;
#[cfg_attr(
    not(feature = "engine"),
    allow(dead_code, unused_imports, reason = "used with `engine`")
)]
mod history;
#[cfg_attr(not(feature = "engine"), allow(dead_code, reason = "used with `engine`"))]
mod hub;
#[cfg_attr(not(feature = "engine"), allow(dead_code, reason = "used with `engine`"))]
mod indexing;
pub mod journal;
mod json;
mod lifetime;
mod locate;
mod on_end;
mod origin;
#[cfg_attr(not(feature = "engine"), allow(dead_code, reason = "used with `engine`"))]
mod page;
mod publish;
#[cfg_attr(not(feature = "engine"), allow(dead_code, reason = "used with `engine`"))]
mod reader;
mod request;
#[cfg_attr(not(feature = "engine"), allow(dead_code, reason = "used with `engine`"))]
mod retention;
mod seen;
mod shape;
mod start;
#[cfg_attr(not(feature = "engine"), allow(dead_code, reason = "used with `engine`"))]
mod stream_text;
mod streams;
#[cfg_attr(not(feature = "engine"), allow(dead_code, reason = "used with `engine`"))]
mod subscriber;
mod time;
mod topic;
mod topic_stream;
mod via;
mod view;
mod watch;

#[cfg(feature = "json")]
pub use tidings_proto::JsonError;
pub use tidings_proto::{Event, EventId, EventType, InvalidEventId, InvalidEventType};

pub use crate::appended::Appended;
pub use crate::appending::Appending;
pub use crate::body::Body;
pub use crate::closer::Closer;
pub use crate::cursor::{Cursor, Epoch, Sequence};
pub use crate::draft::{Draft, IdempotencyKey, InvalidIdempotencyKey, Refused, RefusedId, Topics};
pub use crate::emitters::{Emitter, Emitters};
pub use crate::entry::HeldEvent;
pub use crate::filter::{InvalidPattern, Pattern, TopicFilter};
pub use crate::gap::Gap;
pub use crate::grant::{Grant, PublicTopics};
pub use crate::hub::{Hub, HubBuilder, HubConfig, HubStats, StreamInfo, TopicInfo};
pub use crate::on_end::StreamEnd;
pub use crate::page::Page;
pub use crate::publish::{Closing, PublishError, Published, Publishing, PublishingAll};
pub use crate::request::{InvalidLastEventId, StreamRequest};
pub use crate::retention::{Retention, RetentionRule, TopicLimits};
pub use crate::shape::{GapShape, StreamShape};
pub use crate::start::{LocatedId, Start};
pub use crate::stream_text::Client;
pub use crate::streams::{
    Append, Ask, EndNotice, Producer, SeenStream, StreamClose, StreamDates, StreamMark,
    StreamOptions, StreamReason, StreamRefused, StreamState, StreamTurn,
};
pub use crate::subscriber::{Found, Subscriber};
pub use crate::time::{Now, Time};
pub use crate::topic::{InvalidTopic, Topic};
pub use crate::topic_stream::TopicStream;
pub use crate::via::{InvalidVia, Via};
pub use crate::view::View;

/// Limits for reading back what was checked when it was published.
fn unlimited() -> tidings_proto::Limits {
    tidings_proto::Limits::default().with_event_bytes_max(usize::MAX)
}

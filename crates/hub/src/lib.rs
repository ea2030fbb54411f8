//! A Server-Sent Events hub to embed: topics, history, and subscribers that are cursors in it.
//!
//! There is one history, and every subscriber is a place in it. A live subscriber stands at the end, a
//! slow one behind it, and one that comes back hands in its place as its last event ID. Nothing is queued
//! for anybody: what is published lies in memory once, encoded once, and whoever reads copies it from
//! there. When history no longer holds something a subscriber should have had, that subscriber is told.
//!
//! A [`Hub`] has no routes and no sockets. It gives you the body of a response, for any server that takes
//! an [`http_body::Body`] or a stream of bytes, and runs under any executor.
//!
//! # A whole program
//!
//! ```toml
//! [dependencies]
//! axum = "0.8"
//! tidings-hub = { version = "0.1", features = ["tokio"] }
//! tokio = { version = "1", features = ["macros", "net", "rt-multi-thread"] }
//! ```
//!
#![cfg_attr(feature = "tokio", doc = "```no_run")]
#![cfg_attr(not(feature = "tokio"), doc = "```text")]
//! use axum::Router;
//! use axum::extract::State;
//! use axum::http::{HeaderMap, Response, StatusCode};
//! use axum::routing::get;
//! use tidings_hub::{Body, Draft, Event, Hub, HubConfig, Start, Topic};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let hub = Hub::new(HubConfig::default());
//!     tokio::spawn(hub.drive()); // the hub's time: heartbeats, time-outs, ages
//!     let state = (hub, Topic::new("news")?);
//!     let app = Router::new().route("/news", get(listen).post(publish)).with_state(state);
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//!     Ok(axum::serve(listener, app).await?)
//! }
//!
//! async fn listen(State((hub, news)): State<(Hub, Topic)>, headers: HeaderMap) -> Response<Body> {
//!     hub.subscribe(news, Start::from_headers(&headers)).into_body().respond_to(&headers)
//! }
//!
//! async fn publish(State((hub, news)): State<(Hub, Topic)>, text: String) -> StatusCode {
//!     match hub.publish(Draft::new(news, Event::new(text))) {
//!         Ok(publishing) => match publishing.await {
//!             Ok(_) => StatusCode::CREATED,
//!             Err(_) => StatusCode::SERVICE_UNAVAILABLE,
//!         },
//!         Err(_) => StatusCode::BAD_REQUEST,
//!     }
//! }
//! ```
//!
//! `curl -N 127.0.0.1:3000/news` listens and `curl -d hello 127.0.0.1:3000/news` publishes. In a page,
//! `new EventSource('/news')` is the whole client; it comes back by itself and resumes. The folder
//! `examples` has such programs for axum, hyper, actix-web and smol.
//!
//! # Topics, filters, views
//!
//! Events are published to a [`Topic`], which is any visible text of up to 1,024 bytes, or to several
//! ([`Topics`]). Topics need no setting up: one exists when something is published to it or somebody reads
//! it. A subscriber asks for a [`View`]: one or many [`TopicFilter`]s, each an exact topic or a pattern
//! (`scores/*`, `scores/**`). An event that several filters match is sent once.
//!
//! A topic per user is `Topic::new(format!("users/{user}"))?`, for which [`Emitters`] is a shorthand. If
//! you make topics of what others send, mind the slashes: a user called `a/b` has a topic of three
//! segments, which `users/*` does not match. An exact topic matches itself alone, whatever is in it.
//!
//! # Publishing
//!
//! [`Hub::publish`] submits at the call, from any thread, and never waits for readers. The future it
//! returns says where the event was committed; dropping it takes nothing back. A [`Draft`] with an
//! [`IdempotencyKey`] can be repeated: the second time it is answered like the first and publishes
//! nothing. What is refused is refused at once, with a [`PublishError`], and nothing of the batch is
//! published. Its [`Refused`] is the sentence to show a publisher.
//!
//! # Subscribing
//!
//! A [`Subscriber`] is a stream of what it finds ([`Received`]): for programs that want the events
//! themselves. [`Subscriber::into_body`] makes a [`Body`] of it, which is the text: a
//! [`Stream`](futures_core::Stream) of [`Bytes`](bytes::Bytes) and an [`http_body::Body`].
//! [`Body::respond_to`] makes that a response with all headers. A body can end after a time
//! ([`Body::with_timeout`]), greet its reader ([`Body::with_greeting`]) and tell how it ended
//! ([`Body::on_end`]). A subscriber costs the same whether it is fast or slow.
//!
//! Where a server has an `http` of its own (actix-web), [`Start::resume`] and [`Body::for_client`] take
//! what [`Start::from_headers`] and [`Body::respond_to`] read from the headers.
//!
//! # Resuming
//!
//! Every event has an ID. Unless the publisher gives one, it spells a [`Cursor`]: which history, and where
//! in it. A client that comes back with it, in the header `Last-Event-ID`, starts after it
//! ([`Start::from_headers`]); one that comes for the first time starts with the next event, and one that
//! sends `earliest` with the oldest held. An EventSource is given
//! its place before the first event, by a block with nothing but an ID, so that a connection that breaks
//! early loses nothing; other clients get no such block, because some of them take it for a message
//! ([`Client::from_headers`] tells them apart).
//!
//! # Gaps
//!
//! A subscriber is told of a [`Gap`] when an event that it would have been sent was evicted before it read
//! it, and when the place it asks for cannot be found: then it gets everything held for its view. Never
//! otherwise: that others' events were evicted, or that the event of its last ID is no longer held, loses
//! it nothing. In a stream the gap is an event of type `gap` with JSON data, `{"asked","oldest"}`, and an ID
//! of its own. A page listens for it and loads anew what it shows:
//!
//! ```js
//! source.addEventListener('gap', () => location.reload());
//! ```
//!
//! A hub in memory that starts again has lost its history, so every reader that comes back to it is told.
//!
//! # Retention
//!
//! [`Retention`] bounds history by bytes (everything counts: text, lists, topics, names), by events of each
//! topic, and by age. The oldest go first. The newest events stay whatever their size, so that a large one
//! still reaches those who are waiting for it.
//!
//! ```
//! # use std::{num::NonZeroUsize, time::Duration};
//! # use tidings_hub::{Hub, HubConfig};
//! let mut config = HubConfig::default();
//! config.retention.bytes_max = 64 * 1024 * 1024;
//! config.retention.topic_events_max = NonZeroUsize::new(100);
//! config.retention.age_max = Some(Duration::from_secs(3600));
//! let hub = Hub::new(config);
//! # assert_eq!(hub.config().retention.bytes_max, 64 << 20);
//! ```
//!
//! # Time, and any executor
//!
//! A hub has no timers. Heartbeats, time-outs, maximum ages and the ages of events happen when the program
//! calls [`Hub::tick`], some times a second, which also dates what is published. [`Hub::drive_with`] does
//! it at every tick of a timer of yours; with the feature `tokio`, `Hub::drive` does it by tokio's. Without
//! any of them events still come and go, but a quiet stream stays silent, and proxies end silent streams.
//!
//! # Shutting down
//!
//! A server that waits for its connections waits for ever on streams. [`Hub::drain`] ends them, spread
//! over a time, each with a reconnection time of its own, so that the readers of a restarted server do not
//! come back at once. Keep driving the hub meanwhile.
//!
//! # Streams of one reader's own
//!
//! Not everything is shared. [`Body::from_stream`] makes a body of any `Stream` of events (a model's answer, a
//! clock, a query's rows), adds heartbeats, pulls only as fast as the reader takes, and drops the stream when
//! the reader leaves. It can also be a subscriber whose events are changed or left out on their way:
//! [`Received::into_event`] keeps the IDs, so that its readers resume. [`Emitters`] keeps streams per key:
//! per user, per order, with time-outs and hooks.
//!
//! ```
//! use smol::stream::StreamExt; // or that of futures
//! use tidings_hub::{Body, Hub, HubConfig, Start, TopicFilter};
//!
//! let hub = Hub::new(HubConfig::default());
//! let scores = TopicFilter::pattern("scores/*")?;
//! let finals = hub.subscribe(scores, Start::Tail).map(|found| found.into_event());
//! let finals = finals.filter(|event| event.event_type().as_str() != "interim");
//! let body = Body::from_stream(&hub, finals);
//! # drop(body);
//! # Ok::<(), tidings_hub::InvalidPattern>(())
//! ```
//!
//! # Testing your handlers
//!
//! Make a hub at a time of your own ([`Hub::at`]), publish, and read what your handler returns: a hub in
//! memory commits at the call, so that nothing has to be waited for. A body's first piece is its preamble, a
//! comment and the reconnection time; what has been published when it is asked for comes with it. To see
//! a heartbeat, a time-out or an age, tick the hub with a later [`Now`].
//!
//! ```
//! use std::time::Duration;
//! use smol::stream::StreamExt; // or that of futures
//! use tidings_hub::{Draft, Event, Hub, HubConfig, Now, Start, Topic};
//!
//! # smol::block_on(async {
//! let now = Now::read();
//! let hub = Hub::at(HubConfig::default(), now);
//! let order = Topic::new("orders/7")?;
//!
//! let body = hub.subscribe(order.clone(), Start::Tail).into_body();
//! let mut body = body.with_timeout(Duration::from_secs(60));
//! assert_eq!(body.next().await.ok_or("ended")?, ":\nretry: 2000\n");
//!
//! let published = hub.publish(Draft::new(order.clone(), Event::new("packed")))?.await?;
//! let text = format!("id: {}\ndata: packed\n\n", published.id());
//! assert_eq!(body.next().await.ok_or("ended")?, text);
//! assert_eq!(hub.page(order, Start::Oldest, 10).events[0].event.data(), "packed");
//!
//! hub.tick(now + Duration::from_secs(61));
//! assert_eq!(body.next().await, None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Limits
//!
//! | what | at most | where |
//! | --- | --- | --- |
//! | a topic | 1,024 bytes | [`Topic::BYTES_MAX`] |
//! | topics of one event | 100 | [`Topics::MAX`] |
//! | type, ID and data of an event | 1 MiB, settable | [`HubConfig::event_bytes_max`] |
//! | a publisher-given ID | 128 bytes | [`RefusedId::TooLong`] |
//! | an idempotency key | 256 bytes | [`IdempotencyKey::BYTES_MAX`] |
//! | history | 256 MiB, settable | [`Retention::bytes_max`] |
//! | one piece of a body | 64 KiB, or one larger event | [`Body`] |
//! | what a gap repeats of a client's ID | 256 bytes | [`Gap::ASKED_BYTES_MAX`] |
//!
//! How many streams there may be is the program's to say: [`HubStats::subscribers`] counts them.
//!
//! # What is not here
//!
//! Routes, sockets, tokens: those are the program's. Who may publish to a topic and who may read it is
//! decided in your handler, before it calls the hub. Where events are committed is behind [`journal`].

#![cfg_attr(
    not(feature = "engine"),
    allow(dead_code, unreachable_pub, unused_imports, reason = "what the feature `engine` uses")
)]

mod body;
mod closer;
mod cursor;
mod draft;
mod emitters;
#[cfg(feature = "engine")]
pub mod engine;
mod entry;
mod filter;
mod gap;
mod grant;
mod history;
mod hub;
pub mod journal;
mod json;
mod lifetime;
mod on_end;
mod page;
mod publish;
mod reader;
mod start;
mod stream_text;
mod subscriber;
mod time;
mod topic;
mod view;
mod watch;

pub use tidings_proto::{Event, EventId, EventType, InvalidEventId, InvalidEventType};

pub use crate::body::Body;
pub use crate::closer::Closer;
pub use crate::cursor::{Cursor, Epoch, Sequence};
pub use crate::draft::{Draft, IdempotencyKey, InvalidIdempotencyKey, Refused, RefusedId, Topics};
pub use crate::emitters::{Emitter, EmitterParts, Emitters, SendError};
pub use crate::entry::Delivery;
pub use crate::filter::{InvalidPattern, Pattern, TopicFilter};
pub use crate::gap::Gap;
pub use crate::grant::Grant;
pub use crate::history::Retention;
pub use crate::hub::{Hub, HubConfig, HubStats, TopicInfo};
pub use crate::on_end::{OnEnd, StreamEnd};
pub use crate::page::Page;
pub use crate::publish::{PublishError, Published, Publishing, PublishingAll};
pub use crate::start::Start;
pub use crate::stream_text::Client;
pub use crate::subscriber::{Received, Subscriber};
pub use crate::time::{Now, Time};
pub use crate::topic::{InvalidTopic, Topic};
pub use crate::view::View;

/// Limits for reading back what was checked when it was published.
fn unlimited() -> tidings_proto::Limits {
    tidings_proto::Limits::default().with_event_bytes_max(usize::MAX)
}

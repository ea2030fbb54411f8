//! A Server-Sent Events hub to embed: topics, history, and subscribers that are cursors in it.
//!
//! There is one history, and every subscriber is a place in it. A live subscriber stands at the end, a
//! slow one behind it, and one that comes back hands in its place as its last event ID. Nothing is queued
//! for anybody: what is published lies in memory once, encoded once, and whoever reads copies it from
//! there. When history no longer holds something a subscriber should have had, that subscriber is told.
//!
//! ```
//! use tidings_hub::{Body, Draft, Event, Hub, HubConfig, Start, Topic};
//!
//! # smol::block_on(async {
//! let hub = Hub::new(HubConfig::default());
//! let news = Topic::new("news")?;
//!
//! let stream = Body::new(hub.subscribe(news.clone(), Start::Tail));
//! let response = stream.into_response(); // an `http::Response` with an `http_body::Body`
//!
//! hub.publish(Draft::new(news, Event::new("the ferry runs again")))?.await?;
//! # assert_eq!(response.headers()["content-type"], "text/event-stream");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Topics, filters, views
//!
//! Events are published to a [`Topic`], which is any visible text of up to 1,024 bytes, or to several
//! ([`Topics`]). Topics need no setting up: one exists when something is published to it or somebody reads
//! it. A subscriber asks for a [`View`]: one or many [`TopicFilter`]s, each an exact topic or a pattern
//! (`scores/*`, `scores/**`). An event that several filters match is sent once.
//!
//! # Publishing
//!
//! [`Hub::publish`] submits at the call. The future it returns says where the event was committed; dropping
//! it takes nothing back. A [`Draft`] with an [`IdempotencyKey`] can be repeated: the second time it is
//! answered like the first and publishes nothing. What is refused is refused at once, with a
//! [`PublishError`] that says why, and nothing of the batch is published.
//!
//! # Resuming
//!
//! Every event has an ID. Unless the publisher gives one, it spells a [`Cursor`]: which history, and where
//! in it. A client that comes back with it starts after it ([`Start::from_headers`]). An EventSource is given
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
//! of its own.
//!
//! # Retention
//!
//! [`Retention`] bounds history by bytes (everything counts: text, lists, topics, names), by events of each
//! topic, and by age. The oldest go first. The newest events stay whatever their size, so that a large one
//! still reaches those who are waiting for it.
//!
//! # Time
//!
//! A hub has no timers. Heartbeats, time-outs, maximum ages and the ages of events happen when the program
//! calls [`Hub::tick`], some times a second, which also dates what is published. With the feature `tokio`,
//! `Hub::spawn` does it; without, any timer will do, and tests step time as they like ([`Now`] is a plain
//! value).
//!
//! # Streams of one reader's own
//!
//! Not everything is shared. [`Body::from_stream`] makes a body of any `Stream` of events (a model's answer, a
//! clock, a query's rows), adds heartbeats, pulls only as fast as the reader takes, and drops the stream when
//! the reader leaves. [`Emitters`] keeps streams per key: per user, per order, with time-outs and hooks.
//!
//! # Testing your handlers
//!
//! Make a hub at a time of your own ([`Hub::at`]), publish, and poll what your handler returns: a hub in
//! memory commits at the call, so that nothing has to be waited for. To see a time-out, tick the hub with a
//! later [`Now`].
//!
//! ```
//! use std::time::Duration;
//! use tidings_hub::{Draft, Event, Hub, HubConfig, Now, Start, Topic};
//!
//! # smol::block_on(async {
//! let now = Now::read();
//! let hub = Hub::at(HubConfig::default(), now);
//! let topic = Topic::new("orders/7")?;
//! hub.publish(Draft::new(topic.clone(), Event::new("packed")))?.await?;
//! hub.tick(now + Duration::from_secs(3600));
//!
//! let page = hub.page(topic, Start::Oldest, 10);
//! assert_eq!(page.events[0].event.data(), "packed");
//! assert_eq!(page.gap, None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is not here
//!
//! Routes, sockets, tokens: those are the program's. A shard of the delivery engine reads a hub through
//! [`tap`]; where events are committed is behind [`journal`].

mod body;
mod clock;
mod cursor;
mod draft;
mod drive;
mod emitters;
mod filter;
mod history;
mod hub;
pub mod journal;
mod json;
mod publish;
mod reader;
mod start;
mod stream_text;
mod subscriber;
pub mod tap;
mod time;
mod topic;
mod watch;

pub use tidings_proto::{Event, EventId, EventType, InvalidEventId, InvalidEventType};

pub use crate::body::{Body, StreamEnd};
pub use crate::cursor::{Cursor, Epoch, Sequence};
pub use crate::draft::{Draft, IdempotencyKey, InvalidIdempotencyKey, RefusedId, Topics};
pub use crate::emitters::{Emitter, Emitters, SendError};
pub use crate::filter::{InvalidPattern, Pattern, TopicFilter, View};
pub use crate::history::Retention;
pub use crate::hub::{Hub, HubConfig, HubStats, TopicInfo};
pub use crate::publish::{PublishError, Published, Publishing, Refused};
pub use crate::reader::Gap;
pub use crate::start::Start;
pub use crate::stream_text::Client;
pub use crate::subscriber::{Delivery, Page, Received, Subscriber};
pub use crate::time::{Now, Time};
pub use crate::topic::{InvalidTopic, Topic};

/// Limits for reading back what was checked when it was published.
fn unlimited() -> tidings_proto::Limits {
    tidings_proto::Limits::default().with_event_bytes_max(usize::MAX)
}

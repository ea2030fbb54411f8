//! Streams of one reader alone.
//!
//! Not everything is shared. [`Body::from_stream`](crate::Body::from_stream) makes a body of any `Stream` of
//! events: a model's answer, a clock, the rows of a query. It adds heartbeats, pulls only as fast as the
//! reader takes, and drops the stream when the reader leaves.
//!
//! It also takes a subscriber whose events are changed or left out on their way.
//! [`Found::into_event`](crate::Found::into_event) keeps the IDs, so that readers can resume:
//!
//! ```
//! use smol::stream::StreamExt; // or that of futures
//! use tidings_hub::{Body, Hub, Start, TopicFilter};
//!
//! let hub = Hub::default();
//! let scores = TopicFilter::pattern("scores/*")?;
//! let finals = hub.subscribe(scores, Start::Tail).map(|found| found.into_event());
//! let finals = finals.filter(|event| event.event_type().as_str() != "interim");
//! let body = Body::from_stream(&hub, finals);
//! # drop(body);
//! # Ok::<(), tidings_hub::InvalidPattern>(())
//! ```

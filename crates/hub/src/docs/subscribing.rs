//! Subscribing to topics, and sending event streams.
//!
//! A subscriber asks for a [`View`](crate::View): one or many [`TopicFilter`](crate::TopicFilter)s, each an
//! exact topic or a pattern. In a pattern `*` stands for one segment and `**` for the rest: `scores/*`,
//! `scores/**`. An event that several filters match is sent once.
//!
//! # Event streams
//!
//! [`Hub::stream`](crate::Hub::stream) opens the event stream that a request asks for. Its [`Body`] is a
//! [`Stream`](futures_core::Stream) of [`Bytes`](bytes::Bytes) and an [`http_body::Body`], and
//! [`Body::into_response`] makes it a response with all headers. A body can end after a time
//! ([`Body::with_timeout`]), greet its reader ([`Body::with_greeting`]) and report how it ended
//! ([`Body::on_end`]).
//!
//! The [`StreamRequest`](crate::StreamRequest) is an extractor of [axum](super::axum). With another server,
//! read it from the headers and the query:
//!
//! ```
//! use http::{Request, Response};
//! use tidings_hub::{Body, Hub, InvalidLastEventId, StreamRequest, Topic};
//!
//! const NEWS: Topic = Topic::from_static("news");
//!
//! fn listen<B>(hub: &Hub, request: &Request<B>) -> Result<Response<Body>, InvalidLastEventId> {
//!     let request = StreamRequest::parse(request.headers(), request.uri().query())?;
//!     Ok(hub.stream(NEWS, request).into_response())
//! }
//! # let response = listen(&Hub::default(), &Request::new(())).unwrap();
//! # assert_eq!(response.headers()["content-type"], "text/event-stream");
//! ```
//!
//! # Events themselves
//!
//! A program that wants the events rather than their text [subscribes](crate::Hub::subscribe). A
//! [`Subscriber`](crate::Subscriber) is a stream of what it finds: [events and gaps](crate::Found).
//!
//! ```
//! use tidings_hub::{Draft, Event, Hub, Found, Start, Topic, TopicFilter};
//!
//! # smol::block_on(async {
//! let hub = Hub::default();
//! let mut scores = hub.subscribe(TopicFilter::pattern("scores/*")?, Start::Tail);
//! hub.publish(Draft::new(Topic::from_static("scores/7"), Event::new("1:0"))).await?;
//! let Some(Found::Event(found)) = scores.next().await else { return Ok(()) };
//! assert_eq!((found.topic.as_str(), found.event.data()), ("scores/7", "1:0"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A subscriber costs the same whether it is fast or slow: it has no queue, and reads from history when it is
//! asked. [`Hub::page`](crate::Hub::page) reads some events at once, for polling and for lists.
//!
//! # Closing
//!
//! [`Hub::close`](crate::Hub::close) closes the streams that are open on a topic, and answers their clients'
//! reconnections with status 204, which keeps an EventSource closed. A [`Closer`](crate::Closer) closes one
//! stream.
//!
//! [`Body`]: crate::Body
//! [`Body::into_response`]: crate::Body::into_response
//! [`Body::with_timeout`]: crate::Body::with_timeout
//! [`Body::with_greeting`]: crate::Body::with_greeting
//! [`Body::on_end`]: crate::Body::on_end

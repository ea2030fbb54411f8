//! A Server-Sent Events client that never loses its place.
//!
//! ```no_run
//! use tidings_client::EventSource;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut source = EventSource::get("http://localhost:8080/topics/news").open()?;
//!     while let Some(event) = source.next_event().await? {
//!         println!("{}", event.data());
//!     }
//!     Ok(())
//! }
//! ```
//!
//! That is all it takes. The loop goes on for as long as the server wants: if the connection
//! breaks, the source makes another one and continues after the last event. The loop ends with
//! `None` when the server says not to come back (a 204) or the stream of the topic is complete, and with
//! an error when coming back would change nothing.
//!
//! The crate has two halves: [`EventSource`] reads streams of any server that follows the
//! [HTML standard](https://html.spec.whatwg.org/multipage/server-sent-events.html), and
//! [`Publisher`] publishes to a Tidings hub. A program that has many of them shares a [`Client`].
//!
//! # Signals
//!
//! [`EventSource::next`] reports everything that happens, in order, as [`Signal`]s:
//!
//! | signal | what it means |
//! | --- | --- |
//! | [`Open`](Signal::Open) | the stream is open; says whether it was resumed |
//! | [`Event`](Signal::Event) | an event |
//! | [`Comment`](Signal::Comment) | a comment, if [`Builder::comments`] was called |
//! | [`Gap`](Signal::Gap) | the hub no longer holds events that this reader should have had |
//! | [`End`](Signal::End) | a stream within a topic has ended; says why |
//! | [`ReconnectionTime`](Signal::ReconnectionTime) | the server set another reconnection time with `retry` |
//! | [`Retrying`](Signal::Retrying) | the stream is gone; says why, and when the next attempt will be |
//! | [`Closed`](Signal::Closed) | the source has stopped for good; says why |
//!
//! A source is also a [`Stream`](futures_core::Stream) of signals. Dropping it ends the connection.
//!
//! # Reconnection
//!
//! A reconnection is not an error, and the caller need not do anything about it. After a stream
//! that delivered an event, the source waits for the reconnection time: three seconds, or the
//! server's `retry`. Each failed attempt makes the wait longer, by a random amount up to a cap; so
//! does a server that accepts a stream and ends it at once. The source obeys `Retry-After`.
//! [`Backoff`] has the numbers.
//!
//! Which failures the source retries:
//!
//! | what happens | what the source does |
//! | --- | --- |
//! | the connection fails, breaks or ends | tries again, without limit unless [`Builder::attempts_max`] sets one |
//! | nothing arrives for a while | drops the connection and tries again; see [`Builder::idle_timeout`] |
//! | 408, 425, 429, most 5xx | tries again; see [`StatusPolicy`] |
//! | 301, 302, 303, 307, 308 | follows the redirect, without secrets if it leads to another origin; a reconnection starts at the original URL |
//! | 401 | calls [`Builder::authorize`] for new credentials, once |
//! | 204 | stops: [`Closed::NoContent`] |
//! | the stream of its topic has ended, or 204 or 410 follow an end | stops: [`Closed::Ended`] |
//! | another status, or another type than `text/event-stream` | stops: [`Closed::Refused`], with the beginning of the response |
//! | an event over the [`Limits`] | stops: [`Closed::Limit`]; another request would bring the same event |
//! | a POST whose stream ends | stops, unless [`Builder::resend`] or [`Builder::once`] was called |
//!
//! The client uses a proxy only on request: pass [`Proxy::from_env`], or a proxy of the program's
//! own, to [`HyperTransportBuilder::proxy`].
//!
//! # Resuming
//!
//! The last event ID is the reader's place in the stream. The source keeps it across connections,
//! even if events without an ID follow, and even if the server sends an ID without an event. To
//! keep it across its own restarts, a program stores it together with the result of the event, and
//! hands it back:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! # use tidings_client::EventSource;
//! let place = std::fs::read_to_string("place").unwrap_or_default();
//! let url = "http://localhost:8080/topics/news";
//! let mut source = EventSource::get(url).last_event_id(place).open()?;
//! while let Some(event) = source.next_event().await? {
//!     println!("{}", event.data());
//!     std::fs::write("place", event.last_event_id())?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Only the server knows whether events were missed. A Tidings hub reports them as a [`Gap`]; a
//! program that must know reads signals instead of events.
//!
//! # Streams that end
//!
//! A topic of a Tidings hub may contain streams that begin and end, such as the answers of a model. The hub
//! reports each end with its reason: [`Signal::End`]. It is the last signal of a stream before
//! [`Closed::Ended`] if the source's URL names exactly that topic: nothing is asked of the hub any more. Behind
//! a proxy that hides the hub's URLs, the source asks once more, and stops when the hub answers 204 or 410. A
//! source of several topics goes on.
//!
//! [`next_event`](EventSource::next_event) returns `None` at the end of a stream that is complete or was
//! stopped, and the error [`Closed::Ended`] if it was aborted or expired. A program that wants the reason in
//! either case reads signals:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use tidings_client::{EventSource, Signal};
//!
//! let mut answer = EventSource::get("http://localhost:4000/topics/chat/1?from=begin").open()?;
//! while let Some(signal) = answer.next().await {
//!     match signal {
//!         Signal::Event(event) => print!("{}", event.data()),
//!         Signal::End(end) => eprintln!("{} after {} events", end.reason, end.events),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # JSON and model APIs
//!
//! [`EventSource::next_json`] deserializes each event's data into a type of the caller's; an error
//! names the path in the document. [`Builder::once`] and [`Builder::until`] treat the stream as a
//! single answer, which is never requested again:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! # use tidings_client::EventSource;
//! #[derive(serde::Deserialize)]
//! struct Token { text: String }
//!
//! let mut answer = EventSource::post("https://model.example/v1/complete")
//!     .bearer("…")
//!     .json(&serde_json::json!({"prompt": "Tell me news", "stream": true}))
//!     .until("[DONE]")
//!     .open()?;
//! while let Some(token) = answer.next_json::<Token>().await? {
//!     print!("{}", token.text);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Publishing
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use tidings_client::{Draft, Publisher};
//!
//! let hub = Publisher::new("http://localhost:8080")?;
//! hub.publish(Draft::new("news", "hello")).await?;
//! hub.publish_all((1..=3).map(|n| Draft::new("count", n.to_string()))).await?;
//! # Ok(())
//! # }
//! ```
//!
//! A publisher repeats each request until the hub has answered it. The request's
//! [`IdempotencyKey`] keeps the hub from publishing an event twice.
//!
//! [`Publisher::begin`] begins a stream within a topic, whose [`end`](StreamPublisher::end) its readers are told. A
//! [`Producer`] owns it; a successor with a higher epoch continues it if the producer dies.
//!
//! # A POST that a GET continues
//!
//! Some servers, those of the Model Context Protocol among them, begin an answer in the response to
//! a POST and continue it in the response to a GET. [`Builder::continue_from`] hands the last event
//! ID and the reconnection time from one source to the other.
//!
//! # Testing
//!
//! The feature `testing` adds the module `testing`: a transport that a test scripts and a clock
//! that a test steps. A test can then take a program through an outage of an hour in no time and
//! without a socket. The module's page has an example.
//!
//! # Features
//!
//! | feature | adds |
//! | --- | --- |
//! | `reqwest` | `ReqwestTransport`, which sends requests through the caller's `reqwest::Client` |
//! | `testing` | the module `testing` |
//!
//! Everything else is always included: HTTP/1.1 and HTTP/2, TLS by rustls with the platform's
//! roots, proxies, gzip, brotli and zstd. Requests go through a [`Transport`], a trait of one
//! method; the default is [`HyperTransport`].
//!
//! Sources and publishers need a tokio runtime for its timers and sockets. With a [`Transport`]
//! and a [`Timer`] of the caller's, any executor will do.

mod backoff;
mod builder;
mod checks;
mod client;
mod content_encoding;
mod credentials;
mod end;
mod event;
mod headers;
mod lifecycle;
mod plan;
mod publisher;
mod redirect;
mod request_body;
mod retry_after;
mod signal;
mod source;
mod status;
#[cfg(feature = "testing")]
pub mod testing;
mod timer;
mod transport;
mod wiring;

pub use backoff::Backoff;
pub use builder::Builder;
pub use checks::BuildError;
pub use client::Client;
pub use credentials::{Credentials, CredentialsError, Occasion};
pub use end::{End, StreamReason};
pub use event::{Event, Gap, JsonError};
pub use lifecycle::State;
pub use publisher::{
    Draft, EndNotice, IdempotencyKey, InvalidIdempotencyKey, Producer, PublishError,
    PublishManyError, Published, Publisher, PublisherBuilder, Receipt, RefusedPublish,
    StreamPublisher,
};
pub use redirect::RedirectError;
pub use signal::{Cause, Closed, Open, Refusal, RefusedResponse, Resumption, Retrying, Signal};
pub use source::{EventSource, NextJsonError};
pub use status::{StatusPolicy, Verdict};
pub use tidings_proto::{EventId, EventType, LimitExceeded, Limits};
pub use timer::{Sleep, Timer, TokioTimer};
#[cfg(feature = "reqwest")]
pub use transport::ReqwestTransport;
pub use transport::{
    Body, HttpVersion, HyperTransport, HyperTransportBuilder, InvalidProxy, InvalidRoots,
    NewConnection, Proxy, Sending, Stage, Transport, TransportError,
};

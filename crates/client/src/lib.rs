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
//! That is all it takes. The loop goes on for as long as the server wants it to: a connection that
//! breaks is made again, and continues after the last event. It ends with `None` when the server
//! says not to come back (a 204), and with an error when coming back would change nothing.
//!
//! The crate has two halves: [`EventSource`] reads streams of any server that follows the
//! [HTML standard](https://html.spec.whatwg.org/multipage/server-sent-events.html), and
//! [`Publisher`] publishes to a Tidings hub.
//!
//! # Seeing what happens
//!
//! [`EventSource::next`] tells everything, as [`Signal`]s, in the order in which it happened:
//!
//! | signal | what it means |
//! | --- | --- |
//! | [`Open`](Signal::Open) | the stream is open; says whether it was resumed |
//! | [`Event`](Signal::Event) | an event |
//! | [`Comment`](Signal::Comment) | a comment, if [`Builder::comments`] asked for them |
//! | [`Gap`](Signal::Gap) | the hub no longer holds events that this reader should have had |
//! | [`Retrying`](Signal::Retrying) | the stream is gone; says why, and when the next attempt is |
//! | [`Closed`](Signal::Closed) | the end; says why |
//!
//! A source is a [`Stream`](futures_core::Stream) of signals too. Dropping it ends the connection.
//!
//! # Reconnection
//!
//! A reconnection is no error, and nothing needs to be done about it. After a stream that
//! delivered an event, the next attempt comes after the reconnection time: three seconds, or what
//! the server's `retry` says. Each attempt that fails makes the wait longer, at random and up to a
//! cap; so does a server that accepts a stream and ends it at once. `Retry-After` is obeyed.
//! [`Backoff`] has the numbers.
//!
//! What is tried again and what is not:
//!
//! | what happens | what the source does |
//! | --- | --- |
//! | the connection fails, breaks, or ends | tries again, for ever; see [`Builder::attempts_max`] |
//! | nothing comes for a while | gives the connection up and tries again; see [`Builder::idle_timeout`] |
//! | 408, 425, 429, most 5xx | tries again; see [`StatusPolicy`] |
//! | 301, 302, 303, 307, 308 | follows, without secrets if to another origin; a reconnection starts at the original URL |
//! | 401 | has [`Builder::authorize`] make new credentials, once |
//! | 204 | stops: [`Closed::NoContent`] |
//! | another status, or no `text/event-stream` | stops: [`Closed::Refused`], with the beginning of the answer |
//! | an event over the [`Limits`] | stops: [`Closed::Limit`]; asking again would bring the same event |
//! | a POST whose stream ends | stops, unless [`Builder::resend`] or [`Builder::once`] was called |
//!
//! Proxies are used only if asked for: give [`HyperTransportBuilder::proxy`] a
//! [`Proxy::from_env`], or one of the program's own.
//!
//! # Resuming
//!
//! The place of a reader is the last event ID. The source keeps it across connections: also where
//! events without an ID follow, and where the server sent an ID by itself. A program that wants to
//! keep it across its own restarts stores it with what it made of the event, and hands it back:
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
//! Whether anything was missed is up to the server. A Tidings hub says so with a [`Gap`]: whoever
//! must know reads signals instead of events.
//!
//! # JSON, and the streams of model APIs
//!
//! [`EventSource::next_json`] reads each event's data as a type of the caller's; an error names
//! the path in the document. [`Builder::once`] and [`Builder::until`] make one answer of a stream,
//! which is never asked for again:
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
//! Requests are repeated until the hub has answered, under an [`IdempotencyKey`] that keeps an
//! event from being published twice.
//!
//! # Testing
//!
//! The feature `testing` brings the module `testing`: a transport that a test scripts and a clock
//! that a test steps. A program's way through an outage of an hour is then tested in no time, and
//! without a socket; the module's page has an example.
//!
//! # Features
//!
//! | feature | adds |
//! | --- | --- |
//! | `reqwest` | `ReqwestTransport`: requests by a `reqwest::Client` of the caller's |
//! | `testing` | the module `testing` |
//!
//! Everything else is always there: HTTP/1.1 and HTTP/2, TLS by rustls with the platform's roots,
//! proxies, gzip, brotli and zstd. Requests go through a [`Transport`], which is a trait of one
//! method: [`HyperTransport`] is the one in use unless another is given.
//!
//! Sources and publishers need a tokio runtime, for its timers and sockets; with a [`Transport`]
//! and a [`Timer`] of the caller's, any executor will do.

mod backoff;
mod builder;
mod checks;
mod client;
mod content_encoding;
mod credentials;
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
pub use event::{Event, Gap, JsonError};
pub use lifecycle::State;
pub use publisher::{
    Draft, IdempotencyKey, InvalidIdempotencyKey, PublishError, PublishManyError, Published,
    Publisher, PublisherBuilder, Receipt, RefusedPublish,
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

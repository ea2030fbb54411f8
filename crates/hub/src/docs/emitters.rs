//! Emitters: streams per user, per order, per job.
//!
//! [`Emitters`](crate::Emitters) keeps the streams of each key. A key may have many streams, one for every
//! page that its user has open; [`send`](crate::Emitters::send) reaches all of them, and readers that are
//! away for a moment when they come back.
//!
//! ```
//! use std::time::Duration;
//! use tidings_hub::{Body, Emitters, Event, Hub, InvalidTopic, StreamRequest, Topic};
//!
//! fn connect(
//!     users: &Emitters<String>,
//!     user: &str,
//!     request: StreamRequest,
//! ) -> Result<Body, InvalidTopic> {
//!     let emitter = users.connect(user.to_owned(), request)?;
//!     Ok(emitter
//!         .with_greeting(Event::new(format!("{user} is connected")))
//!         .with_timeout(Duration::from_secs(3600))
//!         .on_completion(|user, end| println!("a stream of {user} has ended: {end:?}"))
//!         .into_body())
//! }
//!
//! # smol::block_on(async {
//! let hub = Hub::default();
//! let users = Emitters::new(&hub, Topic::from_static("users"));
//! let stream = connect(&users, "alpha", StreamRequest::default())?;
//! users.send(&"alpha".to_owned(), Event::new("for alpha alone")).await?;
//! users.close(&"alpha".to_owned()).await?;
//! # drop(stream);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Each key is a topic, `users/alpha` here, so nothing is queued per stream. The greeting goes to this one
//! stream and has no ID, because it is not in history. A stream that ends leaves the registry at once, and
//! then its hooks run, once: [`on_timeout`](crate::Emitter::on_timeout) or
//! [`on_error`](crate::Emitter::on_error) if that was the cause, then
//! [`on_completion`](crate::Emitter::on_completion). Each gets the key and the [reason](crate::StreamEnd).
//! They run with no lock of the hub's held, so that they may send and close.
//!
//! After [`close`](crate::Emitters::close), a reader of that time that comes back is answered 204, which
//! stops its EventSource. A new EventSource of the same key is welcome.
//!
//! # A user's own events and everybody's
//!
//! An emitter's stream carries its key's topic and nothing else. For events that everybody gets, publish to
//! a shared topic, and let the page open a second EventSource for it. A page that should need only one
//! connection reads both topics as one stream of the hub, without an emitter:
//!
//! ```
//! use tidings_hub::{Body, Hub, InvalidTopic, StreamRequest, Topic, View};
//!
//! const EVERYBODY: Topic = Topic::from_static("everybody");
//!
//! fn listen(hub: &Hub, user: &str, request: StreamRequest) -> Result<Body, InvalidTopic> {
//!     let own = Topic::new(format!("users/{user}"))?;
//!     Ok(hub.stream(View::new([own.into(), EVERYBODY.into()]), request))
//! }
//! # let _ = listen(&Hub::default(), "alpha", StreamRequest::default())?;
//! # Ok::<(), InvalidTopic>(())
//! ```
//!
//! Such a stream is in no registry, and closing one of its topics does not end it.

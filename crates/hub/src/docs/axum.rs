//! The feature `axum`: extractors and responses for axum 0.8.
//!
//! | type | in a handler |
//! | --- | --- |
//! | [`StreamRequest`](crate::StreamRequest) | an argument: the place and the kind of client, from headers and query; status 400 if the query contradicts itself |
//! | [`Body`](crate::Body), [`Emitter`](crate::Emitter) | an answer: the event stream, or status 204 if it was closed while its reader was away |
//! | [`Published`](crate::Published) | an answer: status 201 with the ID as text |
//! | [`PublishError`](crate::PublishError) | an error: status 400, 413 for an event that is too large, 503 if the journal failed |
//! | [`InvalidTopic`](crate::InvalidTopic), [`InvalidPattern`](crate::InvalidPattern) | an error: status 400 |
//!
//! The text of an error is its sentence. A handler that wants other answers matches the error.
//!
#![cfg_attr(feature = "axum", doc = "```")]
#![cfg_attr(not(feature = "axum"), doc = "```text")]
//! use axum::Router;
//! use axum::extract::{Path, State};
//! use axum::routing::get;
//! use tidings_hub::{
//!     Emitter, Emitters, Event, Hub, InvalidTopic, PublishError, Published, StreamRequest, Topic,
//! };
//!
//! type Users = Emitters<String>;
//!
//! async fn connect(
//!     State(users): State<Users>,
//!     Path(user): Path<String>,
//!     request: StreamRequest,
//! ) -> Result<Emitter<String>, InvalidTopic> {
//!     users.connect(user, request)
//! }
//!
//! async fn send(
//!     State(users): State<Users>,
//!     Path(user): Path<String>,
//!     text: String,
//! ) -> Result<Published, PublishError> {
//!     users.send(&user, Event::new(text)).await
//! }
//!
//! let users = Emitters::new(&Hub::default(), Topic::from_static("users"));
//! let app: Router = Router::new().route("/users/{user}", get(connect).post(send)).with_state(users);
//! ```

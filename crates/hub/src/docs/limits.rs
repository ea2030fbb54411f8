//! Limits: every maximum of a hub, and what is left to the program.
//!
//! | what | maximum | where |
//! | --- | --- | --- |
//! | a topic | 1,024 bytes | [`Topic::BYTES_MAX`](crate::Topic::BYTES_MAX) |
//! | topics of one event | 100 | [`Topics::MAX`](crate::Topics::MAX) |
//! | type, ID and data of an event | 1 MiB, settable | [`HubConfig::event_bytes_max`](crate::HubConfig::event_bytes_max) |
//! | a publisher-given ID | 128 bytes | [`RefusedId::TooLong`](crate::RefusedId::TooLong) |
//! | an idempotency key | 256 bytes | [`IdempotencyKey::BYTES_MAX`](crate::IdempotencyKey::BYTES_MAX) |
//! | history | 256 MiB, settable | [`Retention::bytes_max`](crate::Retention::bytes_max) |
//! | pages that readers behind memory share | 64 MiB, settable | [`HubConfig::pages_bytes_max`](crate::HubConfig::pages_bytes_max) |
//! | one piece of a body | 16 KiB, or one larger event | [`Body`](crate::Body) |
//! | what a gap repeats of a client's ID | 256 bytes | [`Gap::ASKED_BYTES_MAX`](crate::Gap::ASKED_BYTES_MAX) |
//!
//! The number of streams is for the program to limit: [`HubStats::subscribers`](crate::HubStats::subscribers)
//! counts them. So are routes, sockets and tokens: who may publish to a topic and who may read it is decided
//! in your handler, before it calls the hub.
//!
//! So is a client that takes nothing. The hub queues nothing for it, but cannot end its stream either: a body
//! is not asked for more until its client has taken what it was given, and the hub owns no connection that it
//! could close. Close it in your server: over HTTP/1.1 by a timeout for writes (and on Linux
//! `TCP_USER_TIMEOUT`, for clients that are gone), over HTTP/2 by resetting the stream. The body is dropped
//! then, and its hooks run.

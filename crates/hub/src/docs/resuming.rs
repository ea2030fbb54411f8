//! Resuming: a client that comes back goes on where it was.
//!
//! Every event has an ID. Unless the publisher gives one, it spells a [`Cursor`](crate::Cursor): which
//! history, and where in it. A client that comes back sends the ID of the last event it has seen, and its
//! stream starts after that event. The [`StreamRequest`](crate::StreamRequest) reads it:
//!
//! | the client sends | its stream starts |
//! | --- | --- |
//! | nothing | with the next event: [`Start::Tail`](crate::Start::Tail) |
//! | `Last-Event-ID: …` | after that event: [`Start::After`](crate::Start::After) |
//! | `?last_event_id=…`, `?lastEventId=…`, `?lastEventID=…` | likewise, for clients that cannot set the header |
//! | `earliest` in one of these | with the oldest event held: [`Start::Oldest`](crate::Start::Oldest) |
//!
//! Nothing else is needed: an EventSource sends the header by itself.
//!
//! # The place before the first event
//!
//! A connection can break before the first event, and the client would then have no ID to send. So an
//! EventSource is given its place at the start of the stream, by a block with nothing but an ID. Other
//! clients get no such block, because some of them take it for a message.
//! [`Client::from_headers`](crate::Client::from_headers) tells them apart.
//!
//! # IDs of your own
//!
//! An event with an [ID of its own](crate::Event::with_id) keeps it. Readers resume with it as well; the
//! earliest event with this ID in their view counts. [`RefusedId`](crate::RefusedId) lists the IDs that a hub
//! refuses.

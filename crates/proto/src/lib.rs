//! The text of Server-Sent Events: an incremental decoder and an encoder, without I/O.
//!
//! An event stream is the text of one `text/event-stream` response: lines of fields, a blank line
//! after each event. This crate turns that text into events and events into that text, and does
//! nothing else. It opens no socket, reads no clock, logs nothing, and needs only `alloc`. The owner
//! of the connection hands over bytes and gets events; see [section 9.2 of the HTML standard][spec]
//! for the rules.
//!
//! # Decoding
//!
//! A [`Decoder`] takes chunks, however the network cut them, and lends out one [`Item`] at a time:
//!
//! ```
//! use tidings_proto::{Decoder, Item};
//!
//! let mut decoder = Decoder::new();
//! let mut seen = Vec::new();
//! for chunk in ["event: greeting\nda", "ta: hello\n", "\n: a comment\n"] {
//!     let mut input = chunk.as_bytes();
//!     while let Some(item) = decoder.decode(&mut input)? {
//!         match item {
//!             Item::Event(event) => seen.push(format!("{}: {}", event.event_type, event.data)),
//!             Item::Comment(_) => seen.push("a sign of life".to_owned()),
//!             _ => {}
//!         }
//!     }
//! }
//! assert_eq!(seen, ["greeting: hello", "a sign of life"]);
//! # Ok::<(), tidings_proto::LimitExceeded>(())
//! ```
//!
//! An event that lies whole in one chunk is lent from that chunk, without a copy or an allocation.
//! One that arrives in pieces, or whose data has several lines, is put together in a buffer that
//! the decoder keeps and uses again. [`EventRef::to_buf`] makes an event that can be kept.
//!
//! **There are no syntax errors.** The format has none: unknown fields are ignored, and malformed
//! UTF-8 becomes U+FFFD. The one way to fail is a [limit](Limits), on by default, so that a stream
//! that never ends its event cannot exhaust memory.
//!
//! # The place in the stream
//!
//! The decoder follows the last event ID, which a reader sends as `Last-Event-ID` to continue where
//! it was cut off. It moves when a block ends, with or without an event in it:
//!
//! ```
//! use tidings_proto::Decoder;
//!
//! let mut decoder = Decoder::new();
//! let mut input: &[u8] = b"id: 1\ndata: whole\n\nid: 2\ndata: cut of";
//! while decoder.decode(&mut input)?.is_some() {}
//! assert_eq!(decoder.last_event_id(), "1");
//!
//! // The connection was lost. The pending event is discarded, the place is kept.
//! decoder.end_of_stream();
//! let mut input: &[u8] = b"data: no ID of its own\n\n";
//! while decoder.decode(&mut input)?.is_some() {}
//! assert_eq!(decoder.last_event_id(), "1");
//! # Ok::<(), tidings_proto::LimitExceeded>(())
//! ```
//!
//! # Encoding
//!
//! An [`Event`] is what gets published. Its parts are checked when they are made, so every event can
//! be written and no text can smuggle in a field of its own:
//!
//! ```
//! use tidings_proto::{Event, EventId, EventType, encode};
//!
//! let event = Event::new("two\nlines")
//!     .with_type(EventType::from_static("notice"))
//!     .with_id(EventId::new(42.to_string())?);
//! let mut text = Vec::new();
//! encode(&event, &mut text);
//! assert_eq!(text, b"id: 42\nevent: notice\ndata: two\ndata: lines\n\n");
//!
//! assert!(EventId::new("42\ndata: forged").is_err());
//! # Ok::<(), tidings_proto::InvalidEventId>(())
//! ```
//!
//! With the feature `json`, `Event::json(&value)` makes an event of any `serde::Serialize`.
//!
//! [`encoded_len`] returns beforehand how many bytes that will be. [`encode_with_id`] writes an event
//! under another ID; [`encode_id_block`], [`encode_retry`], [`encode_comment`] and [`HEARTBEAT`]
//! are the pieces of a stream that are not events.
//!
//! # Two types for two directions
//!
//! A published [`Event`] and a received [`EventRef`] (or its owned form, [`EventBuf`]) are not the
//! same thing. A received event always has a last event ID, usually an earlier event's, and its
//! type may contain a NUL, which is legal to read and refused for writing. [`EventRef::to_event`]
//! converts one into the other, for programs that pass events on.
//!
//! [spec]: https://html.spec.whatwg.org/multipage/server-sent-events.html

#![no_std]
extern crate alloc;

mod decode;
mod encode;
mod event;
mod event_id;
mod event_type;
mod one_line;

pub use decode::{Decoder, EventBuf, EventRef, Item, LimitExceeded, Limits};
pub use encode::{
    HEARTBEAT, InvalidComment, encode, encode_comment, encode_id, encode_id_block, encode_retry,
    encode_with_id, encoded_len, encoded_len_with_id,
};
pub use event::Event;
#[cfg(feature = "json")]
pub use event::JsonError;
pub use event_id::{EventId, EventIdRef, InvalidEventId};
pub use event_type::{EventType, InvalidEventType};

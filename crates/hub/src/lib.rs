//! Topics, history, and subscribers that are cursors in it: an embeddable Server-Sent Events hub.

mod body;
mod clock;
mod cursor;
mod draft;
mod emitters;
mod filter;
mod history;
mod hub;
pub mod journal;
mod json;
mod publish;
mod reader;
mod start;
mod subscriber;
pub mod tap;
mod time;
mod topic;
mod watch;

pub use tidings_proto::{Event, EventId, EventType};

pub use crate::body::{Body, Client, StreamEnd};
pub use crate::cursor::{Cursor, Epoch, Sequence};
pub use crate::draft::{Draft, IdempotencyKey, InvalidIdempotencyKey, RefusedId, Topics};
pub use crate::emitters::{Emitter, Emitters, SendError};
pub use crate::filter::{InvalidPattern, Pattern, TopicFilter, View};
pub use crate::history::Retention;
pub use crate::hub::{Hub, HubConfig, HubStats, TopicInfo};
pub use crate::publish::{PublishError, Published, Publishing, Refused};
pub use crate::reader::Gap;
pub use crate::start::Start;
pub use crate::subscriber::{Delivery, Page, Received, Subscriber};
pub use crate::time::{Now, Time};
pub use crate::topic::{InvalidTopic, Topic};

/// Limits for reading back what was checked when it was published.
fn unlimited() -> tidings_proto::Limits {
    tidings_proto::Limits::default().with_event_bytes_max(usize::MAX)
}

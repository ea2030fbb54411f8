//! What handlers read of a request: its path, its query, what it accepts, its body.

mod accept;
mod body;
mod path;
mod query;

pub(crate) use self::accept::{Format, essence};
pub use self::body::RequestBody;
pub(crate) use self::body::{refuse_coding, utf8};
pub(crate) use self::path::{topic, topic_of_path};
pub(crate) use self::query::{Query, invalid};

//! What handlers read of a request: its path, its query, what it accepts, its body.

mod accept;
mod body;
mod headers;
mod path;
mod query;

pub(crate) use self::accept::{Format, essence};
pub use self::body::RequestBody;
pub(crate) use self::body::utf8;
pub(crate) use self::headers::Given;
pub(crate) use self::path::{topic, topic_of_path};
pub(crate) use self::query::{Query, invalid};

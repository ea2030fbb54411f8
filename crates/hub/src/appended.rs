//! The outcome of a request to a stream.

use crate::cursor::Cursor;
use crate::publish::Published;
use crate::streams::StreamTurn;

/// The outcome of [`Hub::append`](crate::Hub::append).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Appended {
    /// Its events.
    pub published: Vec<Published>,
    /// The place where the stream begins, if the request began it.
    pub begin: Option<Cursor>,
    /// The place where the stream ends, if the request ended it.
    pub end: Option<Cursor>,
    /// The stream, if it is open, and the turn in which the next request of this kind is.
    pub stream: Option<StreamTurn>,
    /// `true` if the request had been sent before, by the producer or with the same key. Nothing was published this
    /// time.
    pub is_duplicate: bool,
}

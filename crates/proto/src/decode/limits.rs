//! How much a stream may make the decoder hold.

use core::fmt;

/// The most a [`Decoder`](crate::Decoder) holds for a stream.
///
/// On by default. A stream that exceeds one is either hostile or not an event stream, and without
/// limits it would take all memory.
///
/// ```
/// use tidings_proto::{Decoder, Limits};
///
/// let decoder = Decoder::with_limits(Limits::default().with_event_bytes_max(1024 * 1024));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    event_bytes_max: usize,
    comment_bytes_max: usize,
}

impl Limits {
    /// Sets how many bytes one event may have; 16 MiB by default.
    ///
    /// What counts are the values of its `data`, `event` and `id` lines as they were received, also
    /// of those a later line replaces, with one byte for the LF between two `data` lines. A `retry`
    /// line is held to the limit by itself. One byte past it, the decoder stops with
    /// [`LimitExceeded`].
    ///
    /// What the decoder holds is a small multiple of it: an unfinished line and the block it
    /// belongs to are kept apart, a buffer that grew may have twice the size it needs, and U+FFFD
    /// takes three bytes where one malformed byte was received.
    #[must_use]
    pub fn with_event_bytes_max(mut self, event_bytes_max: usize) -> Self {
        self.event_bytes_max = event_bytes_max;
        self
    }

    /// Sets how many bytes of a comment are kept; 4 KiB by default.
    ///
    /// A longer comment is cut there, before a character that would not fit whole, and is no
    /// error. At 0 a comment is only a sign of life.
    #[must_use]
    pub fn with_comment_bytes_max(mut self, comment_bytes_max: usize) -> Self {
        self.comment_bytes_max = comment_bytes_max;
        self
    }

    /// Returns how many bytes one event may have.
    #[must_use]
    pub fn event_bytes_max(self) -> usize {
        self.event_bytes_max
    }

    /// Returns how many bytes of a comment are kept.
    #[must_use]
    pub fn comment_bytes_max(self) -> usize {
        self.comment_bytes_max
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { event_bytes_max: EVENT_BYTES_MAX, comment_bytes_max: COMMENT_BYTES_MAX }
    }
}

/// An event had more bytes than [`Limits::event_bytes_max`] allows.
///
/// Reading the same event again would end the same way, so this is final for the connection: the
/// decoder answers every further call with it until [`Decoder::end_of_stream`]. The place before
/// the event is kept in [`Decoder::last_event_id`].
///
/// [`Decoder::end_of_stream`]: crate::Decoder::end_of_stream
/// [`Decoder::last_event_id`]: crate::Decoder::last_event_id
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitExceeded {
    /// The limit that was in force.
    pub event_bytes_max: usize,
}

impl fmt::Display for LimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event is larger than {} bytes", self.event_bytes_max)
    }
}

impl core::error::Error for LimitExceeded {}

/// Larger than any event a person or a model has been seen to send, small enough to hold for a few
/// hundred hostile streams.
const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Comments are for people who look at a stream: a screenful.
const COMMENT_BYTES_MAX: usize = 4 * 1024;

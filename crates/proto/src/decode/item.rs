//! The items that a decoder finds in a stream.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use core::time::Duration;

use crate::event_type::MESSAGE;
use crate::{Event, EventId, EventType, InvalidEventType};

/// Something a stream said, lent until the decoder is asked for the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Item<'a> {
    /// An event was dispatched. If its block had an `id`, that is the last event ID already.
    Event(EventRef<'a>),
    /// A comment line: the text after its colon, a space included, cut to
    /// [`Limits::comment_bytes_max`](crate::Limits::comment_bytes_max). A sign of life, no more.
    Comment(&'a str),
    /// A new reconnection time, in force at once, whatever becomes of its block.
    ///
    /// It is what the stream said, `0` and [`u64::MAX`] milliseconds included; a floor and a
    /// ceiling are the client's to set.
    Retry(Duration),
    /// A block with an `id` and no data ended: the last event ID is now this, and no event was
    /// dispatched.
    Id(&'a str),
}

/// A received event, lent by the decoder or by the chunk it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventRef<'a> {
    /// The type; `message` if the event named none.
    pub event_type: &'a str,
    /// The data, its lines joined by LF.
    pub data: &'a str,
    /// The last event ID as of this event: its own, or that of the latest before it that had one.
    /// Empty if there was none.
    pub last_event_id: &'a str,
    pub(super) has_id: bool,
}

impl<'a> EventRef<'a> {
    /// Returns the ID this event itself came with, where `last_event_id` may be an earlier one's.
    #[must_use]
    pub fn id(&self) -> Option<&'a str> {
        self.has_id.then_some(self.last_event_id)
    }

    /// Copies what is lent, to keep it.
    #[must_use]
    pub fn to_buf(&self) -> EventBuf {
        EventBuf {
            event_type: match self.event_type {
                MESSAGE => Cow::Borrowed(MESSAGE),
                other => Cow::Owned(other.into()),
            },
            data: self.data.into(),
            last_event_id: self.last_event_id.into(),
            has_id: self.has_id,
        }
    }

    /// Makes an event to publish of this one, with its own ID if it had one.
    ///
    /// # Errors
    ///
    /// The type may hold a NUL, which is legal to read and refused for writing.
    pub fn to_event(&self) -> Result<Event, InvalidEventType> {
        let event = Event::new(self.data).with_type(EventType::new(self.event_type)?);
        // An ID that was read has no CR, LF or NUL in it.
        match self.id().map(EventId::new) {
            Some(Ok(id)) => Ok(event.with_id(id)),
            Some(Err(_)) | None => Ok(event),
        }
    }
}

/// A received event that stands on its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventBuf {
    event_type: Cow<'static, str>,
    data: Box<str>,
    last_event_id: Box<str>,
    has_id: bool,
}

impl EventBuf {
    /// Returns the type; `message` if the event named none.
    #[must_use]
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// Returns the data, its lines joined by LF.
    #[must_use]
    pub fn data(&self) -> &str {
        &self.data
    }

    /// Takes the data out.
    #[must_use]
    pub fn into_data(self) -> Box<str> {
        self.data
    }

    /// Returns the last event ID as of this event: its own, or that of the latest before it that
    /// had one. Empty if there was none.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// Returns the ID this event itself came with, if it did.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.as_event_ref().id()
    }

    /// Lends the event again.
    #[must_use]
    pub fn as_event_ref(&self) -> EventRef<'_> {
        EventRef {
            event_type: &self.event_type,
            data: &self.data,
            last_event_id: &self.last_event_id,
            has_id: self.has_id,
        }
    }
}

impl From<EventRef<'_>> for EventBuf {
    fn from(event: EventRef<'_>) -> Self {
        event.to_buf()
    }
}

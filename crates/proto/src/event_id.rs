//! Event IDs: opaque text that is legal in an `id` field.

use alloc::boxed::Box;
use core::fmt;

use crate::refused::Refused;

/// Opaque text that names a place in a stream, checked to be legal in an `id` field.
///
/// Any text without CR, LF and NUL is legal, the empty one included: `id` with an empty value
/// resets a reader's last event ID. No length is enforced here; an ID comes back in a request
/// header, so short ones are wise, and a hub may be stricter about those it accepts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Box<str>);

impl EventId {
    /// Checks `id` once, so that nothing after this point has to.
    ///
    /// # Errors
    ///
    /// CR and LF would end the field early and let `id` smuggle in fields of its own; NUL makes
    /// every conforming reader ignore the field.
    pub fn new(id: impl Into<Box<str>>) -> Result<Self, InvalidEventId> {
        let value = id.into();
        match Refused::find(&value) {
            Some(refused) => Err(InvalidEventId { value, refused }),
            None => Ok(Self(value)),
        }
    }

    /// Returns the ID as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Borrows the ID for the encoder.
    #[must_use]
    pub fn as_id_ref(&self) -> EventIdRef<'_> {
        EventIdRef(&self.0)
    }

    /// Gives the text back.
    #[must_use]
    pub fn into_boxed_str(self) -> Box<str> {
        self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for EventId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<EventIdRef<'_>> for EventId {
    fn from(id: EventIdRef<'_>) -> Self {
        Self(id.0.into())
    }
}

impl TryFrom<&str> for EventId {
    type Error = InvalidEventId;

    fn try_from(id: &str) -> Result<Self, InvalidEventId> {
        Self::new(id)
    }
}

impl core::str::FromStr for EventId {
    type Err = InvalidEventId;

    fn from_str(id: &str) -> Result<Self, InvalidEventId> {
        Self::new(id)
    }
}

/// A borrowed [`EventId`], for an ID that was spelt into a buffer and is written at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventIdRef<'a>(&'a str);

impl<'a> EventIdRef<'a> {
    /// Checks `id` without taking or copying it.
    ///
    /// # Errors
    ///
    /// Those of [`EventId::new`].
    pub fn new(id: &'a str) -> Result<Self, InvalidEventId> {
        match Refused::find(id) {
            Some(refused) => Err(InvalidEventId { value: id.into(), refused }),
            None => Ok(Self(id)),
        }
    }

    /// Returns the ID as text.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

impl<'a> From<&'a EventId> for EventIdRef<'a> {
    fn from(id: &'a EventId) -> Self {
        id.as_id_ref()
    }
}

/// The text cannot be an event ID: it holds CR, LF or NUL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidEventId {
    value: Box<str>,
    refused: Refused,
}

impl InvalidEventId {
    /// Returns the text that was refused.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Returns where the first refused character stands, in bytes from the start.
    #[must_use]
    pub fn position(&self) -> usize {
        self.refused.position
    }
}

impl fmt::Display for InvalidEventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event ID holds {}", self.refused)
    }
}

impl core::error::Error for InvalidEventId {}

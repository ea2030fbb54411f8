//! Event IDs: opaque text that is legal in an `id` field.

use alloc::boxed::Box;

use crate::one_line::{is_one_line, one_line_text};

/// Opaque text that names a place in a stream, checked to be legal in an `id` field.
///
/// Any text without CR, LF and NUL is legal, including the empty one: `id` with an empty value
/// resets a reader's last event ID. This type does not limit the length. An ID comes back in a
/// request header, so it should be short, and a hub may be stricter about the IDs that it accepts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Box<str>);

one_line_text!(EventId, InvalidEventId, "event ID");

impl EventId {
    /// Checks `id` once, so that nothing after this point has to.
    ///
    /// # Errors
    ///
    /// CR and LF would end the field early and let `id` smuggle in fields of its own; NUL makes
    /// every conforming reader ignore the field.
    pub fn new(id: impl Into<Box<str>>) -> Result<Self, InvalidEventId> {
        let id = id.into();
        InvalidEventId::check(&id)?;
        Ok(Self(id))
    }

    /// Makes an ID of a literal.
    ///
    /// # Panics
    ///
    /// If `id` contains CR, LF or NUL.
    #[must_use]
    #[track_caller]
    pub fn from_static(id: &'static str) -> Self {
        assert!(is_one_line(id), "an event ID contains no CR, LF or NUL");
        Self(id.into())
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

    /// Returns the text itself.
    #[must_use]
    pub fn into_boxed_str(self) -> Box<str> {
        self.0
    }
}

impl From<EventIdRef<'_>> for EventId {
    fn from(id: EventIdRef<'_>) -> Self {
        Self(id.0.into())
    }
}

/// A borrowed [`EventId`], for an ID that is spelled into a buffer and written at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventIdRef<'a>(&'a str);

impl<'a> EventIdRef<'a> {
    /// Checks `id` without taking or copying it.
    ///
    /// # Errors
    ///
    /// Those of [`EventId::new`].
    pub fn new(id: &'a str) -> Result<Self, InvalidEventId> {
        InvalidEventId::check(id)?;
        Ok(Self(id))
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

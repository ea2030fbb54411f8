//! Event types: the `event` field, `message` when absent.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use core::fmt;

use crate::one_line::{is_one_line, one_line_text};

/// The type of an event: the name under which a page registers its listeners.
///
/// The type of an event without an `event` field is `message`, so an empty text means `message`
/// too. Any other text without CR, LF and NUL is legal. A type made of a literal takes no
/// allocation, and can be a constant:
///
/// ```
/// use tidings_proto::EventType;
///
/// const TICK: EventType = EventType::from_static("tick");
/// assert_eq!(TICK.as_str(), "tick");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType(
    /// Never empty: the empty text is `message`.
    Cow<'static, str>,
);

one_line_text!(EventType, InvalidEventType, "event type");

impl EventType {
    /// The type of an event without an `event` field.
    pub const MESSAGE: Self = Self(Cow::Borrowed(MESSAGE));

    /// Checks `event_type` once, so that nothing after this point has to.
    ///
    /// # Errors
    ///
    /// CR and LF would end the field early and let the text smuggle in fields of its own; NUL is
    /// refused as in IDs.
    pub fn new(event_type: impl Into<Box<str>> + AsRef<str>) -> Result<Self, InvalidEventType> {
        if matches!(event_type.as_ref(), "" | MESSAGE) {
            return Ok(Self::MESSAGE);
        }
        let event_type = event_type.into();
        InvalidEventType::check(&event_type)?;
        Ok(Self(Cow::Owned(event_type.into())))
    }

    /// Makes a type of a literal, without an allocation.
    ///
    /// # Panics
    ///
    /// If `event_type` contains CR, LF or NUL: in a constant, an error of the compiler.
    #[must_use]
    pub const fn from_static(event_type: &'static str) -> Self {
        assert!(is_one_line(event_type), "an event type contains no CR, LF or NUL");
        if event_type.is_empty() { Self::MESSAGE } else { Self(Cow::Borrowed(event_type)) }
    }

    /// Returns the type as text, `message` spelled out.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether this is the type of an event without an `event` field.
    #[must_use]
    pub fn is_message(&self) -> bool {
        self.0 == MESSAGE
    }
}

impl Default for EventType {
    fn default() -> Self {
        Self::MESSAGE
    }
}

impl fmt::Debug for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EventType").field(&self.as_str()).finish()
    }
}

pub(crate) const MESSAGE: &str = "message";

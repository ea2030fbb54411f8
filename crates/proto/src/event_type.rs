//! Event types: the `event` field, `message` when absent.

use alloc::boxed::Box;
use core::fmt;
use core::hash::{Hash, Hasher};

use crate::refused::Refused;

/// What kind of event this is: the name its listeners are registered under.
///
/// The type of an event that names none is `message`, so an empty text means `message` too, and
/// neither takes an allocation. Any other text without CR, LF and NUL is legal.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct EventType(
    /// `None` is `message`, and is its only spelling here.
    Option<Box<str>>,
);

impl EventType {
    /// The type of an event that names none.
    pub const MESSAGE: Self = Self(None);

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
        let value = event_type.into();
        match Refused::find(&value) {
            Some(refused) => Err(InvalidEventType { value, refused }),
            None => Ok(Self(Some(value))),
        }
    }

    /// Returns the type as text, `message` spelt out.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or(MESSAGE)
    }

    /// Whether this is the type of an event that names none.
    #[must_use]
    pub fn is_message(&self) -> bool {
        self.0.is_none()
    }
}

impl fmt::Debug for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EventType").field(&self.as_str()).finish()
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Hash for EventType {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialOrd for EventType {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for EventType {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl AsRef<str> for EventType {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl TryFrom<&str> for EventType {
    type Error = InvalidEventType;

    fn try_from(event_type: &str) -> Result<Self, InvalidEventType> {
        Self::new(event_type)
    }
}

impl core::str::FromStr for EventType {
    type Err = InvalidEventType;

    fn from_str(event_type: &str) -> Result<Self, InvalidEventType> {
        Self::new(event_type)
    }
}

/// The text cannot be an event type: it holds CR, LF or NUL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidEventType {
    value: Box<str>,
    refused: Refused,
}

impl InvalidEventType {
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

impl fmt::Display for InvalidEventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event type holds {}", self.refused)
    }
}

impl core::error::Error for InvalidEventType {}

pub(crate) const MESSAGE: &str = "message";

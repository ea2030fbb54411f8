//! The event as its publisher makes it.

use alloc::boxed::Box;
use core::time::Duration;

use crate::{EventId, EventType};

/// An event to publish: a type, data, and optionally an ID and a reconnection time.
///
/// An event is always legal to write, because its parts are checked when they are made. Data may be
/// any text. The format cannot tell CR, CRLF and LF apart, so each arrives as LF.
///
/// The parts are private and set by `with_*`, so that more can be added.
///
/// # Examples
///
/// ```
/// use tidings_proto::{Event, EventType};
///
/// const TICK: EventType = EventType::from_static("tick");
///
/// let event = Event::new("{\"price\":42}").with_type(TICK);
/// assert_eq!(event.event_type().as_str(), "tick");
/// assert_eq!(event.data(), "{\"price\":42}");
/// assert_eq!(event.id(), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    event_type: EventType,
    data: Box<str>,
    id: Option<EventId>,
    /// Milliseconds, because that is all the field can say.
    retry: Option<u64>,
}

impl Event {
    /// Makes an event of the type `message`, without an ID.
    #[must_use]
    pub fn new(data: impl Into<Box<str>>) -> Self {
        Self { event_type: EventType::MESSAGE, data: data.into(), id: None, retry: None }
    }

    /// Makes an event whose data is `value` as JSON, of the type `message` and without an ID.
    ///
    /// # Errors
    ///
    /// [`JsonError`] if JSON cannot express the value: a map whose keys are not text, or a `Serialize`
    /// implementation that fails.
    ///
    /// # Examples
    ///
    /// ```
    /// use serde_json::json;
    /// use tidings_proto::Event;
    ///
    /// let event = Event::json(&json!({ "price": 42 }))?;
    /// assert_eq!(event.data(), "{\"price\":42}");
    /// # Ok::<(), tidings_proto::JsonError>(())
    /// ```
    #[cfg(feature = "json")]
    pub fn json(value: &(impl serde::Serialize + ?Sized)) -> Result<Self, JsonError> {
        serde_json::to_string(value).map(Self::new).map_err(JsonError)
    }

    /// Sets the type.
    #[must_use]
    pub fn with_type(mut self, event_type: EventType) -> Self {
        self.event_type = event_type;
        self
    }

    /// Sets the ID.
    #[must_use]
    pub fn with_id(mut self, id: EventId) -> Self {
        self.id = Some(id);
        self
    }

    /// Sets the reconnection time that goes with the event.
    ///
    /// The field counts whole milliseconds. A fraction is rounded up, so that no client returns sooner
    /// than asked; a longer time is cut to `u64::MAX` milliseconds.
    #[must_use]
    pub fn with_retry(mut self, reconnection_time: Duration) -> Self {
        self.retry = Some(whole_millis(reconnection_time));
        self
    }

    /// Returns the type.
    #[must_use]
    pub fn event_type(&self) -> &EventType {
        &self.event_type
    }

    /// Returns the data.
    #[must_use]
    pub fn data(&self) -> &str {
        &self.data
    }

    /// Returns the ID, if the event has one of its own.
    #[must_use]
    pub fn id(&self) -> Option<&EventId> {
        self.id.as_ref()
    }

    /// Returns the reconnection time that goes with the event, in whole milliseconds.
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.retry.map(Duration::from_millis)
    }

    pub(crate) fn retry_millis(&self) -> Option<u64> {
        self.retry
    }
}

/// A value that JSON cannot express.
#[cfg(feature = "json")]
#[derive(Debug)]
pub struct JsonError(serde_json::Error);

#[cfg(feature = "json")]
impl core::fmt::Display for JsonError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the value cannot be written as JSON")
    }
}

#[cfg(feature = "json")]
impl core::error::Error for JsonError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// Rounds up to what a `retry` field can say.
pub(crate) fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(NANOS_PER_MILLI)).unwrap_or(u64::MAX)
}

const NANOS_PER_MILLI: u128 = 1_000_000;

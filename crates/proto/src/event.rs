//! The event as its publisher made it.

use alloc::boxed::Box;
use core::time::Duration;

use crate::{EventId, EventType};

/// One unit to be published: a type, data, and perhaps an ID and a reconnection time.
///
/// Everything in it is legal to write, because its parts were checked when they were made. Data may
/// be any text; the format has no way to tell CR, CRLF and LF apart, so each arrives as LF.
///
/// The parts are private and set by `with_*`, so that more can be added.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use tidings_proto::{Event, EventType};
///
/// let event = Event::new("{\"price\":42}").with_type(EventType::new("tick")?);
/// assert_eq!(event.event_type().as_str(), "tick");
/// assert_eq!(event.data(), "{\"price\":42}");
/// assert_eq!(event.id(), None);
/// # Ok::<(), tidings_proto::InvalidEventType>(())
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
    /// The field counts whole milliseconds: a fraction is rounded up, so that nobody returns sooner
    /// than was asked, and more than `u64::MAX` of them is cut to that.
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

/// Rounds up to what a `retry` field can say.
pub(crate) fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(NANOS_PER_MILLI)).unwrap_or(u64::MAX)
}

const NANOS_PER_MILLI: u128 = 1_000_000;

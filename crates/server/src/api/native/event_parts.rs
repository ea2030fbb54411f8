//! The parts of an event beside its data.

use std::time::Duration;

use tidings_hub::{Event, EventId, EventType};

use crate::http::problem::Problem;

/// The parts of an event beside its data, as text that is still to be checked.
#[derive(Debug, Default)]
pub(super) struct EventParts {
    pub(super) event_type: Option<String>,
    pub(super) id: Option<String>,
    pub(super) retry: Option<Duration>,
}

impl EventParts {
    /// Makes the event, or says which part is against the rules.
    pub(super) fn into_event(self, data: &str) -> Result<Event, Problem> {
        let mut event = Event::new(data);
        if let Some(event_type) = self.event_type {
            let event_type = EventType::new(event_type).map_err(|error| {
                let at = error.position();
                Problem::invalid_event(&format!(
                    "an event type must not contain CR, LF or NUL: see byte {at}"
                ))
            })?;
            event = event.with_type(event_type);
        }
        if let Some(id) = self.id {
            let id = EventId::new(id).map_err(|error| {
                let at = error.position();
                Problem::invalid_event(&format!(
                    "an event ID must not contain CR, LF or NUL: see byte {at}"
                ))
            })?;
            event = event.with_id(id);
        }
        if let Some(retry) = self.retry {
            event = event.with_retry(retry);
        }
        Ok(event)
    }
}

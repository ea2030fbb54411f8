//! Publishes an event stream: the format that comes out of the hub goes in, too.

use std::fmt;

use tidings_hub::{Draft, Event, Topics};
use tidings_proto::{Decoder, Item, LimitExceeded, Limits};

use super::ingest::{BodyItems, EventReader};
use super::query_topics::query_topics;
use crate::http::problem::{Problem, ProblemKind};
use crate::http::request::Query;

/// Decodes a body as an event source does. Types and IDs are kept; comments and reconnection times
/// were for the connection they came on.
pub(super) struct EventStream {
    decoder: Decoder,
    topics: Topics,
}

impl EventStream {
    /// For the topics of the query.
    pub(super) fn new(query: &Query, event_bytes_max: usize) -> Result<Self, Problem> {
        let topics = query_topics(query, "an event stream does not say its topic")?;
        let limits =
            Limits::default().with_event_bytes_max(event_bytes_max).with_comment_bytes_max(0);
        Ok(Self { decoder: Decoder::with_limits(limits), topics })
    }
}

impl EventStream {
    /// The topics that its events are published to.
    pub(super) fn topics(&self) -> &Topics {
        &self.topics
    }
}

impl EventReader for EventStream {
    fn read(&mut self, chunk: &[u8], items: &mut BodyItems) -> Result<(), Problem> {
        let mut input = chunk;
        while let Some(item) = self.decoder.decode(&mut input).map_err(too_large)? {
            let Item::Event(event) = item else { continue };
            let resets_id = event.id() == Some("");
            let mut event = event.to_event().map_err(|error| {
                let at = error.position();
                Problem::invalid_event(&format!(
                    "an event type must not contain NUL: see byte {at}"
                ))
            })?;
            // An empty ID resets the last event ID of the upstream's readers. Readers here have IDs
            // of this hub.
            if resets_id {
                event = Event::new(event.data()).with_type(event.event_type().clone());
            }
            items.push(Draft::new(self.topics.clone(), event));
        }
        Ok(())
    }

    fn unfinished_bytes(&self) -> usize {
        self.decoder.unfinished_bytes()
    }

    /// Discards an event that no blank line followed, as every client does (WHATWG HTML, section
    /// 9.2.6).
    fn end(&mut self, _: &mut BodyItems) -> Result<(), Problem> {
        self.decoder.end_of_stream();
        Ok(())
    }
}

fn too_large(exceeded: LimitExceeded) -> Problem {
    let bytes_max = exceeded.event_bytes_max;
    let detail = format!("an event has at most {bytes_max} bytes, this one has more");
    Problem::new(ProblemKind::EventTooLarge, detail).with("bytes_max", bytes_max)
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").field("topics", &self.topics).finish_non_exhaustive()
    }
}

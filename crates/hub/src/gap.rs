//! Gaps: telling a reader that it lost events.

use tidings_proto::{Event, EventId, EventType, encode};

use crate::cursor::Cursor;
use crate::json;

/// Events that a subscriber should have had and that are no longer held.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// The place it asked for: a last event ID as it was sent, or the cursor that was overtaken.
    pub asked: Box<str>,
    /// The oldest event still held for its view after that place; `None` if there is none, or if its
    /// stream ended before.
    pub oldest: Option<EventId>,
    /// The place after the gap. A reader that comes back with it is not told of this gap again.
    pub place: Cursor,
}

impl Gap {
    /// The most bytes that a gap repeats of what a client asked for, so that the answer stays small.
    pub const ASKED_BYTES_MAX: usize = 256;

    /// The part of a client's ID that a gap repeats: cut between characters.
    pub(crate) fn asked(id: &str) -> &str {
        &id[..id.floor_char_boundary(Self::ASKED_BYTES_MAX)]
    }

    /// The event that tells a reader. Its type is `gap`, its ID is [`Gap::place`], and its data is JSON:
    /// `asked` and `oldest`, the latter `null` if nothing is held.
    #[must_use]
    pub fn to_event(&self) -> Event {
        const GAP: EventType = EventType::from_static("gap");
        let mut data = String::from("{\"asked\":");
        json::write_string(&self.asked, &mut data);
        data.push_str(",\"oldest\":");
        match &self.oldest {
            Some(oldest) => json::write_string(oldest.as_str(), &mut data),
            None => data.push_str("null"),
        }
        data.push('}');
        Event::new(data).with_type(GAP).with_id(self.place.to_event_id())
    }

    /// Writes the event that [tells](Gap::to_event) the gap.
    pub fn write(&self, out: &mut Vec<u8>) {
        encode(&self.to_event(), out);
    }
}

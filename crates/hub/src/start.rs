//! Where a subscription starts.

use http::HeaderMap;

use crate::cursor::{Cursor, Sequence};

/// The last event ID that asks for everything held.
pub(crate) const EARLIEST: &str = "earliest";

/// Where a subscription starts in its view's events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// With the next event.
    #[default]
    Tail,
    /// With the oldest event held. Events that were evicted before are no gap.
    Oldest,
    /// After the event with this ID, as a client sends it back: a cursor that the hub spelled, or a
    /// publisher-given ID. If the ID leads nowhere, the subscriber is told of a gap and then sent
    /// everything held.
    After(Box<str>),
    /// After an event whose ID [`Hub::locate`](crate::Hub::locate) has looked up.
    Located(LocatedId),
}

/// A last event ID that was looked up: the place that it means, if it means one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocatedId {
    pub(crate) id: Box<str>,
    pub(crate) place: Option<Sequence>,
}

impl LocatedId {
    /// The ID.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Start {
    /// Reads a last event ID as clients send it: without one, or with an empty one, the stream starts at
    /// the tail; with `earliest` it starts with the oldest event.
    #[must_use]
    pub fn resume(last_event_id: Option<&str>) -> Self {
        match last_event_id {
            None | Some("") => Self::Tail,
            Some(EARLIEST) => Self::Oldest,
            Some(id) => Self::After(id.into()),
        }
    }

    /// Reads the header `Last-Event-ID` of a request, as the UTF-8 that browsers send (WHATWG HTML,
    /// section 9.2.3); malformed bytes become U+FFFD and so lead nowhere.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Self {
        let header = headers.get("last-event-id").map(|value| value.as_bytes());
        Self::resume(header.map(String::from_utf8_lossy).as_deref())
    }
}

impl From<Cursor> for Start {
    fn from(cursor: Cursor) -> Self {
        Self::After(cursor.to_string().into())
    }
}

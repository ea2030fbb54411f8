//! The text of streams beside their events: preamble, places, heartbeats, gaps.

use std::time::Duration;

use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue};
use tidings_proto::{Event, EventId, HEARTBEAT, encode_id_block, encode_retry};

use crate::cursor::{Cursor, Epoch};
use crate::reader::{Read, Reader};
use crate::shape::{GapShape, PING};
use crate::start::EARLIEST;

/// The kind of client that asked for a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Client {
    /// An EventSource as the standard has it: it keeps a place that a block with nothing but an ID
    /// gives it.
    EventSource,
    /// htmx with its extension for event streams. It comes back after every end, however it is answered,
    /// so it is asked to wait for a minute.
    Htmx,
    /// Anything else. Some of these clients dispatch an empty message at every blank line, so they
    /// are sent none that does not end an event.
    #[default]
    Other,
}

impl Client {
    /// Tells htmx by its `Accept: text/html, text/event-stream`, and an EventSource by the header that each
    /// of them sends: `Cache-Control: no-cache` (WHATWG HTML, section 9.2.3).
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        if lists(headers, &ACCEPT, "text/html") && lists(headers, &ACCEPT, "text/event-stream") {
            Self::Htmx
        } else if lists(headers, &CACHE_CONTROL, "no-cache") {
            Self::EventSource
        } else {
            Self::Other
        }
    }
}

/// Returns whether a header's list has an element.
fn lists(headers: &HeaderMap, name: &HeaderName, element: &str) -> bool {
    headers.get_all(name).iter().any(|value| {
        let mut elements = value.as_bytes().split(|&byte| byte == b',');
        elements.any(|listed| listed.trim_ascii().eq_ignore_ascii_case(element.as_bytes()))
    })
}

/// Writes the beginning of every stream: a comment, so that the connection opens at once, and the
/// reconnection time.
pub(crate) fn write_preamble(reconnection_time: Duration, out: &mut Vec<u8>) {
    out.extend_from_slice(HEARTBEAT);
    encode_retry(reconnection_time, out);
}

/// The headers of a response that is an event stream, those against proxies that buffer or transform
/// among them.
///
/// `place` is for streams of a history: its epoch, which the header `Tidings-Epoch` names for relays,
/// and the last event before the first one sent, which the header `Last-Event-ID` names, or `earliest`
/// where there is none.
#[must_use]
pub fn stream_headers(place: Option<(Epoch, Option<&EventId>)>) -> HeaderMap {
    const ACCEL: HeaderName = HeaderName::from_static("x-accel-buffering");
    const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
    let mut headers = HeaderMap::with_capacity(5);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert(ACCEL, HeaderValue::from_static("no"));
    if let Some((epoch, id)) = place {
        headers.insert(EPOCH, epoch_value(epoch));
        let id = id.map_or(EARLIEST, |id| id.as_str());
        // IDs are checked to be fit for a header when they are published.
        if let Ok(value) = HeaderValue::from_bytes(id.as_bytes()) {
            headers.insert(LAST_EVENT_ID, value);
        }
    }
    headers
}

/// Writes the headers of [`stream_headers`] as lines of HTTP/1, which is much less work than a map of them.
pub fn write_stream_headers((epoch, id): (Epoch, Option<&EventId>), out: &mut Vec<u8>) {
    out.extend_from_slice(
        b"content-type: text/event-stream\r\ncache-control: no-cache, no-transform\r\n\
          x-accel-buffering: no\r\ntidings-epoch: ",
    );
    out.extend_from_slice(&epoch.spell());
    out.extend_from_slice(b"\r\n");
    let id = id.map_or(EARLIEST, |id| id.as_str()).as_bytes();
    // IDs are checked to be fit for a header when they are published.
    if id.iter().all(|&byte| byte >= b' ' && byte != 0x7f) {
        out.extend_from_slice(b"last-event-id: ");
        out.extend_from_slice(id);
        out.extend_from_slice(b"\r\n");
    }
}

/// The header of a response that names the hub's epoch: relays make a hop of it.
pub const EPOCH: HeaderName = HeaderName::from_static("tidings-epoch");

/// The value of the header [`EPOCH`].
#[must_use]
pub fn epoch_value(epoch: Epoch) -> HeaderValue {
    HeaderValue::from_bytes(&epoch.spell()).expect("hexadecimal digits are legal in a header")
}

impl Reader {
    /// Writes the beginning of a stream: a comment, the reconnection time, and the reader's place.
    pub fn write_preamble(&mut self, client: Client, gap: GapShape, out: &mut Vec<u8>) {
        write_preamble(self.hub().config().reconnection_time, out);
        self.write_start(client, gap, out);
    }

    /// Writes the reader's place, for an EventSource. Where a gap is to be told, its event comes first
    /// and gives the place: one after an untold gap would hide it.
    pub(crate) fn write_start(&mut self, client: Client, gap: GapShape, out: &mut Vec<u8>) {
        if self.has_gap() {
            // The next read tells it, by the end of the stream.
            if gap == GapShape::Close {
                return;
            }
            if let Read::Gap(gap) = self.read(0, |_, _| {}) {
                gap.write(out);
            }
        } else if client == Client::EventSource && !self.is_unsettled() {
            self.write_place(out);
        }
    }

    pub(crate) fn write_heartbeat(&self, client: Client, silence: Silence, out: &mut Vec<u8>) {
        let has_place = self.resolved().only_topic().is_none() && !self.is_unsettled();
        write_heartbeat(has_place.then(|| self.cursor()), client, silence, out);
    }

    fn write_place(&self, out: &mut Vec<u8>) {
        write_place(self.cursor(), out);
    }
}

/// Writes a heartbeat: a comment and, for an EventSource that reads several topics, a fresh place. Without
/// it, evictions from other topics would become a gap.
pub(crate) fn write_heartbeat(
    place: Option<Cursor>,
    client: Client,
    silence: Silence,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(silence.text());
    if let Some(place) = place.filter(|_| client == Client::EventSource) {
        write_place(place, out);
    }
}

/// Returns what is sent last to a client whose stream has ended for good, after the end itself: an event
/// without data that asks htmx to come back in a minute. htmx looks at a reconnection time only if it comes
/// with a type or data.
#[must_use]
pub fn parting(client: Client) -> Option<&'static [u8]> {
    (client == Client::Htmx).then_some(b"event: retry\nretry: 60000\n\n")
}

/// The text that breaks a silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// A comment, which only the connection notices.
    Comment,
    /// An event of type `ping`, which a page notices.
    Ping,
}

impl Silence {
    pub(crate) fn text(self) -> &'static [u8] {
        match self {
            Self::Comment => HEARTBEAT,
            Self::Ping => PING,
        }
    }
}

fn write_place(cursor: Cursor, out: &mut Vec<u8>) {
    encode_id_block(cursor.to_event_id().as_id_ref(), out);
}

/// Returns a greeting without its ID, which would be a place that no reader can resume from.
#[must_use]
pub fn without_id(greeting: &Event) -> Event {
    let event = Event::new(greeting.data()).with_type(greeting.event_type().clone());
    match greeting.retry() {
        Some(retry) => event.with_retry(retry),
        None => event,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_lines_and_in_a_map_the_headers_are_the_same() {
        let epoch = Epoch::new(0x0123_4567_89ab_cdef).unwrap();
        let ids =
            ["7", "urn:uuid:x", "\u{e9}", "a\u{7f}b", "a\tb"].map(|id| EventId::new(id).unwrap());
        for id in ids.iter().map(Some).chain([None]) {
            let mut lines = Vec::new();
            write_stream_headers((epoch, id), &mut lines);
            let mut expected = Vec::new();
            for (name, value) in &stream_headers(Some((epoch, id))) {
                expected.extend_from_slice(name.as_str().as_bytes());
                expected.extend_from_slice(b": ");
                expected.extend_from_slice(value.as_bytes());
                expected.extend_from_slice(b"\r\n");
            }
            if id.is_some_and(|id| id.as_str().contains('\t')) {
                // Legal in a header, but no published ID has one.
                expected.truncate(lines.len());
            }
            assert_eq!(lines, expected, "{id:?}");
        }
    }
}

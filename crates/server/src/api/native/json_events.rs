//! Events as JSON, written from a place in history as their client takes them.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};

use serde::Serialize;
use tidings_hub::engine::{Paging, RawEvent};
use tidings_hub::{Cursor, Gap, Hub, Start, View};

use super::json_text::{push_json, push_json_part};
use crate::budget::OverBudget;
use crate::context::Context;
use crate::http::pieces::{PIECE_BYTES, Piece, PieceSource};
use crate::http::problem::Problem;
use crate::pins::{Pin, Pins};

/// Bytes of events that are read at once. A larger event is read alone, and shared with history.
const READ_BYTES_MAX: usize = 8 * 1024;

/// Bytes of an event's data that are written at once: a part of a piece, even if JSON spells each
/// byte with six.
const DATA_BYTES_MAX: usize = 2 * 1024;

/// The events of one answer.
///
/// Only some are in memory. If history evicts events that were not read yet, the answer ends before
/// the gap, and its `last_event_id` says so: the next request is told of the gap.
pub(super) struct JsonEvents {
    hub: Hub,
    view: View,
    paging: Paging,
    /// Whether all events of the answer have been read.
    is_read: bool,
    pins: Arc<Pins>,
    /// The events that were read and not written, large ones with their blocks.
    found: VecDeque<(RawEvent, Option<Pin>)>,
    written: Written,
}

/// How far the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    Nothing,
    /// The head, and no event.
    Head,
    /// An event, up to a place in its data.
    Within(usize),
    /// An event as a whole.
    Event,
}

impl JsonEvents {
    /// Begins to read, and waits for the first of the events or for the end of history.
    ///
    /// # Errors
    ///
    /// A [`Problem`] if there is no room for the first event.
    pub(super) async fn begin(
        context: &Context,
        view: &View,
        start: Start,
        limit: usize,
    ) -> Result<Self, Problem> {
        let mut events = Self {
            hub: context.hub.clone(),
            view: view.clone(),
            paging: Paging::new(&context.hub, view, start, limit),
            is_read: false,
            pins: Arc::clone(&context.pins),
            found: VecDeque::new(),
            written: Written::Nothing,
        };
        let first = poll_fn(|cx| events.poll_read(cx)).await;
        first.map_err(|OverBudget| Problem::too_many_bytes())?;
        Ok(events)
    }

    /// Returns whether there is nothing to tell, neither an event nor a gap.
    pub(super) fn is_empty(&self) -> bool {
        self.is_read && self.found.is_empty() && self.paging.gap().is_none()
    }

    /// Where to go on after these events, if there are none.
    pub(super) fn place(&self) -> Cursor {
        self.paging.place()
    }

    /// Reads on until there are events to write or all have been read. The one place where reading
    /// waits: pending while others have their turn, and where the journal has to read.
    ///
    /// An event for which there is no room is left for the next answer.
    fn poll_read(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), OverBudget>> {
        let mut found = Vec::new();
        self.is_read = !ready!(self.paging.poll_step(cx, READ_BYTES_MAX, &mut found));
        for event in found {
            let pin = match event.shared().map(|block| self.pins.hold(block)).transpose() {
                Ok(pin) => pin,
                Err(OverBudget) => {
                    self.paging.end_before(&event);
                    self.is_read = true;
                    return Poll::Ready(Err(OverBudget));
                }
            };
            self.found.push_back((event, pin));
        }
        if self.is_read || !self.found.is_empty() {
            return Poll::Ready(Ok(()));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes the events found, as far as a piece has room.
    fn write_found(&mut self, out: &mut Vec<u8>) {
        while out.len() < PIECE_BYTES
            && let Some((event, _)) = self.found.front()
        {
            let mut place = match self.written {
                Written::Within(place) => place,
                before => {
                    if before == Written::Event {
                        out.push(b',');
                    }
                    write_start(event, out)
                }
            };
            while out.len() < PIECE_BYTES {
                let Some(part) = event.data(&mut place, DATA_BYTES_MAX) else { break };
                push_json_part(part.text, out);
                if part.ends_line {
                    out.extend_from_slice(b"\\n");
                }
            }
            if event.has_data_at(place) {
                self.written = Written::Within(place);
                return;
            }
            write_end(event, out);
            self.written = Written::Event;
            self.found.pop_front();
        }
    }

    /// Writes the members that come after the events.
    fn write_tail(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"],\"last_event_id\":");
        let place = self.paging.place();
        push_json(&place.to_string(), out);
        if let Some(gap) = self.paging.gap() {
            out.extend_from_slice(b",\"gap\":");
            push_json(&JsonGap::from(gap), out);
        }
        if let Some(close) = self.hub.stream_end_at(&self.view, place.sequence) {
            out.extend_from_slice(b",\"end\":");
            push_json(&JsonEnd { reason: close.reason.as_str(), events: close.events }, out);
        }
        out.push(b'}');
    }
}

impl PieceSource for JsonEvents {
    fn poll_piece(&mut self, cx: &mut TaskContext<'_>, out: &mut Vec<u8>) -> Poll<Piece> {
        if self.written == Written::Nothing {
            out.extend_from_slice(b"{\"events\":[");
            self.written = Written::Head;
        }
        let mut has_read = false;
        loop {
            self.write_found(out);
            if out.len() >= PIECE_BYTES {
                return Poll::Ready(Piece::More);
            }
            if self.is_read {
                self.write_tail(out);
                return Poll::Ready(Piece::Last);
            }
            // If a view's patterns match little, finding the next event takes many looks.
            if has_read {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            // Without room for the next event, the answer ends before it.
            let _ = ready!(self.poll_read(cx));
            has_read = true;
        }
    }
}

/// Writes an event up to its data, and returns the place where that begins.
fn write_start(event: &RawEvent, out: &mut Vec<u8>) -> usize {
    let fields = event.fields();
    out.extend_from_slice(b"{\"id\":");
    push_json(event.id().as_str(), out);
    out.extend_from_slice(b",\"type\":");
    push_json(fields.event_type, out);
    out.extend_from_slice(b",\"topic\":");
    push_json(event.topic().as_str(), out);
    out.extend_from_slice(b",\"data\":\"");
    fields.data_at
}

/// Writes what comes after the data: the time of the commit, in milliseconds since 1970, the index within a
/// stream, and the hops of a relayed event.
fn write_end(event: &RawEvent, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\",\"time\":");
    push_json(&event.time().unix_millis(), out);
    if let Some(index) = event.index() {
        out.extend_from_slice(b",\"index\":");
        push_json(&index, out);
    }
    if let Some(via) = event.fields().via {
        out.extend_from_slice(b",\"via\":");
        push_json(via, out);
    }
    out.push(b'}');
}

/// The end of a stream as JSON tells it.
#[derive(Serialize)]
struct JsonEnd {
    reason: &'static str,
    events: u64,
}

/// A gap as JSON tells it.
#[derive(Serialize)]
struct JsonGap<'a> {
    asked: &'a str,
    oldest: Option<&'a str>,
}

impl<'a> From<&'a Gap> for JsonGap<'a> {
    fn from(gap: &'a Gap) -> Self {
        Self { asked: &gap.asked, oldest: gap.oldest.as_ref().map(|id| id.as_str()) }
    }
}

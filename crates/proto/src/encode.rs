//! Events to event stream text.
//!
//! Everything here appends to a `Vec<u8>` and cannot fail half-way: what reaches it is legal by its
//! type. Lines end with LF, a value is set off by one space (so that a leading space of its own is
//! kept), and nothing is written that a reader would take for an event except events.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use memchr::memchr2;

use crate::event::whole_millis;
use crate::one_line::Refused;
use crate::{Event, EventIdRef};

/// The shortest comment, which is a whole heartbeat: a line, without a blank line after it.
///
/// Some readers dispatch an empty event at every blank line, so none is sent that ends no event.
pub const HEARTBEAT: &[u8] = b":\n";

/// Appends `event` as a block: `id`, `event` (unless it is `message`), `retry`, `data`, blank line.
///
/// Data is split into one `data` line for each of its lines, whether they end in CR, CRLF or LF.
pub fn encode(event: &Event, out: &mut Vec<u8>) {
    encode_fields(event, event.id().map(EventIdRef::from), out);
}

/// Appends `event` as [`encode`] does, but under `id` instead of its own.
pub fn encode_with_id(event: &Event, id: EventIdRef<'_>, out: &mut Vec<u8>) {
    encode_fields(event, Some(id), out);
}

/// Returns how many bytes [`encode`] will append, after one pass over the data.
#[must_use]
pub fn encoded_len(event: &Event) -> usize {
    fields_len(event, event.id().map(EventIdRef::from))
}

/// Returns how many bytes [`encode_with_id`] will append, after one pass over the data.
#[must_use]
pub fn encoded_len_with_id(event: &Event, id: EventIdRef<'_>) -> usize {
    fields_len(event, Some(id))
}

/// Appends an `id` line.
pub fn encode_id(id: EventIdRef<'_>, out: &mut Vec<u8>) {
    push_line(ID, id.as_str().as_bytes(), out);
}

/// Appends a block that holds only an ID: it moves the reader's place and dispatches nothing.
///
/// Some readers dispatch an empty event here all the same; this is for those known not to.
pub fn encode_id_block(id: EventIdRef<'_>, out: &mut Vec<u8>) {
    encode_id(id, out);
    out.push(b'\n');
}

/// Appends a `retry` line, which is in force at once, without a blank line.
///
/// The time is rounded up to whole milliseconds and cut to `u64::MAX` of them.
pub fn encode_retry(reconnection_time: Duration, out: &mut Vec<u8>) {
    push_retry(whole_millis(reconnection_time), out);
}

/// Appends a comment line, which readers ignore but for its being a sign of life.
///
/// A space is put after the colon, for the eyes of people; a reader of comments gets it with the
/// text.
///
/// # Errors
///
/// CR, LF and NUL are refused, and nothing is written then: the first two would let the rest of
/// `text` pass for fields.
pub fn encode_comment(text: &str, out: &mut Vec<u8>) -> Result<(), InvalidComment> {
    if let Some(refused) = Refused::find(text) {
        return Err(InvalidComment { refused });
    }
    match text {
        "" => out.extend_from_slice(HEARTBEAT),
        _ => push_line(COMMENT, text.as_bytes(), out),
    }
    Ok(())
}

/// The text cannot be a comment: it contains CR, LF or NUL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidComment {
    refused: Refused,
}

impl InvalidComment {
    /// Returns the position of the first refused character, in bytes from the start.
    #[must_use]
    pub fn position(&self) -> usize {
        self.refused.position
    }
}

impl fmt::Display for InvalidComment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "comment contains {}", self.refused)
    }
}

impl core::error::Error for InvalidComment {}

fn encode_fields(event: &Event, id: Option<EventIdRef<'_>>, out: &mut Vec<u8>) {
    if let Some(id) = id {
        encode_id(id, out);
    }
    if !event.event_type().is_message() {
        push_line(EVENT, event.event_type().as_str().as_bytes(), out);
    }
    if let Some(millis) = event.retry_millis() {
        push_retry(millis, out);
    }
    let mut data = event.data().as_bytes();
    while let Some(end) = memchr2(b'\r', b'\n', data) {
        push_line(DATA, &data[..end], out);
        data = after_line_end(data, end);
    }
    push_line(DATA, data, out);
    out.push(b'\n');
}

fn fields_len(event: &Event, id: Option<EventIdRef<'_>>) -> usize {
    let mut len = "\n".len();
    if let Some(id) = id {
        len += line_len(ID, id.as_str().len());
    }
    if !event.event_type().is_message() {
        len += line_len(EVENT, event.event_type().as_str().len());
    }
    if let Some(millis) = event.retry_millis() {
        len += line_len(RETRY, digits(millis));
    }
    let mut data = event.data().as_bytes();
    while let Some(end) = memchr2(b'\r', b'\n', data) {
        len += line_len(DATA, end);
        data = after_line_end(data, end);
    }
    len + line_len(DATA, data.len())
}

/// Returns what follows the line end that starts at `end`, taking CRLF as one.
fn after_line_end(data: &[u8], end: usize) -> &[u8] {
    let width = if data[end..].starts_with(b"\r\n") { 2 } else { 1 };
    &data[end + width..]
}

fn push_retry(millis: u64, out: &mut Vec<u8>) {
    let mut buffer = [0; U64_DIGITS_MAX];
    let mut at = U64_DIGITS_MAX;
    let mut left = millis;
    loop {
        at -= 1;
        buffer[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    push_line(RETRY, &buffer[at..], out);
}

fn digits(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

fn push_line(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(value);
    out.push(b'\n');
}

fn line_len(name: &[u8], value_len: usize) -> usize {
    name.len() + value_len + "\n".len()
}

const ID: &[u8] = b"id: ";
const EVENT: &[u8] = b"event: ";
const RETRY: &[u8] = b"retry: ";
const DATA: &[u8] = b"data: ";
const COMMENT: &[u8] = b": ";
/// `u64::MAX` has twenty digits.
const U64_DIGITS_MAX: usize = 20;

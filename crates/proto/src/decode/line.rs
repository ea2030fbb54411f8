//! One line of an event stream, without its end.

use core::time::Duration;

/// The meaning of a line that is not blank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    Data(&'a [u8]),
    Event(&'a [u8]),
    Id(&'a [u8]),
    Retry(&'a [u8]),
    Comment(&'a [u8]),
    /// A field no rule knows, which is ignored.
    Unknown,
}

impl<'a> Line<'a> {
    /// How many bytes of a line tell what it is, and where its value starts.
    pub(super) const HEAD_LEN: usize = "event: ".len();

    /// Reads a line by [section 9.2.6](https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation):
    /// the name is what stands before the first colon, one space after it is dropped, and without
    /// a colon the whole line is the name. Names are compared byte by byte. A comment has no value
    /// that the standard would strip: its text is all that follows the colon.
    #[inline(always)]
    pub(super) fn parse(line: &'a [u8]) -> Self {
        if let Some(value) = Self::strip_data(line) {
            return Self::Data(value);
        }
        if let Some(value) = line.strip_prefix(b"id:") {
            return Self::Id(drop_space(value));
        }
        if let Some(value) = line.strip_prefix(b"event:") {
            return Self::Event(drop_space(value));
        }
        if let Some(text) = line.strip_prefix(b":") {
            return Self::Comment(text);
        }
        if let Some(value) = line.strip_prefix(b"retry:") {
            return Self::Retry(drop_space(value));
        }
        match line {
            b"data" => Self::Data(b""),
            b"event" => Self::Event(b""),
            b"id" => Self::Id(b""),
            // Bare, `retry` has no digits, so it says nothing; it is as good as unknown.
            _ => Self::Unknown,
        }
    }

    /// Returns what follows `data:` and its space.
    #[inline(always)]
    pub(super) fn strip_data(line: &'a [u8]) -> Option<&'a [u8]> {
        line.strip_prefix(b"data:").map(drop_space)
    }
}

#[inline(always)]
fn drop_space(value: &[u8]) -> &[u8] {
    value.strip_prefix(b" ").unwrap_or(value)
}

/// Reads a `retry` value: ASCII digits only, where `u64::from_str` would also take `+5`.
pub(super) fn parse_retry(value: &[u8]) -> Option<Duration> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // Too large a number is the longest wait we can express, not a mistake.
    let millis = value
        .iter()
        .fold(0_u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    Some(Duration::from_millis(millis))
}

//! UTF-8 as the standard decodes it: each maximal subpart of a malformed sequence becomes U+FFFD.
//!
//! Values are decoded one by one, after the stream was cut into lines. The outcome is that of
//! decoding the whole stream first, because the bytes that cut it (CR, LF, colon, space) are ASCII:
//! they are never part of a longer sequence, and always end one that was left unfinished.

use alloc::string::String;

/// Decodes `raw`, borrowing it if it is well-formed and building the text in `scratch` if not.
#[inline]
pub(super) fn decode<'a>(raw: &'a [u8], scratch: &'a mut String) -> &'a str {
    match core::str::from_utf8(raw) {
        Ok(text) => text,
        Err(_) => {
            scratch.clear();
            push_replaced(scratch, raw);
            scratch
        }
    }
}

/// Appends `raw` decoded.
#[inline]
pub(super) fn push(text: &mut String, raw: &[u8]) {
    match core::str::from_utf8(raw) {
        Ok(valid) => text.push_str(valid),
        Err(_) => push_replaced(text, raw),
    }
}

/// Cuts `raw` to at most `bytes_max`, before a character that would not fit whole.
pub(super) fn cut(raw: &[u8], bytes_max: usize) -> &[u8] {
    if raw.len() <= bytes_max {
        return raw;
    }
    let mut end = bytes_max;
    // A character has at most three bytes after its first, so more of them is not a character.
    while end > 0 && bytes_max - end < 3 && is_continuation(raw[end]) {
        end -= 1;
    }
    &raw[..end]
}

fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

#[cold]
fn push_replaced(text: &mut String, raw: &[u8]) {
    for chunk in raw.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

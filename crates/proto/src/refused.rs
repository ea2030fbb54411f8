//! The characters no single-line part of an event stream can hold, in one place.
//!
//! CR and LF would end the line early and let the rest of the text pass for fields of its own. NUL
//! in an ID makes every conforming reader ignore the field; it is refused elsewhere too, so that
//! one rule holds for all.

use core::fmt;

/// A character that cannot be written, and where it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// In bytes from the start of the text.
    pub(crate) position: usize,
    byte: u8,
}

impl Refused {
    /// Finds the first character of `text` that would break its line, if any.
    pub(crate) fn find(text: &str) -> Option<Self> {
        let position = memchr::memchr3(b'\r', b'\n', b'\0', text.as_bytes())?;
        Some(Self { position, byte: text.as_bytes()[position] })
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.byte {
            b'\r' => "CR",
            b'\n' => "LF",
            _ => "NUL",
        };
        write!(f, "{name} at byte {}", self.position)
    }
}

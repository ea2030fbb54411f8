//! The rule for text that takes one line of an event stream, and the two types that keep it.
//!
//! CR and LF would end the line early and let the rest of the text pass for fields of its own. NUL
//! in an ID makes every conforming reader ignore the field; it is refused in types too, so that one
//! rule holds for both.

use core::fmt;

/// A character that cannot be written, and its position.
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

/// Tells whether `text` keeps the rule, where [`Refused::find`] cannot: in a constant.
pub(crate) const fn is_one_line(text: &str) -> bool {
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        if matches!(byte, b'\r' | b'\n' | b'\0') {
            return false;
        }
        rest = after;
    }
    true
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

/// Gives `$text` the conversions of a checked text, and defines `$invalid`, the error of its `new`.
macro_rules! one_line_text {
    ($text:ident, $invalid:ident, $name:literal) => {
        impl core::fmt::Display for $text {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl AsRef<str> for $text {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl TryFrom<&str> for $text {
            type Error = $invalid;

            fn try_from(text: &str) -> Result<Self, $invalid> {
                Self::new(text)
            }
        }

        impl core::str::FromStr for $text {
            type Err = $invalid;

            fn from_str(text: &str) -> Result<Self, $invalid> {
                Self::new(text)
            }
        }

        #[doc = concat!("The text cannot be an ", $name, ": it contains CR, LF or NUL.")]
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $invalid {
            value: alloc::boxed::Box<str>,
            refused: $crate::one_line::Refused,
        }

        impl $invalid {
            /// Checks a text without taking it.
            fn check(text: &str) -> Result<(), Self> {
                match $crate::one_line::Refused::find(text) {
                    Some(refused) => Err(Self { value: text.into(), refused }),
                    None => Ok(()),
                }
            }

            /// Returns the text that was refused.
            #[must_use]
            pub fn value(&self) -> &str {
                &self.value
            }

            /// Returns the position of the first refused character, in bytes from the start.
            #[must_use]
            pub fn position(&self) -> usize {
                self.refused.position
            }
        }

        impl core::fmt::Display for $invalid {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, concat!($name, " contains {}"), self.refused)
            }
        }

        impl core::error::Error for $invalid {}
    };
}

pub(crate) use one_line_text;

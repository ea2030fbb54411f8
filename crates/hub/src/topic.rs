//! Topics: the exact names that events are published to.

use std::borrow::Borrow;
use std::fmt;

use smol_str::SmolStr;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

/// The exact name that events are published to.
///
/// Any text of 1 to [`Topic::BYTES_MAX`] bytes without control or format characters: those are
/// invisible, so that two topics could look alike, and they do not survive headers and logs.
/// Cloning is cheap: a short name is stored in place, a long one is shared.
///
/// ```
/// use tidings_hub::{InvalidTopic, Topic};
///
/// const NEWS: Topic = Topic::from_static("news");
///
/// fn inbox(user: &str) -> Result<Topic, InvalidTopic> {
///     Topic::new(format!("users/{user}/inbox"))
/// }
/// # assert_eq!((NEWS.as_str(), inbox("\n").is_err()), ("news", true));
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(SmolStr);

impl Topic {
    /// The most bytes a topic may have: as much as fits a request line beside everything else.
    pub const BYTES_MAX: usize = 1024;

    /// Checks `name` once, so that nothing after this point has to.
    ///
    /// # Errors
    ///
    /// [`InvalidTopic`] says which rule `name` breaks.
    pub fn new(name: impl AsRef<str>) -> Result<Self, InvalidTopic> {
        let name = name.as_ref();
        if name.is_empty() {
            return Err(InvalidTopic::Empty);
        }
        if name.len() > Self::BYTES_MAX {
            return Err(InvalidTopic::TooLong { bytes: name.len() });
        }
        // Nearly every topic is plain ASCII, which is looked at many bytes at a time.
        if name.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Ok(Self(name.into()));
        }
        match name.char_indices().find(|&(_, c)| is_control_or_format(c)) {
            Some((at, character)) => Err(InvalidTopic::Character { character, at }),
            None => Ok(Self(name.into())),
        }
    }

    /// Makes a topic of a literal, without an allocation.
    ///
    /// # Panics
    ///
    /// If `name` is not 1 to [`Topic::BYTES_MAX`] bytes of visible ASCII and spaces: in a constant, an
    /// error of the compiler. [`Topic::new`] takes other text.
    #[must_use]
    pub const fn from_static(name: &'static str) -> Self {
        assert!(!name.is_empty() && name.len() <= Self::BYTES_MAX, "a topic has 1 to 1,024 bytes");
        let mut rest = name.as_bytes();
        while let [byte, after @ ..] = rest {
            assert!(matches!(byte, b' '..=b'~'), "a topic's literal is visible ASCII");
            rest = after;
        }
        Self(SmolStr::new_static(name))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Bytes on the heap: a long name stands behind two counts, shared by its clones.
    pub(crate) fn heap_bytes(&self) -> usize {
        if self.0.is_heap_allocated() { 2 * size_of::<usize>() + self.0.len() } else { 0 }
    }
}

impl Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for Topic {
    type Err = InvalidTopic;

    fn from_str(name: &str) -> Result<Self, InvalidTopic> {
        Self::new(name)
    }
}

/// The text cannot be a [`Topic`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidTopic {
    /// A topic has at least one byte.
    Empty,
    /// A topic has at most [`Topic::BYTES_MAX`] bytes.
    TooLong {
        /// The length of the text.
        bytes: usize,
    },
    /// A control or format character (Unicode categories Cc and Cf).
    Character {
        /// The first such character.
        character: char,
        /// The byte it starts at.
        at: usize,
    },
}

impl fmt::Display for InvalidTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a topic has at least one character"),
            Self::TooLong { bytes } => {
                write!(f, "a topic has at most {} bytes, this one has {bytes}", Topic::BYTES_MAX)
            }
            Self::Character { character, at } => write!(
                f,
                "a topic has no control or format characters, this one has U+{:04X} at byte {at}",
                u32::from(*character)
            ),
        }
    }
}

impl std::error::Error for InvalidTopic {}

/// Returns whether `c` is invisible: a control or a format character.
pub(crate) fn is_control_or_format(c: char) -> bool {
    // ASCII first: nearly every topic is, and the table look-up is a binary search.
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    matches!(c.general_category(), GeneralCategory::Control | GeneralCategory::Format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_has_between_one_and_1024_bytes() {
        assert_eq!(Topic::new(""), Err(InvalidTopic::Empty));
        assert!(Topic::new("x".repeat(1024)).is_ok());
        assert_eq!(Topic::new("x".repeat(1025)), Err(InvalidTopic::TooLong { bytes: 1025 }));
    }

    #[test]
    fn invisible_characters_are_refused_where_they_stand() {
        for (name, character, at) in [
            ("a\nb", '\n', 1),
            ("\0", '\0', 0),
            ("a\u{7f}", '\u{7f}', 1),
            ("é\u{85}", '\u{85}', 2),
            ("a\u{200d}b", '\u{200d}', 1),
            ("\u{feff}a", '\u{feff}', 0),
            ("a\u{e0001}", '\u{e0001}', 1),
        ] {
            assert_eq!(
                Topic::new(name),
                Err(InvalidTopic::Character { character, at }),
                "{name:?}"
            );
        }
    }

    #[test]
    fn a_literal_is_visible_ascii_and_equal_to_the_same_text() {
        use std::hash::BuildHasher as _;

        const LONG: &str = "a topic of many more bytes than are stored in place";
        const TOPIC: Topic = Topic::from_static(LONG);
        let made = Topic::new(LONG).unwrap();
        let hasher = std::hash::RandomState::new();
        assert_eq!((&TOPIC, hasher.hash_one(&TOPIC)), (&made, hasher.hash_one(&made)));
        for name in ["", "a\n", "\u{7f}", "é"] {
            assert!(std::panic::catch_unwind(|| Topic::from_static(name)).is_err(), "{name:?}");
        }
    }

    #[test]
    fn any_visible_text_is_a_topic() {
        for name in ["hello", "a/b", "/", "https://example.com/books/1?x=ü", "日本", "a b", "*"]
        {
            assert_eq!(Topic::new(name).unwrap().as_str(), name);
        }
    }
}

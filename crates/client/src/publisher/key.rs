//! Idempotency keys, which make repeating a request harmless.

use std::error::Error;
use std::fmt;
use std::fmt::Write as _;

use aws_lc_rs::digest::{Context, SHA256};

/// The name of one publishing request: the hub commits requests with the same key only once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

/// The size of a random key: that of a UUID, so that no two publishers draw the same key.
const RANDOM_BYTES: usize = 16;

impl IdempotencyKey {
    /// The maximum length of a key in bytes.
    pub const BYTES_MAX: usize = 256;

    /// Makes a key of the caller's text.
    ///
    /// # Errors
    ///
    /// If the text is not 1 to 256 visible ASCII characters: a key must survive a header unchanged.
    pub fn new(key: impl Into<String>) -> Result<Self, InvalidIdempotencyKey> {
        let key = key.into();
        let is_legal = (1..=Self::BYTES_MAX).contains(&key.len())
            && key.bytes().all(|byte| byte.is_ascii_graphic());
        match is_legal {
            true => Ok(Self(key)),
            false => Err(InvalidIdempotencyKey { key }),
        }
    }

    /// Draws a new key from the system's source of randomness.
    ///
    /// # Panics
    ///
    /// If the system has no source of randomness.
    #[must_use]
    pub fn random() -> Self {
        let mut bytes = [0; RANDOM_BYTES];
        // The jitter's generator will not do: its 64 bits of state are too few for a name that must
        // be unique among all publishers of a hub.
        getrandom::getrandom(&mut bytes).expect("the system has a source of randomness");
        Self::spell(&bytes)
    }

    /// Derives a key from `parts`. The same parts always give the same key, and other parts give
    /// another. Use it for an event that has a name elsewhere, so that a program that starts again
    /// derives the same key.
    ///
    /// ```
    /// # use tidings_client::IdempotencyKey;
    /// let key = IdempotencyKey::derived(["https://upstream.example/events", "event 7"]);
    /// assert_eq!(key, IdempotencyKey::derived(["https://upstream.example/events", "event 7"]));
    /// assert_ne!(key, IdempotencyKey::derived(["https://upstream.example/event", "sevent 7"]));
    /// ```
    #[must_use]
    pub fn derived<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> Self {
        let mut digest = Context::new(&SHA256);
        for part in parts {
            let part = part.as_ref();
            // The length before each part makes the boundaries between parts count.
            digest.update(&(part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        Self::spell(digest.finish().as_ref())
    }

    fn spell(bytes: &[u8]) -> Self {
        let mut key = String::with_capacity(2 * bytes.len());
        for byte in bytes {
            write!(key, "{byte:02x}").expect("a String takes any text");
        }
        Self(key)
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Text that cannot be an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidIdempotencyKey {
    key: String,
}

impl InvalidIdempotencyKey {
    /// The refused text.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for InvalidIdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not 1 to {} visible ASCII characters",
            self.key,
            IdempotencyKey::BYTES_MAX
        )
    }
}

impl Error for InvalidIdempotencyKey {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_a_header() {
        assert!(IdempotencyKey::new("a".repeat(256)).is_ok());
        for key in ["", "a b", "a\n", "ä", &"a".repeat(257)] {
            assert_eq!(IdempotencyKey::new(key).expect_err("refused").value(), key);
        }
    }

    #[test]
    fn a_derived_key_is_legal_and_depends_on_where_its_parts_end() {
        let key = IdempotencyKey::derived(["a", "b"]);
        assert_eq!(IdempotencyKey::new(key.as_str()).as_ref(), Ok(&key));
        assert_eq!(key, IdempotencyKey::derived(["a", "b"]));
        for other in [&["ab"][..], &["a", "b", ""], &["", "ab"], &["b", "a"]] {
            assert_ne!(key, IdempotencyKey::derived(other), "{other:?}");
        }
    }

    #[test]
    fn random_keys_are_legal_and_differ() {
        let (one, two) = (IdempotencyKey::random(), IdempotencyKey::random());
        assert_ne!(one, two);
        assert_eq!(IdempotencyKey::new(one.as_str()), Ok(one));
    }
}

//! Cursors: places in a history, and the event IDs that spell them.

use std::fmt;
use std::num::NonZeroU64;

use tidings_proto::EventId;

/// A position in a hub's history: events count from 1, and no number is used twice in an epoch.
///
/// Zero is the place before the first event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(u64);

impl Sequence {
    /// The place before the first event.
    pub const ZERO: Self = Self(0);

    /// The largest sequence an event ID can spell: 58 bits, 9,000 years at a million events a second.
    pub const MAX: Self = Self((1 << 58) - 1);

    /// The sequence of this number, or `None` past [`Sequence::MAX`].
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        if number <= Self::MAX.0 { Some(Self(number)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The sequence after this one.
    ///
    /// # Panics
    ///
    /// Past [`Sequence::MAX`], which no history reaches.
    #[must_use]
    pub const fn next(self) -> Self {
        assert!(self.0 < Self::MAX.0, "a history has fewer than 2^58 events");
        Self(self.0 + 1)
    }

    /// The place just before this sequence; zero stays zero.
    #[must_use]
    pub const fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which history a sequence counts in: 60 random bits, new whenever a history is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(NonZeroU64);

impl Epoch {
    const MAX: u64 = (1 << 60) - 1;

    /// The epoch of this number, or `None` for zero and for more than 60 bits.
    #[must_use]
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).filter(|n| n.get() <= Self::MAX).map(Self)
    }

    /// An epoch nobody has seen.
    #[must_use]
    pub fn random() -> Self {
        Self(NonZeroU64::new(fastrand::u64(1..=Self::MAX)).unwrap_or(NonZeroU64::MIN))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl Epoch {
    /// Spells the epoch as ASCII, in fifteen hexadecimal digits.
    pub(crate) fn spell(self) -> [u8; 15] {
        let mut text = [0; 15];
        let number = self.get();
        text[..7].copy_from_slice(&hexadecimal((number >> 32) as u32)[1..]);
        text[7..].copy_from_slice(&hexadecimal(number as u32));
        text
    }
}

impl fmt::Display for Epoch {
    /// Fifteen hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:015x}", self.0)
    }
}

/// A place in a history: everything up to and including `sequence` has been seen.
///
/// Spelled as an event ID it is `urn:uuid:` and a version-8 UUID (RFC 9562, section 5.8) of 4 bits of
/// format, 60 of epoch and 58 of sequence, so that resuming needs no look-up and an ID from a lost
/// history is recognized. To clients it is opaque.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// Which history.
    pub epoch: Epoch,
    /// Where in it.
    pub sequence: Sequence,
}

const PREFIX: &str = "urn:uuid:";
/// The one format there is; another number would be another meaning of the other bits.
const FORMAT: u64 = 1;
/// The hyphens of a UUID's text, counted without the prefix.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

impl Cursor {
    /// The size of the event ID that spells a cursor.
    pub const ID_BYTES: usize = PREFIX.len() + 36;

    /// Spells the cursor as ASCII.
    pub(crate) fn spell(self) -> [u8; Self::ID_BYTES] {
        let epoch = self.epoch.get();
        let high = (FORMAT << 60) | (epoch >> 16 << 16) | (8 << 12) | ((epoch >> 4) & 0xfff);
        let low = (0b10 << 62) | ((epoch & 0xf) << 58) | self.sequence.get();

        let mut text = [b'-'; Self::ID_BYTES];
        text[..PREFIX.len()].copy_from_slice(PREFIX.as_bytes());
        let uuid = &mut text[PREFIX.len()..];
        let [first, second, third, last] =
            [high >> 32, high, low >> 32, low].map(|number| hexadecimal(number as u32));
        uuid[..8].copy_from_slice(&first);
        uuid[9..13].copy_from_slice(&second[..4]);
        uuid[14..18].copy_from_slice(&second[4..]);
        uuid[19..23].copy_from_slice(&third[..4]);
        uuid[24..28].copy_from_slice(&third[4..]);
        uuid[28..].copy_from_slice(&last);
        text
    }

    /// Reads an event ID that this or another hub made; `None` for every other text.
    #[must_use]
    pub fn parse(id: &str) -> Option<Self> {
        let text = id.strip_prefix(PREFIX)?.as_bytes();
        if text.len() != Self::ID_BYTES - PREFIX.len() {
            return None;
        }
        let mut bits: u128 = 0;
        for (at, &byte) in text.iter().enumerate() {
            let digit = match byte {
                b'-' if HYPHENS.contains(&at) => continue,
                _ if HYPHENS.contains(&at) => return None,
                b'0'..=b'9' => byte - b'0',
                // Only as the hub writes it: one cursor, one spelling.
                b'a'..=b'f' => byte - b'a' + 10,
                _ => return None,
            };
            bits = (bits << 4) | u128::from(digit);
        }
        let (high, low) = ((bits >> 64) as u64, bits as u64);
        if high >> 60 != FORMAT || (high >> 12) & 0xf != 8 || low >> 62 != 0b10 {
            return None;
        }
        let epoch = ((high << 4 >> 20) << 16) | ((high & 0xfff) << 4) | ((low >> 58) & 0xf);
        let sequence = Sequence::new(low & Sequence::MAX.0)?;
        Some(Self { epoch: Epoch::new(epoch)?, sequence })
    }

    /// The event ID that spells this cursor.
    #[must_use]
    pub fn to_event_id(self) -> EventId {
        let spelled = self.spell();
        let text = std::str::from_utf8(&spelled).expect("a cursor is spelled in ASCII");
        EventId::new(text).expect("hexadecimal digits and hyphens end no field")
    }
}

/// Spells a number in eight hexadecimal digits, all of them at once: every event pays for this.
fn hexadecimal(number: u32) -> [u8; 8] {
    const BYTES: u64 = u64::from_ne_bytes([1; 8]);
    // Spread, so that each half-byte has a byte of its own.
    let mut digits = u64::from(number);
    digits = (digits | digits << 16) & 0x0000_ffff_0000_ffff;
    digits = (digits | digits << 8) & 0x00ff_00ff_00ff_00ff;
    digits = (digits | digits << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // One where it is a letter: six more than ten carries into the fifth bit.
    let letters = ((digits + 6 * BYTES) >> 4) & BYTES;
    (digits + u64::from(b'0') * BYTES + u64::from(b'a' - b'0' - 10) * letters).to_be_bytes()
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.spell()).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_spelled_cursor_reads_back(epoch in 1..=Epoch::MAX, sequence in 0..=Sequence::MAX.0) {
            let cursor = Cursor {
                epoch: Epoch::new(epoch).unwrap(),
                sequence: Sequence::new(sequence).unwrap(),
            };
            prop_assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
            prop_assert_eq!(cursor.epoch.spell().to_vec(), cursor.epoch.to_string().into_bytes());
        }

        #[test]
        fn no_other_text_reads_as_a_cursor(text in "(urn:uuid:)?[0-9a-fA-F-]{30,40}") {
            if let Some(cursor) = Cursor::parse(&text) {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }
    }

    #[test]
    fn an_epoch_has_fifteen_digits() {
        assert_eq!(Epoch::new(0xab).unwrap().to_string(), "0000000000000ab");
        assert_eq!(Epoch::new(Epoch::MAX).unwrap().to_string(), "f".repeat(15));
    }

    #[test]
    fn a_cursor_is_a_version_8_uuid() {
        let cursor =
            Cursor { epoch: Epoch::new(0x123456789abcdef).unwrap(), sequence: Sequence(0x42) };
        assert_eq!(cursor.to_string(), "urn:uuid:11234567-89ab-8cde-bc00-000000000042");
        for changed in [
            "urn:uuid:11234567-89ab-4cde-bc00-000000000042",
            "urn:uuid:11234567-89ab-8cde-3c00-000000000042",
            "urn:uuid:21234567-89ab-8cde-bc00-000000000042",
            "urn:uuid:11234567-89AB-8cde-bc00-000000000042",
            "urn:uuid:11234567089ab-8cde-bc00-000000000042",
            "urn:uuid:10000000-0000-8000-8000-000000000042",
            "11234567-89ab-8cde-bc00-000000000042",
        ] {
            assert_eq!(Cursor::parse(changed), None, "{changed}");
        }
    }
}

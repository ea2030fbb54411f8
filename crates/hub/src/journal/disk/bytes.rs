//! The encoding of numbers and texts, checksums, and the preamble of files.

use std::hash::Hasher as _;
use std::ops::Range;

use siphasher::sip::SipHasher13;

use crate::cursor::Sequence;

/// The newest version of files that is read. Newer versions are refused.
pub(super) const VERSION: u32 = VERSION_REQUESTS;
/// The version of all other files, and of segments in which no group is one request.
pub(super) const VERSION_PLAIN: u32 = 1;
/// The version of segments in which sequences may be missing: superseded records have been left out, or it is a
/// copy's.
pub(super) const VERSION_CLEANED: u32 = 2;
/// The version of the head of a copy.
pub(super) const VERSION_COPY: u32 = 3;
/// The version of segments in which a group may be one request.
pub(super) const VERSION_REQUESTS: u32 = 4;

/// The unread rest of some bytes.
///
/// Numbers are little-endian. A varint has seven bits a byte, the low ones first; the eighth bit is set
/// if another byte follows.
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    pub(super) fn sequence(&mut self) -> Option<Sequence> {
        Sequence::new(self.u64()?)
    }

    pub(super) fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return None;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// Reads a text, which follows its length as a varint.
    pub(super) fn text(&mut self) -> Option<&'a str> {
        let len = usize::try_from(self.varint()?).ok()?;
        std::str::from_utf8(self.take(len)?).ok()
    }
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// The identity of a journal: sixteen random bytes that never change and key its hashes.
///
/// Publishers must not know it, because they could then choose texts with equal hashes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity(pub(super) [u8; 16]);

impl Identity {
    pub(super) fn random() -> Self {
        let half = || {
            // The standard library seeds it with random bytes of the operating system.
            let state = std::hash::RandomState::new();
            std::hash::BuildHasher::hash_one(&state, 0).to_le_bytes()
        };
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&half());
        bytes[8..].copy_from_slice(&half());
        Self(bytes)
    }

    /// Hashes a topic or an ID for the index: SipHash-1-3 with the identity as its key.
    pub(super) fn hash(&self, text: &str) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        hasher.write(text.as_bytes());
        hasher.finish()
    }
}

/// The initial value of a segment's checksums, derived from the journal's identity and the segment's
/// first sequence. Remains of older files, and copies of records in an event's data, therefore never
/// have a valid checksum.
#[derive(Clone, Copy, Debug)]
pub(super) struct Salt(u32);

impl Salt {
    pub(super) fn new(identity: &Identity, base: Sequence) -> Self {
        Self(checksum(&[&identity.0, &base.get().to_le_bytes()]))
    }

    /// Computes the CRC-32 of a place and some bytes.
    pub(super) fn checksum(self, place: u64, parts: &[&[u8]]) -> u32 {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.0);
        hasher.update(&place.to_le_bytes());
        parts.iter().for_each(|part| hasher.update(part));
        hasher.finalize()
    }
}

/// Computes the CRC-32 of some bytes, with the polynomial of zip and Ethernet.
fn checksum(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

/// The first sixteen bytes of a head, a segment's header and a trailer: magic, version, and a checksum
/// of everything else in the structure. Every version keeps this layout, so that a newer version can be
/// told from damage.
pub(super) struct Preamble {
    pub(super) magic: [u8; 8],
}

/// The result of [`Preamble::find`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Sound,
    /// Sound, but of a version newer than [`VERSION`].
    Newer(u32),
    Unsound,
}

/// The position of the checksum.
const CHECKSUM: Range<usize> = 12..16;

impl Preamble {
    pub(super) const BYTES: usize = 16;

    /// Begins a structure that [`Preamble::close`] completes.
    pub(super) fn begin(&self) -> Vec<u8> {
        self.begin_as(VERSION_PLAIN)
    }

    /// Begins a structure of a version.
    pub(super) fn begin_as(&self, version: u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        out.extend_from_slice(&self.magic);
        out.extend_from_slice(&version.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out
    }

    pub(super) fn close(mut bytes: Vec<u8>) -> Vec<u8> {
        let sum = Self::checksum(&bytes);
        bytes[CHECKSUM].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Examines bytes that should start with this preamble.
    pub(super) fn find(&self, bytes: &[u8]) -> Found {
        let mut input = Input(bytes);
        let is_ours = input.take(8).is_some_and(|magic| magic == self.magic);
        let (Some(version), Some(sum)) = (input.u32(), input.u32()) else { return Found::Unsound };
        if !is_ours || sum != Self::checksum(bytes) {
            Found::Unsound
        } else if version > VERSION {
            Found::Newer(version)
        } else {
            Found::Sound
        }
    }

    fn checksum(bytes: &[u8]) -> u32 {
        checksum(&[&bytes[..CHECKSUM.start], &bytes[CHECKSUM.end..]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_varint_comes_back_and_no_other_spelling_overflows() {
        for value in [0, 1, 127, 128, 300, 1 << 58, u64::MAX - 1, u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            let mut input = Input(&out);
            assert_eq!((input.varint(), input.0.len()), (Some(value), 0));
            assert_eq!(Input(&out[..out.len() - 1]).varint(), None);
        }
        assert_eq!(Input(&[0xff; 11]).varint(), None);
        assert_eq!(
            Input(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02]).varint(),
            None
        );
    }

    #[test]
    fn a_newer_version_is_told_from_damage_at_any_byte() {
        let preamble = Preamble { magic: *b"TIDINGS!" };
        let mut bytes = preamble.begin_as(VERSION + 1);
        bytes.extend_from_slice(b"whatever it has");
        let bytes = Preamble::close(bytes);
        assert_eq!(preamble.find(&bytes), Found::Newer(VERSION + 1));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(preamble.find(&damaged), Found::Unsound, "{at}");
        }
        assert_eq!(preamble.find(&bytes[..3]), Found::Unsound);
    }
}

//! A group: a header and the records written together after it.

use super::bytes::{Input, Salt};
use crate::cursor::Sequence;

/// The first bytes of a group, by which the next group is found after damage.
const MAGIC: [u8; 4] = *b"TGrp";
/// The first bytes of a group that is one request.
const MAGIC_REQUEST: [u8; 4] = *b"TReq";

/// Bytes of records after which a new group begins: damage to a length costs the rest of a group. A request of several
/// records has one group however large it is.
pub(super) const BODY_BYTES: usize = 64 * 1024;

/// The header of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GroupHeader {
    /// Size of the records.
    pub(super) body_bytes: u32,
    /// Number of records. Their sequences are consecutive.
    pub(super) count: u32,
    /// The sequence of the first record.
    pub(super) first: Sequence,
    /// The newest record that was synced before this group was written.
    pub(super) synced: Sequence,
    /// Whether the records are one request: a crash leaves all of them or none.
    pub(super) is_request: bool,
}

impl GroupHeader {
    pub(super) const BYTES: usize = 32;

    /// The header of a group without records, which proves that the records up to `synced` were synced.
    pub(super) fn empty(first: Sequence, synced: Sequence) -> Self {
        Self { body_bytes: 0, count: 0, first, synced, is_request: false }
    }

    /// Encodes the header for a position in the segment's file.
    pub(super) fn encode(&self, salt: Salt, at: u64) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(if self.is_request { &MAGIC_REQUEST } else { &MAGIC });
        bytes[8..12].copy_from_slice(&self.body_bytes.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.count.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.get().to_le_bytes());
        bytes[24..].copy_from_slice(&self.synced.get().to_le_bytes());
        let sum = salt.checksum(at, &[&bytes[8..]]);
        bytes[4..8].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Decodes the header at the start of some bytes, which are at a position in the segment's file.
    pub(super) fn decode(bytes: &[u8], salt: Salt, at: u64) -> Option<Self> {
        let bytes = bytes.get(..Self::BYTES)?;
        let mut input = Input(bytes);
        let magic = input.take(4)?;
        let is_request = magic == MAGIC_REQUEST;
        if !is_magic(magic) || input.u32()? != salt.checksum(at, &[&bytes[8..]]) {
            return None;
        }
        let (body_bytes, count) = (input.u32()?, input.u32()?);
        let (first, synced) = (input.sequence()?, input.sequence()?);
        Sequence::new(first.get().checked_add(count.into())?)?;
        Some(Self { body_bytes, count, first, synced, is_request })
    }

    /// Finds the first bytes of a group.
    pub(super) fn find_magic(bytes: &[u8]) -> Option<usize> {
        bytes.windows(MAGIC.len()).position(is_magic)
    }

    /// Returns the sequence after the last record.
    pub(super) fn next(&self) -> Sequence {
        Sequence::new(self.first.get() + u64::from(self.count)).unwrap_or(Sequence::MAX)
    }
}

fn is_magic(bytes: &[u8]) -> bool {
    bytes == MAGIC || bytes == MAGIC_REQUEST
}

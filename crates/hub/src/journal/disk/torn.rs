//! Requests of which a crash has left a part: none of it counts.
//!
//! The records of a request are in one group. A group that is not whole was being written when the crash came, unless
//! something proves that it was synced, and so nobody was told that the request is committed.

use super::bytes::Salt;
use super::group::GroupHeader;
use super::storage::StorageFile;

/// The group of a request with damaged records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TornRequest {
    /// The position of the group.
    pub(super) at: u64,
    pub(super) end: u64,
    pub(super) header: GroupHeader,
    /// Whether a sound record of it comes after a damaged one.
    pub(super) is_resumed: bool,
}

/// Bytes that take the place of a torn request.
#[derive(Clone, Debug)]
pub(super) struct Voided {
    at: u64,
    bytes: Vec<u8>,
}

impl TornRequest {
    /// Returns what takes its place: a group without records, and zeros.
    ///
    /// A torn request that ends early is an incomplete write. A hole in the middle may be damage as well, to a request
    /// that readers have seen: its sequences are kept, so that it is told as lost.
    pub(super) fn void(&self, salt: Salt) -> Voided {
        let Self { header, is_resumed, .. } = self;
        let next = if *is_resumed { header.next() } else { header.first };
        let mut bytes = vec![0; (self.end - self.at) as usize];
        let empty = GroupHeader::empty(next, header.synced).encode(salt, self.at);
        bytes[..GroupHeader::BYTES].copy_from_slice(&empty);
        Voided { at: self.at, bytes }
    }
}

impl Voided {
    /// Replaces the request in the bytes of its segment.
    pub(super) fn apply(&self, segment: &mut [u8]) {
        let at = self.at as usize;
        segment[at..at + self.bytes.len()].copy_from_slice(&self.bytes);
    }

    /// Replaces the request in its file, which remains to be synced.
    pub(super) fn write(&self, file: &dyn StorageFile) -> std::io::Result<()> {
        file.write_all_at(&self.bytes, self.at)
    }
}

//! Blocks with a checksum each, so that any part of the data can be read and verified by itself.

use std::io;
use std::ops::Range;

use super::bytes::Salt;
use super::storage::StorageFile;

/// Data bytes of a block. With its checksum a block has 4 KiB, the unit in which systems read files.
const DATA_BYTES: u64 = 4092;
const BLOCK_BYTES: u64 = DATA_BYTES + 4;

/// Returns the size of data once it is packed into blocks.
pub(super) fn packed_bytes(data_bytes: u64) -> u64 {
    data_bytes + 4 * data_bytes.div_ceil(DATA_BYTES)
}

pub(super) fn pack(data: &[u8], salt: Salt) -> Vec<u8> {
    let mut out = Vec::with_capacity(packed_bytes(data.len() as u64) as usize);
    for (number, block) in (0..).zip(data.chunks(DATA_BYTES as usize)) {
        out.extend_from_slice(block);
        out.extend_from_slice(&checksum(salt, number, block).to_le_bytes());
    }
    out
}

/// Packed data in a file.
pub(super) struct Packed<'a> {
    pub(super) file: &'a dyn StorageFile,
    /// The position of the first block.
    pub(super) at: u64,
    pub(super) data_bytes: u64,
    pub(super) salt: Salt,
}

impl Packed<'_> {
    /// Reads a part of the data.
    ///
    /// # Errors
    ///
    /// Those of the file system; [`io::ErrorKind::InvalidData`] if a block is damaged.
    pub(super) fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        if range.end > self.data_bytes {
            return Err(damaged());
        }
        let (first, last) = (range.start / DATA_BYTES, (range.end - 1) / DATA_BYTES);
        let data_end = ((last + 1) * DATA_BYTES).min(self.data_bytes);
        let start = first * BLOCK_BYTES;
        let mut blocks = vec![0; (packed_bytes(data_end) - start) as usize];
        self.file.read_exact_at(&mut blocks, self.at + start)?;
        let mut data = Vec::with_capacity(blocks.len());
        for (number, block) in (first..).zip(blocks.chunks(BLOCK_BYTES as usize)) {
            let (block, sum) = block.split_last_chunk().ok_or_else(damaged)?;
            if checksum(self.salt, number, block) != u32::from_le_bytes(*sum) {
                return Err(damaged());
            }
            data.extend_from_slice(block);
        }
        let skipped = (range.start - first * DATA_BYTES) as usize;
        data.drain(..skipped);
        data.truncate((range.end - range.start) as usize);
        Ok(data)
    }
}

/// Computes a block's checksum. Block numbers count down from `u64::MAX`, so that a block is never
/// mistaken for a record or a group.
fn checksum(salt: Salt, number: u64, block: &[u8]) -> u32 {
    salt.checksum(u64::MAX - number, &[block])
}

pub(super) fn damaged() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

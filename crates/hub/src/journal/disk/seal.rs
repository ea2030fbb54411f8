//! Sealing: writes the footer of a full segment.

use super::blocks::pack;
use super::bytes::Salt;
use super::catalog::Catalog;
use super::index::MemoryIndex;
use super::keyspans::{gather, keyed};
use super::segment::Segment;
use super::storage::{Failure, StorageFile};
use super::trailer::Trailer;
use crate::cursor::Sequence;

/// An encoded footer with its trailer.
pub(super) struct FooterBytes {
    pub(super) bytes: Vec<u8>,
    pub(super) trailer: Trailer,
}

/// Encodes the footer of an index for a position of the file. Equal records give equal footers.
pub(super) fn footer(
    index: &MemoryIndex,
    (base, salt): (Sequence, Salt),
    footer_at: u64,
    keys: &[u8],
) -> FooterBytes {
    let (sections, counts) = index.to_sections(keys);
    let times = index.times().unwrap_or_default();
    debug_assert!(index.last() >= base.before());
    let trailer = Trailer { salt, footer_at, last: index.last(), times, counts };
    let mut bytes = pack(&sections, salt);
    bytes.extend_from_slice(&trailer.encode());
    FooterBytes { bytes, trailer }
}

/// Seals a segment: writes and syncs its footer, then drops the index in memory. Meanwhile, publishing
/// continues in the next segment.
///
/// # Errors
///
/// [`Failure`]. The records of the segment are unaffected.
pub(super) fn seal(catalog: &Catalog, segment: &Segment) -> Result<(), Failure> {
    let Some(keyed) = segment.with_memory(|index| keyed(index, segment.base)) else {
        return Ok(());
    };
    let file = segment.open(&*catalog.storage).map_err(Failure::Broken)?;
    let keys = gather(&*file, segment.salt, &keyed).map_err(Failure::Broken)?.encode();
    let footer_at = segment.file_bytes();
    let place = (segment.base, segment.salt);
    let made = segment.with_memory(|index| footer(index, place, footer_at, &keys));
    let Some(FooterBytes { bytes, trailer }) = made else { return Ok(()) };
    let (sections, end) = bytes.split_at(bytes.len() - Trailer::BYTES);
    // The trailer is at the end of the file.
    if file.size().map_err(Failure::Broken)? > footer_at {
        file.truncate(footer_at).map_err(Failure::Broken)?;
    }
    write(&*file, sections, (footer_at, footer_at))?;
    // The trailer is written after the sync: where there is a trailer, the footer is complete.
    write(&*file, end, (footer_at + sections.len() as u64, footer_at))?;
    segment.set_sealed(trailer);
    Ok(())
}

/// Writes and syncs a part of the footer.
pub(super) fn write(
    file: &dyn StorageFile,
    bytes: &[u8],
    (at, footer_at): (u64, u64),
) -> Result<(), Failure> {
    /// Size of a single write, so that other reads and writes can come in between.
    const PIECE_BYTES: usize = 1024 * 1024;
    for (number, piece) in (0..).zip(bytes.chunks(PIECE_BYTES)) {
        if let Err(error) = file.write_all_at(piece, at + number * PIECE_BYTES as u64) {
            // An incomplete footer is useless, and space is short.
            file.truncate(footer_at).map_err(Failure::Broken)?;
            return Err(Failure::of_write(error));
        }
    }
    file.sync().map_err(Failure::Broken)
}

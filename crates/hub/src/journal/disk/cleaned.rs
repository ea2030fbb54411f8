//! A segment from which superseded records are left out, while it is written.

use std::io;
use std::sync::Arc;

use super::bytes::{Salt, VERSION_CLEANED};
use super::catalog::Catalog;
use super::group::{BODY_BYTES, GroupHeader};
use super::index::MemoryIndex;
use super::record::{Decoded, claimed_bytes, reseal};
use super::seal::{FooterBytes, footer, write};
use super::segment::{Segment, SegmentHeader};
use super::storage::{Access, Failure, StorageFile};
use super::trailer::Trailer;
use crate::cursor::Sequence;
use crate::time::Time;

/// The name of the file until it is complete. What a crash leaves of it is written over.
const NAME: &str = "segment.new";
/// Bytes that are written together.
const WRITE_BYTES: usize = 1024 * 1024;

/// The file, and what has not been written to it yet.
pub(super) struct CleanedSegment {
    file: Arc<dyn StorageFile>,
    base: Sequence,
    salt: Salt,
    index: MemoryIndex,
    keys: Vec<u8>,
    /// Bytes to be written at a position.
    bytes: Vec<u8>,
    at: u64,
    group: Option<Group>,
}

/// The group to which records are added: consecutive ones.
struct Group {
    /// Its position in the bytes to be written.
    at: usize,
    first: Sequence,
    count: u32,
}

impl CleanedSegment {
    /// Creates the file of a segment that starts with a sequence.
    pub(super) fn create(catalog: &Catalog, (base, salt): (Sequence, Salt)) -> io::Result<Self> {
        let file = catalog.storage.open(NAME, Access::Create)?;
        let identity = catalog.head.identity;
        let created = Time::default();
        let version = VERSION_CLEANED;
        let bytes = SegmentHeader { identity, base, created, version }.encode();
        let index = MemoryIndex::new(identity, base, bytes.len() as u64);
        Ok(Self { file, base, salt, index, keys: Vec::new(), bytes, at: 0, group: None })
    }

    /// Adds the idempotency keys of a segment, as its footer has them.
    pub(super) fn add_keys(&mut self, keys: &[u8]) {
        self.keys.extend_from_slice(keys);
    }

    /// Adds a record. `bytes` begin with it.
    pub(super) fn push(
        &mut self,
        sequence: Sequence,
        bytes: &[u8],
        decoded: &Decoded,
    ) -> io::Result<()> {
        let len = claimed_bytes(bytes).ok_or(io::ErrorKind::InvalidData)?;
        let bytes = bytes.get(..len).ok_or(io::ErrorKind::InvalidData)?;
        let is_next = |group: &Group| {
            group.first.get() + u64::from(group.count) == sequence.get()
                && self.bytes.len() - group.at < BODY_BYTES
        };
        if !self.group.as_ref().is_some_and(is_next) {
            self.close_group();
            self.write_some(WRITE_BYTES)?;
            self.group = Some(Group { at: self.bytes.len(), first: sequence, count: 0 });
            self.bytes.extend_from_slice(&[0; GroupHeader::BYTES]);
        }
        if let Some(group) = &mut self.group {
            group.count += 1;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        reseal(&mut self.bytes[start..], self.salt, sequence);
        let (at, end) = (self.at + start as u64, self.at + self.bytes.len() as u64);
        match decoded {
            // Its key is among those of the old footer.
            Decoded::Known(record) => self.index.push(&record.entry, at, end, false),
            Decoded::Copied(..) | Decoded::Unknown => self.index.push_unknown(sequence, at, end),
        }
        Ok(())
    }

    fn close_group(&mut self) {
        let Some(Group { at, first, count }) = self.group.take() else { return };
        let body = at + GroupHeader::BYTES;
        let body_bytes = (self.bytes.len() - body) as u32;
        // Everything in it was synced long since.
        let synced = first.before();
        let header = GroupHeader { body_bytes, count, first, synced, is_request: false };
        self.bytes[at..body].copy_from_slice(&header.encode(self.salt, self.at + at as u64));
    }

    /// Writes if there are so many bytes.
    fn write_some(&mut self, bytes_min: usize) -> io::Result<()> {
        if self.bytes.len() >= bytes_min {
            self.file.write_all_at(&self.bytes, self.at)?;
            self.at += self.bytes.len() as u64;
            self.bytes.clear();
        }
        Ok(())
    }

    /// Completes the file, up to a sequence, and puts the segment in the place of others.
    ///
    /// # Errors
    ///
    /// [`Failure`]. After [`Failure::Refused`] nothing has changed.
    pub(super) fn complete(
        mut self,
        catalog: &Catalog,
        old: &[Arc<Segment>],
        (last, times): (Sequence, (Time, Time)),
    ) -> Result<(), Failure> {
        let written = self.write_rest(old[0].file_bytes(), (last, times));
        let replaced = match written {
            Ok(trailer) => {
                let new = Arc::new(Segment::sealed(self.base, trailer));
                catalog.replace(old, &new, NAME)
            }
            // Nothing depends on the file yet.
            Err(Failure::Refused(error) | Failure::Broken(error)) => Err(Failure::Refused(error)),
        };
        if matches!(replaced, Ok(false) | Err(Failure::Refused(_))) {
            self.discard(catalog);
        }
        replaced.map(drop)
    }

    fn write_rest(
        &mut self,
        old_bytes: u64,
        (last, times): (Sequence, (Time, Time)),
    ) -> Result<Trailer, Failure> {
        self.close_group();
        self.index.pass(last.next());
        self.index.set_times(times);
        self.mark(last);
        let footer_at = self.at + self.bytes.len() as u64;
        let mut made = footer(&self.index, (self.base, self.salt), footer_at, &self.keys);
        if made.trailer.file_bytes() == old_bytes {
            // Files of the same name are told apart by their sizes.
            self.mark(last);
            let footer_at = self.at + self.bytes.len() as u64;
            made = footer(&self.index, (self.base, self.salt), footer_at, &self.keys);
        }
        self.write_some(0).map_err(Failure::of_write)?;
        let FooterBytes { bytes, trailer } = made;
        let (sections, end) = bytes.split_at(bytes.len() - Trailer::BYTES);
        let footer_at = trailer.footer_at;
        write(&*self.file, sections, (footer_at, footer_at))?;
        write(&*self.file, end, (footer_at + sections.len() as u64, footer_at))?;
        Ok(trailer)
    }

    /// Adds an empty group, which shows how far the segment goes even if its footer is damaged.
    fn mark(&mut self, last: Sequence) {
        let group = GroupHeader::empty(last.next(), last);
        let at = self.at + self.bytes.len() as u64;
        self.bytes.extend_from_slice(&group.encode(self.salt, at));
    }

    /// Removes the file. If that fails, the next one is written over it.
    pub(super) fn discard(self, catalog: &Catalog) {
        drop(catalog.storage.remove(NAME));
    }
}

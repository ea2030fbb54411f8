//! Creating a segment's file.

use std::io;
use std::sync::Arc;

use super::bytes::Salt;
use super::head::Head;
use super::index::MemoryIndex;
use super::segment::{Segment, SegmentHeader, name_of};
use super::storage::{Access, Failure, Storage, StorageFile};
use crate::cursor::Sequence;
use crate::time::Time;

/// Creates and syncs the file of a segment that starts with a sequence.
///
/// # Errors
///
/// [`Failure`]. After [`Failure::Refused`] the file does not exist.
pub(super) fn create(
    storage: &dyn Storage,
    head: &Head,
    base: Sequence,
    now: Time,
) -> Result<(Arc<Segment>, Arc<dyn StorageFile>), Failure> {
    let name = name_of(base);
    let file = match open_with_header(storage, &name, head, (base, now)) {
        Ok(file) => file,
        Err(error) => {
            let failure = Failure::of_write(error);
            if matches!(failure, Failure::Refused(_)) {
                remove_if_there(storage, &name).map_err(Failure::Broken)?;
            }
            return Err(failure);
        }
    };
    file.sync().map_err(Failure::Broken)?;
    storage.sync_folder().map_err(Failure::Broken)?;
    let bytes = SegmentHeader::BYTES as u64;
    let index = MemoryIndex::new(head.identity, base, bytes);
    let place = (base, Salt::new(&head.identity, base));
    Ok((Arc::new(Segment::in_memory(index, place, Some(Arc::clone(&file)), bytes)), file))
}

fn open_with_header(
    storage: &dyn Storage,
    name: &str,
    head: &Head,
    (base, created): (Sequence, Time),
) -> io::Result<Arc<dyn StorageFile>> {
    let file = storage.open(name, Access::Create)?;
    let version = SegmentHeader::version_in(head);
    let header = SegmentHeader { identity: head.identity, base, created, version };
    file.write_all_at(&header.encode(), 0)?;
    Ok(file)
}

fn remove_if_there(storage: &dyn Storage, name: &str) -> io::Result<()> {
    match storage.remove(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

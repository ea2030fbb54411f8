//! Looking something up in a segment that may be gone, or whose index may be damaged.

use std::io;
use std::sync::Arc;

use super::catalog::Catalog;
use super::damage::{Damage, Damaged};
use super::segment::Segment;
use super::storage::StorageFile;

/// Opens a segment's file. `None` if the segment has just been removed.
pub(super) fn open(
    catalog: &Catalog,
    segment: &Segment,
) -> io::Result<Option<Arc<dyn StorageFile>>> {
    match segment.open(&*catalog.storage) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Looks something up in a segment's index, and computes the index again if it is damaged.
pub(super) fn or_index_anew<T>(
    catalog: &Catalog,
    segment: &Segment,
    file: &Arc<dyn StorageFile>,
    look_up: impl Fn(&dyn StorageFile) -> io::Result<T>,
) -> io::Result<T> {
    match look_up(&**file) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            if let Some(trailer) = segment.trailer() {
                let (file, at) = (segment.name(), trailer.footer_at);
                catalog.report(Damage { file, at, what: Damaged::Footer, lost: None });
            }
            segment.index_anew(&**file, catalog.head.identity)?;
            look_up(&**file)
        }
        found => found,
    }
}

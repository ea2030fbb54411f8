//! Reading records at known positions.

use std::io;

use super::bytes::Salt;
use super::record::{Decoded, decode};
use super::segment::Located;
use super::storage::StorageFile;

/// Maximum bytes of one read from a file; a larger record is read alone.
const READ_BYTES: u64 = 256 * 1024;
/// Maximum gap between two records that are read together: cheaper than a second read.
const SKIP_BYTES: u64 = 8 * 1024;

/// Reads records in order and passes them to `take`, a damaged record as `None`, until it returns
/// `false`.
///
/// # Errors
///
/// Those of the file system.
pub(super) fn fetch(
    file: &dyn StorageFile,
    salt: Salt,
    located: &[Located],
    take: &mut dyn FnMut(&Located, Option<Decoded>) -> bool,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    let mut rest = located;
    while let Some(first) = rest.first() {
        let mut count = 1;
        while let Some(next) = rest.get(count)
            && next.at.saturating_sub(rest[count - 1].end) <= SKIP_BYTES
            && next.end.saturating_sub(first.at) <= READ_BYTES
        {
            count += 1;
        }
        let (together, after) = rest.split_at(count);
        rest = after;
        let end = together[count - 1].end;
        bytes.resize(end.saturating_sub(first.at) as usize, 0);
        file.read_exact_at(&mut bytes, first.at)?;
        for record in together {
            let range = (record.at - first.at) as usize..(record.end - first.at) as usize;
            let found = bytes.get(range).and_then(|bytes| decode(bytes, salt, record.sequence));
            if !take(record, found.map(|(decoded, _)| decoded)) {
                return Ok(());
            }
        }
    }
    Ok(())
}

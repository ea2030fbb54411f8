//! The journal of a hub: on disk or in memory, and its bounds.

use std::fs;
use std::path::{Path, PathBuf};

use tidings_hub::journal::DiskConfig;
use tidings_server::nats::NatsConfig;

/// Where a hub keeps its events.
#[derive(Clone, Debug)]
pub(crate) enum JournalConfig {
    Memory,
    Disk(DataFolder),
    /// In a stream that other hubs have as well, in memory, and perhaps in a folder.
    Nats(NatsConfig),
}

/// The folder of a journal on disk.
#[derive(Clone, Debug)]
pub(crate) struct DataFolder {
    pub(crate) path: PathBuf,
    pub(crate) config: DiskConfig,
}

/// The folder of `serve`, in the working directory: found again by the same command in the same place.
const FOLDER: &str = "tidings-data";
/// The default bound on disk: days of a busy hub, on the smallest disk of a rented machine.
const DISK_BYTES: u64 = 10 << 30;
/// The least default bound, however full the disk is: two segments.
const DISK_BYTES_MIN: u64 = 32 << 20;
/// The history is this many segments or more, so that removing one removes a small part of it.
const SEGMENTS: u64 = 16;
const SEGMENT_BYTES_MIN: u64 = 1 << 20;
const SEGMENT_BYTES_MAX: u64 = 16 << 20;

impl DataFolder {
    /// A folder, bounded by what was given or by the size of the disk.
    pub(super) fn new(folder: Option<&Path>, history_bytes: Option<u64>) -> Self {
        let path = folder.unwrap_or(Path::new(FOLDER)).to_owned();
        let history_bytes = history_bytes.unwrap_or_else(|| default_bytes(&path));
        let segment_bytes = (history_bytes / SEGMENTS).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        let config = DiskConfig::default().with_bytes_max(history_bytes);
        Self { path, config: config.with_segment_bytes(segment_bytes) }
    }
}

/// Returns the bound of a journal for which none is given: a tenth of the disk stays free.
fn default_bytes(path: &Path) -> u64 {
    let here = |folder| if folder == Path::new("") { Path::new(".") } else { folder };
    // The folder itself may be created later.
    let existing = path.ancestors().map(here).find(|folder| folder.exists());
    let disk = existing.and_then(|folder| rustix::fs::statvfs(folder).ok());
    disk.map_or(DISK_BYTES, |disk| {
        let [total, free] = [disk.f_blocks, disk.f_bavail].map(|blocks| blocks * disk.f_frsize);
        bounded(total, free, held(path))
    })
}

/// Bounds a journal that already takes `held` bytes of a disk.
fn bounded(total: u64, free: u64, held: u64) -> u64 {
    (held + free.saturating_sub(total / 10)).clamp(DISK_BYTES_MIN, DISK_BYTES)
}

/// Returns the size of the files in a folder; 0 if it cannot be read.
fn held(path: &Path) -> u64 {
    let files = fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
    files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_the_disk_stays_free_by_default() {
        const GIB: u64 = 1 << 30;
        for (total, free, held, bound) in [
            (1000 * GIB, 900 * GIB, 0, 10 * GIB),
            (100 * GIB, 13 * GIB, 0, 3 * GIB),
            // The bytes that the journal takes are not free, but they are its own.
            (100 * GIB, 13 * GIB, 2 * GIB, 5 * GIB),
            (100 * GIB, 5 * GIB, 2 * GIB, 2 * GIB),
            (100 * GIB, 0, 0, 32 << 20),
            (0, 0, 0, 32 << 20),
        ] {
            assert_eq!(bounded(total, free, held), bound, "{total} {free} {held}");
        }
    }
}

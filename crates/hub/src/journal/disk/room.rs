//! Room: zeros after the records of the newest segment, which the next records replace.
//!
//! A sync that changes the size of a file has the file system commit to its own journal as well. Where the size
//! stays what it is, a sync takes about half the time, and does not wait for what others do in the file system.

use super::storage::{Failure, StorageFile};

/// The room in the newest segment.
pub(super) struct Room {
    /// The size of the file.
    end: u64,
    /// The size up to which the file is extended.
    end_max: u64,
    /// Whether there was no space for more.
    is_over: bool,
}

/// Room that is made at a time. A portion that makes some takes about a millisecond longer.
const ROOM_BYTES: u64 = 1024 * 1024;
/// Portions for which room is made: others come too seldom for their syncs to matter.
const PORTION_BYTES_MAX: u64 = ROOM_BYTES / 16;

impl Room {
    /// The room in a file of a size, which is extended to `end_max` at most.
    pub(super) fn new(end: u64, end_max: u64) -> Self {
        Self { end, end_max, is_over: false }
    }

    /// Makes more room after a portion, which was written at `at` to `end`, if there is none left. The sync of the
    /// portion is that of the room as well.
    ///
    /// # Errors
    ///
    /// [`Failure::Broken`]. It is no failure if there is no space.
    pub(super) fn make(
        &mut self,
        file: &dyn StorageFile,
        (at, end): (u64, u64),
    ) -> Result<(), Failure> {
        if end <= self.end {
            return Ok(());
        }
        self.end = end;
        let room = self.end_max.saturating_sub(end).min(ROOM_BYTES);
        if room == 0 || self.is_over || end - at > PORTION_BYTES_MAX {
            return Ok(());
        }
        match file.write_all_at(&vec![0; room as usize], end).map_err(Failure::of_write) {
            Ok(()) => self.end += room,
            Err(Failure::Refused(_)) => {
                // The space that is left is for records.
                file.truncate(end).map_err(Failure::Broken)?;
                self.is_over = true;
            }
            Err(broken) => return Err(broken),
        }
        Ok(())
    }

    /// Syncs the file without the room after `end`.
    ///
    /// # Errors
    ///
    /// [`Failure::Broken`].
    pub(super) fn sync_without(&mut self, file: &dyn StorageFile, end: u64) -> Result<(), Failure> {
        if self.end <= end {
            return file.sync().map_err(Failure::Broken);
        }
        self.end = end;
        file.truncate(end).map_err(Failure::Broken)
    }
}

/// Returns the size of what was written to a file: zeros at its end are room.
pub(super) fn used_bytes(bytes: &[u8]) -> u64 {
    bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last as u64 + 1)
}

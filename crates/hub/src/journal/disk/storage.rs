//! Storage: the edge to the file system.
//!
//! `Folder` is the implementation for real files. Tests have one that fails on demand and simulates
//! crashes.

use std::io;
use std::sync::Arc;

/// A folder that holds the files of a journal.
///
/// Writes must survive a crash once [`StorageFile::sync`] has returned; the creation, renaming and removal
/// of files, once [`Storage::sync_folder`] has returned. Before that, a crash may lose them partly and in
/// any order.
pub trait Storage: Send + Sync + 'static {
    /// Creates the folder if it does not exist.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    fn create_folder(&self) -> io::Result<()>;

    /// Locks the folder for one journal, until the lock is dropped or the process ends. `None` if another
    /// journal has locked it.
    ///
    /// # Errors
    ///
    /// Those of the file system, for example if the folder is read-only.
    fn lock(&self) -> io::Result<Option<Box<dyn StorageLock>>>;

    /// Lists the names of all files, in any order.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Opens a file.
    ///
    /// # Errors
    ///
    /// Those of the file system. [`io::ErrorKind::NotFound`] if the file does not exist.
    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn StorageFile>>;

    /// Renames a file and replaces the file that has the new name.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. It can still be read where it is open.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Waits until the creation, renaming and removal of files survive a crash.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    fn sync_folder(&self) -> io::Result<()>;
}

/// The purpose for which a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and writing.
    Write,
    /// Reading and writing a new file, which replaces an existing one.
    Create,
}

/// An open file.
pub trait StorageFile: Send + Sync + 'static {
    /// Returns the size of the file in bytes.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    fn size(&self) -> io::Result<u64>;

    /// Fills a buffer with the bytes at a position.
    ///
    /// # Errors
    ///
    /// Those of the file system. [`io::ErrorKind::UnexpectedEof`] if the file ends too early.
    fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()>;

    /// Writes all bytes at a position, and extends the file if necessary.
    ///
    /// # Errors
    ///
    /// Those of the file system. Some of the bytes may have been written.
    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Truncates the file, and waits until this survives a crash.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    fn truncate(&self, size: u64) -> io::Result<()>;

    /// Waits until everything written before survives a crash.
    ///
    /// # Errors
    ///
    /// Those of the file system. The state of earlier writes is then unknown.
    fn sync(&self) -> io::Result<()>;
}

/// Reads a file from its start, at most so many bytes. A journal that is in use may cut the file off meanwhile, when it seals
/// a segment or takes a write back, and then what is left is read.
///
/// # Errors
///
/// Those of the file system.
pub(super) fn read_start(file: &dyn StorageFile, mut bytes_max: u64) -> io::Result<Vec<u8>> {
    loop {
        let size = file.size()?.min(bytes_max);
        let mut bytes = vec![0; size as usize];
        match file.read_exact_at(&mut bytes, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                bytes_max = file.size()?;
                // It is shorter each time, so this ends.
                if bytes_max >= size {
                    return Err(error);
                }
            }
            read => return read.map(|()| bytes),
        }
    }
}

/// The lock on a folder. Dropping it releases the folder.
pub trait StorageLock: Send + 'static {}

/// The failure of a write.
#[derive(Debug)]
pub(super) enum Failure {
    /// There is no space. Nothing has changed, and the write may be attempted again.
    Refused(io::Error),
    /// Any other failure. The state of the disk is unknown, so the journal must stop writing.
    Broken(io::Error),
}

impl Failure {
    /// Classifies the error of a write or of a file's creation. The error of a sync is always
    /// [`Failure::Broken`].
    pub(super) fn of_write(error: io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match error.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::Refused(error),
            _ => Self::Broken(error),
        }
    }
}

//! Notes: lines of text beside the entries, which outlive the eviction of entries.

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use super::DiskJournal;
use super::storage::{Access, Storage, StorageFile};

/// A list of lines in a file of the journal's folder, for what must be kept longer than the entries.
///
/// A line that was added survives crashes. It keeps the journal, and so its folder, to this process.
pub struct Notes {
    journal: DiskJournal,
    name: &'static str,
    file: Arc<dyn StorageFile>,
    /// Where the next line begins.
    end: u64,
    /// The lines of the file.
    lines: usize,
    /// Whether a sync has failed, after which nobody knows what is on the disk.
    is_broken: bool,
}

/// Notes as they are found in a folder.
#[derive(Debug)]
#[non_exhaustive]
pub struct FoundNotes {
    /// The notes, for more lines.
    pub notes: Notes,
    /// The lines, oldest first.
    pub lines: Vec<String>,
    /// The number of lines that are damaged and passed over.
    pub damaged: usize,
}

/// A larger file is none of ours: reading it would take the memory of everything else.
const BYTES_MAX: u64 = 256 * 1024 * 1024;

impl DiskJournal {
    /// Opens the notes of a name, which is that of their file.
    ///
    /// # Errors
    ///
    /// Those of the file system, and [`ErrorKind::NotConnected`] if the journal is not open.
    pub fn notes(&self, name: &'static str) -> io::Result<FoundNotes> {
        let storage = self.open_storage()?;
        let file = match storage.open(name, Access::Write) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => create(storage, name, &[])?,
            Err(error) => return Err(error),
        };
        let size = file.size()?;
        if size > BYTES_MAX {
            return Err(io::Error::new(ErrorKind::InvalidData, "the file is too large for notes"));
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, 0)?;
        // A line without an end was not written completely, so no publisher was told that it is kept.
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if end < bytes.len() {
            file.truncate(end as u64)?;
            bytes.truncate(end);
        }
        let mut lines = Vec::new();
        let mut all = 0;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            all += 1;
            lines.extend(decode(line));
        }
        let (journal, damaged) = (self.clone(), all - lines.len());
        let notes = Notes { journal, name, file, end: end as u64, lines: all, is_broken: false };
        Ok(FoundNotes { notes, lines, damaged })
    }

    fn open_storage(&self) -> io::Result<&dyn Storage> {
        let closed = || io::Error::new(ErrorKind::NotConnected, "the journal is not open");
        self.open_state().map(|_| &*self.owner.shared.storage).ok_or_else(closed)
    }
}

impl Notes {
    /// The number of lines in the file, damaged ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines
    }

    /// Returns whether the file has no lines.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines == 0
    }

    /// Adds a line without a line end, and waits until it survives a crash.
    ///
    /// # Errors
    ///
    /// Those of the file system; [`ErrorKind::InvalidInput`] for a line with a line end. After a sync
    /// that failed, every further call fails.
    pub fn add(&mut self, line: &str) -> io::Result<()> {
        self.usable(line)?;
        let bytes = encode(line);
        if let Err(error) = self.file.write_all_at(&bytes, self.end) {
            // A part of it must not stand before the next line.
            self.is_broken = self.file.truncate(self.end).is_err();
            return Err(error);
        }
        self.file.sync().inspect_err(|_| self.is_broken = true)?;
        self.end += bytes.len() as u64;
        self.lines += 1;
        Ok(())
    }

    /// Replaces all lines, entirely or not at all.
    ///
    /// # Errors
    ///
    /// As for [`Notes::add`]; the old lines stay.
    pub fn replace<'a>(&mut self, lines: impl IntoIterator<Item = &'a str>) -> io::Result<()> {
        let (mut bytes, mut count) = (Vec::new(), 0);
        for line in lines {
            self.usable(line)?;
            bytes.extend(encode(line));
            count += 1;
        }
        self.file = create(self.journal.open_storage()?, self.name, &bytes)?;
        (self.end, self.lines) = (bytes.len() as u64, count);
        Ok(())
    }

    fn usable(&self, line: &str) -> io::Result<()> {
        if self.is_broken {
            return Err(io::Error::other("an earlier line could not be written"));
        }
        match line.contains('\n') {
            true => Err(io::Error::new(ErrorKind::InvalidInput, "a note is one line")),
            false => Ok(()),
        }
    }
}

/// Creates the file beside the old one and puts it in its place.
fn create(storage: &dyn Storage, name: &str, bytes: &[u8]) -> io::Result<Arc<dyn StorageFile>> {
    let new = format!("{name}.new");
    let file = storage.open(&new, Access::Create)?;
    file.write_all_at(bytes, 0)?;
    file.sync()?;
    storage.rename(&new, name)?;
    storage.sync_folder()?;
    Ok(file)
}

/// A line of the file: the checksum of the text, and the text.
fn encode(line: &str) -> Vec<u8> {
    format!("{:08x} {line}\n", crc32fast::hash(line.as_bytes())).into_bytes()
}

/// The text of a line with its end; `None` if it is damaged.
fn decode(line: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let (sum, text) = line.split_at_checked(8)?;
    let text = text.strip_prefix(' ')?;
    let is_sound = u32::from_str_radix(sum, 16) == Ok(crc32fast::hash(text.as_bytes()));
    is_sound.then(|| text.to_owned())
}

impl fmt::Debug for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notes").field("name", &self.name).finish_non_exhaustive()
    }
}

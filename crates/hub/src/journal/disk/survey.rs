//! Examines a journal's folder without changing it.

use std::io;
use std::sync::Arc;

use super::bytes::{Identity, Salt, VERSION, VERSION_CLEANED};
use super::damage::{Damage, Damaged, Lost};
use super::head::{self, Head, HeadFound};
use super::index::MemoryIndex;
use super::room::used_bytes;
use super::scan::{Scan, Scanned, Step};
use super::segment::{HeaderFound, SegmentHeader, add_step, base_of, name_of};
use super::storage::{Access, Storage, StorageFile, read_start};
use super::torn::{TornRequest, Voided};
use super::trailer::Trailer;
use crate::cursor::Sequence;
use crate::journal::JournalError;

/// The contents of a journal's folder.
pub(super) struct Survey {
    /// `None` if there is no journal yet.
    pub(super) head: Option<Head>,
    /// Reported if the head is damaged, and `head` was made from the segments.
    pub(super) damage: Option<Damage>,
    /// The first sequence of each segment, in order.
    pub(super) bases: Vec<Sequence>,
}

/// The file of a segment.
pub(super) struct Examined {
    pub(super) base: Sequence,
    pub(super) salt: Salt,
    pub(super) file: Arc<dyn StorageFile>,
    pub(super) file_bytes: u64,
    /// The version in the header, if that is sound.
    pub(super) version: Option<u32>,
    pub(super) contents: Contents,
}

pub(super) enum Contents {
    Sealed(Trailer),
    Unsealed {
        index: Box<MemoryIndex>,
        scanned: Scanned,
        damage: Vec<Damage>,
        /// Replacements of requests that a crash has left in part.
        voided: Vec<Voided>,
        /// The end of what was written, sound or not.
        used_bytes: u64,
        /// Whether the file has only zeros, because its creation was interrupted.
        is_blank: bool,
    },
}

impl Survey {
    pub(super) fn new(storage: &dyn Storage) -> Result<Self, JournalError> {
        let names = storage.list().map_err(|error| failed("the journal's folder", error))?;
        let mut bases: Vec<Sequence> = names.iter().filter_map(|name| base_of(name)).collect();
        bases.sort_unstable();
        let found = Head::read(storage).map_err(|error| failed(head::NAME, error))?;
        let (head, damage) = match found {
            HeadFound::Sound(head) => (Some(head), None),
            HeadFound::Newer(version) => return Err(newer(head::NAME, version)),
            HeadFound::Nothing if bases.is_empty() => (None, None),
            HeadFound::Unsound if bases.is_empty() => {
                return Err(refused(head::NAME, "is not the head of a journal"));
            }
            HeadFound::Nothing | HeadFound::Unsound => {
                let identity = identity_by_segments(storage, &bases)?;
                // A new epoch, because the old one is unknown.
                let head = Head { identity, ..Head::random() };
                let file = head::NAME.into();
                (Some(head), Some(Damage { file, at: 0, what: Damaged::Head, lost: None }))
            }
        };
        Ok(Self { head, damage, bases })
    }
}

fn identity_by_segments(
    storage: &dyn Storage,
    bases: &[Sequence],
) -> Result<Identity, JournalError> {
    for &base in bases {
        let name = name_of(base);
        let read = || {
            let file = storage.open(&name, Access::Read)?;
            read_start(&*file, SegmentHeader::BYTES as u64)
        };
        let bytes = read().map_err(|error| failed(&name, error))?;
        match SegmentHeader::find(&bytes) {
            HeaderFound::Sound(header) => return Ok(header.identity),
            HeaderFound::Newer(version) => return Err(newer(&name, version)),
            HeaderFound::Unsound => {}
        }
    }
    Err(refused(head::NAME, "is missing, and no segment says which journal it is of"))
}

impl Examined {
    /// Reads a segment's trailer, or all its records if it has none. `followers` is the number of later segments.
    pub(super) fn new(
        storage: &dyn Storage,
        head: &Head,
        (base, followers): (Sequence, usize),
        access: Access,
    ) -> Result<Self, JournalError> {
        let name = name_of(base);
        let failed = |error| failed(&name, error);
        let file = storage.open(&name, access).map_err(failed)?;
        let mut file_bytes = file.size().map_err(failed)?;
        if file_bytes > u64::from(u32::MAX) {
            return Err(refused(&name, "is larger than any segment"));
        }
        let bytes = read_start(&*file, SegmentHeader::BYTES as u64).map_err(failed)?;
        let header = match SegmentHeader::find(&bytes) {
            HeaderFound::Sound(header) if header.identity != head.identity => {
                return Err(refused(&name, "is a segment of another journal"));
            }
            HeaderFound::Sound(header) if header.base != base => {
                return Err(refused(&name, "does not start with the entry of its name"));
            }
            HeaderFound::Sound(header) => Some(header),
            HeaderFound::Newer(version) => return Err(newer(&name, version)),
            HeaderFound::Unsound => None,
        };
        let version = header.map(|header| header.version);
        let is_cleaned = version == Some(VERSION_CLEANED);
        let salt = Salt::new(&head.identity, base);
        let contents = match read_trailer(&*file, file_bytes, salt).map_err(failed)? {
            Some(trailer) => Contents::Sealed(trailer),
            None => {
                let mut bytes = read_start(&*file, file_bytes).map_err(failed)?;
                file_bytes = bytes.len() as u64;
                let start = SegmentHeader::BYTES;
                if head.is_copy {
                    // Records after the last whole step are copied again.
                    let scanned =
                        Scan { bytes: &bytes, salt, base, start, is_cleaned }.run(&mut |_| ());
                    bytes.truncate((scanned.copied_end as usize).max(start));
                }
                let scan = Scan { bytes: &bytes, salt, base, start, is_cleaned };
                // A segment is synced before another one begins.
                match followers {
                    0 => Contents::scan_newest(scan, head),
                    _ => Contents::scan(scan, head),
                }
            }
        };
        Ok(Self { base, salt, file, file_bytes, version, contents })
    }

    /// Returns the newest sequence, or the place before the segment.
    pub(super) fn last(&self) -> Sequence {
        match &self.contents {
            Contents::Sealed(trailer) => trailer.last,
            Contents::Unsealed { index, .. } => index.last(),
        }
    }

    pub(super) fn is_header_sound(&self) -> bool {
        self.version.is_some()
    }

    /// Returns whether superseded records have been left out.
    pub(super) fn is_cleaned(&self) -> bool {
        self.version == Some(VERSION_CLEANED)
    }

    /// Returns whether neither the header nor any group is sound.
    pub(super) fn is_unrecognizable(&self) -> bool {
        match &self.contents {
            Contents::Sealed(_) => false,
            Contents::Unsealed { index, .. } => !self.is_header_sound() && index.last() < self.base,
        }
    }

    /// Reports damage other than to records. `followers` is the number of later segments.
    pub(super) fn damage(&self, followers: usize) -> Vec<Damage> {
        let found = |at, what| Damage { file: name_of(self.base), at, what, lost: None };
        let mut damage = Vec::new();
        // An interrupted creation of the newest segment is not damage.
        let is_creation = followers == 0 && self.is_unrecognizable();
        if !self.is_header_sound() && !is_creation {
            damage.push(found(0, Damaged::Header));
        }
        // Each segment is sealed before the second one after it begins.
        if let Contents::Unsealed { scanned, .. } = &self.contents
            && followers > 1
        {
            damage.push(found(scanned.end, Damaged::Footer));
        }
        damage
    }

    /// Returns the end of the segment.
    pub(super) fn edge(&self) -> Edge {
        let torn_at = match &self.contents {
            // The file has damaged bytes after its last sound record.
            Contents::Unsealed { scanned, used_bytes, .. } if scanned.end < *used_bytes => {
                Some((name_of(self.base), scanned.end))
            }
            _ => None,
        };
        Edge { last: self.last(), torn_at, is_cleaned: self.is_cleaned() }
    }
}

/// The end of a segment.
pub(super) struct Edge {
    pub(super) last: Sequence,
    /// The file and the position of damaged bytes at the end.
    torn_at: Option<(String, u64)>,
    /// Whether the segment may stand for later ones, which are removed after it is there.
    is_cleaned: bool,
}

impl Edge {
    /// The end of an empty segment.
    pub(super) fn before(base: Sequence) -> Self {
        Self { last: base.before(), torn_at: None, is_cleaned: false }
    }

    /// Returns whether the segment stands for the one that starts with a sequence.
    pub(super) fn covers(&self, base: Sequence) -> bool {
        self.is_cleaned && base <= self.last
    }

    /// Reports the sequences missing before the next segment.
    ///
    /// # Errors
    ///
    /// [`JournalError`] if the segments overlap.
    pub(super) fn missing(self, next: Sequence) -> Result<Option<Damage>, JournalError> {
        if next <= self.last {
            return Err(refused(&name_of(next), "overlaps with the segment before it"));
        }
        Ok(Lost::between(self.last, next).map(|lost| match self.torn_at {
            Some((file, at)) => Damage { file, at, what: Damaged::Records, lost: Some(lost) },
            None => {
                let file = name_of(lost.first);
                Damage { file, at: 0, what: Damaged::Missing, lost: Some(lost) }
            }
        }))
    }
}

impl Contents {
    fn scan(scan: Scan<'_>, head: &Head) -> Self {
        let Scan { bytes, base, start, .. } = scan;
        let mut index = MemoryIndex::new(head.identity, base, start as u64);
        let mut losses = Vec::new();
        let scanned = scan.run(&mut |step| {
            if let Step::Lost { at, lost } = &step {
                losses.push((*at, *lost));
            }
            add_step(&mut index, &step);
        });
        index.pass(scanned.next);
        let damage = losses.into_iter().map(|(at, lost)| {
            let what =
                if lost.first > scanned.synced { Damaged::Unsynced } else { Damaged::Records };
            Damage { file: name_of(base), at, what, lost: Some(lost) }
        });
        let damage = damage.collect();
        let is_blank = bytes.len() < start || bytes.iter().all(|&byte| byte == 0);
        let used_bytes = used_bytes(bytes).max(scanned.end);
        let (index, voided) = (Box::new(index), Vec::new());
        Self::Unsealed { index, scanned, damage, voided, used_bytes, is_blank }
    }

    /// Scans the newest segment. Requests that a crash has left in part do not count.
    fn scan_newest(scan: Scan<'_>, head: &Head) -> Self {
        let mut contents = Self::scan(scan, head);
        // Voiding one shows no others: they were found already.
        if let Self::Unsealed { scanned, used_bytes: used, .. } = &contents {
            let is_unsynced = |torn: &&TornRequest| torn.header.first > scanned.synced;
            let torn = scanned.torn.iter().filter(is_unsynced);
            let void: Vec<Voided> = torn.map(|torn| torn.void(scan.salt)).collect();
            if void.is_empty() {
                return contents;
            }
            let (mut bytes, used) = (scan.bytes.to_vec(), *used);
            void.iter().for_each(|voided| voided.apply(&mut bytes));
            contents = Self::scan(Scan { bytes: &bytes, ..scan }, head);
            if let Self::Unsealed { voided, used_bytes, .. } = &mut contents {
                (*voided, *used_bytes) = (void, used);
            }
        }
        contents
    }
}

fn read_trailer(
    file: &dyn StorageFile,
    file_bytes: u64,
    salt: Salt,
) -> io::Result<Option<Trailer>> {
    let bytes_min = SegmentHeader::BYTES + Trailer::BYTES;
    if file_bytes < bytes_min as u64 {
        return Ok(None);
    }
    let mut bytes = vec![0; Trailer::BYTES];
    match file.read_exact_at(&mut bytes, file_bytes - Trailer::BYTES as u64) {
        // It has just been cut off, which happens to segments without a trailer alone.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        read => read.map(|()| Trailer::decode(&bytes, salt, file_bytes)),
    }
}

/// Makes the error for a failed read or write.
pub(super) fn failed(name: &str, error: io::Error) -> JournalError {
    JournalError::new(format!("{name} cannot be read or written"), Some(Box::new(error)))
}

/// Makes the error for a file that is not accepted.
pub(super) fn refused(name: &str, why: &str) -> JournalError {
    JournalError::new(format!("{name} {why}"), None)
}

fn newer(name: &str, version: u32) -> JournalError {
    let why = format!("is of version {version}; this program knows version {VERSION} and older");
    refused(name, &why)
}

//! A segment: a file of the journal with an index of its records.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{RwLock, RwLockReadGuard};

use super::bytes::{Found, Identity, Input, Preamble, Salt, VERSION_CLEANED, VERSION_REQUESTS};
use super::damage::Lost;
use super::footer::Footer;
use super::head::Head;
use super::index::{MemoryIndex, Placed};
use super::record::Decoded;
use super::scan::{Scan, Step};
use super::storage::{Access, Storage, StorageFile};
use super::trailer::Trailer;
use crate::cursor::Sequence;
use crate::time::Time;
use crate::topic::Topic;

const PREAMBLE: Preamble = Preamble { magic: *b"TIDINGSS" };
const SUFFIX: &str = ".segment";

/// The header of a segment.
#[derive(Clone, Copy)]
pub(super) struct SegmentHeader {
    pub(super) identity: Identity,
    pub(super) base: Sequence,
    pub(super) created: Time,
    pub(super) version: u32,
}

/// The result of reading a header.
pub(super) enum HeaderFound {
    Sound(SegmentHeader),
    Newer(u32),
    Unsound,
}

impl SegmentHeader {
    pub(super) const BYTES: usize = Preamble::BYTES + 32;

    /// The version of the segments that are written in a folder.
    pub(super) fn version_in(head: &Head) -> u32 {
        // A copy has steps instead of requests.
        if head.is_copy { VERSION_CLEANED } else { VERSION_REQUESTS }
    }

    /// Returns whether sequences may be missing.
    pub(super) fn is_cleaned(&self) -> bool {
        self.version == VERSION_CLEANED
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = PREAMBLE.begin_as(self.version);
        bytes.extend_from_slice(&self.identity.0);
        bytes.extend_from_slice(&self.base.get().to_le_bytes());
        bytes.extend_from_slice(&self.created.unix_millis().to_le_bytes());
        Preamble::close(bytes)
    }

    pub(super) fn find(bytes: &[u8]) -> HeaderFound {
        let Some(bytes) = bytes.get(..Self::BYTES) else { return HeaderFound::Unsound };
        let parse = || {
            let version = Input(&bytes[8..]).u32()?;
            let mut input = Input(&bytes[Preamble::BYTES..]);
            let identity = Identity(input.take(16)?.try_into().ok()?);
            let base = input.sequence()?;
            let created = Time::from_unix_millis(input.u64()?);
            Some(Self { identity, base, created, version })
        };
        match PREAMBLE.find(bytes) {
            Found::Sound => parse().map_or(HeaderFound::Unsound, HeaderFound::Sound),
            Found::Newer(version) => HeaderFound::Newer(version),
            Found::Unsound => HeaderFound::Unsound,
        }
    }
}

/// Returns the file name of a segment by its first sequence. Names sort in the order of sequences.
pub(super) fn name_of(base: Sequence) -> String {
    format!("{base:020}{SUFFIX}", base = base.get())
}

/// Returns the first sequence of the segment with a file name. `None` if it is not a segment's name.
pub(super) fn base_of(name: &str) -> Option<Sequence> {
    let base = Sequence::new(name.strip_suffix(SUFFIX)?.parse().ok()?)?;
    (name == name_of(base) && base > Sequence::ZERO).then_some(base)
}

/// A file of the journal.
pub(super) struct Segment {
    pub(super) base: Sequence,
    pub(super) salt: Salt,
    state: RwLock<State>,
    file_bytes: AtomicU64,
}

/// The location of a segment's index.
enum State {
    /// In memory. The file is open until the segment is sealed; it is `None` if the index replaces a
    /// damaged footer.
    Memory { index: Box<MemoryIndex>, file: Option<Arc<dyn StorageFile>> },
    /// In the footer.
    Sealed(Trailer),
}

/// The position of a record in its segment's file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Located {
    pub(super) sequence: Sequence,
    pub(super) at: u64,
    /// An upper bound of its end.
    pub(super) end: u64,
}

/// The records to look for.
#[derive(Clone, Copy)]
pub(super) enum Selection<'a> {
    All,
    /// Records with at least one of these topics.
    Topics(&'a [Topic]),
}

impl Segment {
    pub(super) fn in_memory(
        index: MemoryIndex,
        (base, salt): (Sequence, Salt),
        file: Option<Arc<dyn StorageFile>>,
        file_bytes: u64,
    ) -> Self {
        let state = State::Memory { index: Box::new(index), file };
        Self { base, salt, state: RwLock::new(state), file_bytes: AtomicU64::new(file_bytes) }
    }

    pub(super) fn sealed(base: Sequence, trailer: Trailer) -> Self {
        let file_bytes = AtomicU64::new(trailer.file_bytes());
        Self { base, salt: trailer.salt, state: RwLock::new(State::Sealed(trailer)), file_bytes }
    }

    pub(super) fn name(&self) -> String {
        name_of(self.base)
    }

    pub(super) fn file_bytes(&self) -> u64 {
        self.file_bytes.load(Ordering::Relaxed)
    }

    /// Returns the newest sequence, or the place before the segment.
    pub(super) fn last(&self) -> Sequence {
        match &*self.state.read() {
            State::Memory { index, .. } => index.last(),
            State::Sealed(trailer) => trailer.last,
        }
    }

    /// Returns the trailer if the index is in the footer.
    pub(super) fn trailer(&self) -> Option<Trailer> {
        match &*self.state.read() {
            State::Memory { .. } => None,
            State::Sealed(trailer) => Some(*trailer),
        }
    }

    /// Returns the number of records.
    pub(super) fn records(&self) -> u64 {
        match &*self.state.read() {
            State::Memory { index, .. } => index.len() as u64,
            State::Sealed(trailer) => trailer.counts.records.into(),
        }
    }

    /// Passes the name of each topic and the numbers of its records to `visit`.
    ///
    /// # Errors
    ///
    /// Those of [`Segment::locate`].
    pub(super) fn each_topic(
        &self,
        file: &dyn StorageFile,
        visit: &mut dyn FnMut(&str, &[u32]),
    ) -> io::Result<()> {
        match self.index(file) {
            Index::Memory(index) => memory(&index).each_topic(visit),
            Index::Sealed(footer) => footer.each_topic(visit)?,
        }
        Ok(())
    }

    /// Returns the number of the first record after a sequence.
    ///
    /// # Errors
    ///
    /// Those of [`Segment::locate`].
    pub(super) fn position_after(
        &self,
        file: &dyn StorageFile,
        after: Sequence,
    ) -> io::Result<u32> {
        self.index(file).position_after(after)
    }

    /// Returns the known losses.
    ///
    /// # Errors
    ///
    /// Those of [`Segment::locate`].
    pub(super) fn lost(&self, file: &dyn StorageFile) -> io::Result<Vec<Lost>> {
        match self.index(file) {
            Index::Memory(index) => Ok(memory(&index).lost().to_vec()),
            Index::Sealed(footer) => footer.lost(),
        }
    }

    /// Returns whether the file is final, so that it can be removed.
    pub(super) fn is_complete(&self) -> bool {
        !matches!(&*self.state.read(), State::Memory { file: Some(_), .. })
    }

    /// Applies a function to the index if it is in memory.
    pub(super) fn with_memory<T>(&self, look: impl FnOnce(&MemoryIndex) -> T) -> Option<T> {
        match &*self.state.read() {
            State::Memory { index, .. } => Some(look(index)),
            State::Sealed(_) => None,
        }
    }

    /// Adds records to the index in memory.
    pub(super) fn add(&self, file_bytes: u64, add: impl FnOnce(&mut MemoryIndex)) {
        if let State::Memory { index, .. } = &mut *self.state.write() {
            add(index);
        }
        self.file_bytes.store(file_bytes, Ordering::Relaxed);
    }

    /// Drops the index in memory, because the footer is complete.
    pub(super) fn set_sealed(&self, trailer: Trailer) {
        *self.state.write() = State::Sealed(trailer);
        self.file_bytes.store(trailer.file_bytes(), Ordering::Relaxed);
    }

    pub(super) fn open(&self, storage: &dyn Storage) -> io::Result<Arc<dyn StorageFile>> {
        if let State::Memory { file: Some(file), .. } = &*self.state.read() {
            return Ok(Arc::clone(file));
        }
        let file = storage.open(&self.name(), Access::Read)?;
        if file.size()? != self.file_bytes() {
            // Cleaning has put another file in its place, or something else has changed it.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(file)
    }

    /// Replaces a damaged footer by an index in memory, computed from the records.
    pub(super) fn index_anew(&self, file: &dyn StorageFile, identity: Identity) -> io::Result<()> {
        let Some(trailer) = self.trailer() else { return Ok(()) };
        let mut bytes = vec![0; trailer.footer_at as usize];
        file.read_exact_at(&mut bytes, 0)?;
        let start = SegmentHeader::BYTES;
        let is_cleaned = matches!(SegmentHeader::find(&bytes), HeaderFound::Sound(header) if header.is_cleaned());
        let scan = Scan { bytes: &bytes, salt: self.salt, base: self.base, start, is_cleaned };
        let mut index = MemoryIndex::new(identity, self.base, start as u64);
        let scanned = scan.run(&mut |step| add_step(&mut index, &step));
        index.pass(scanned.next);
        *self.state.write() = State::Memory { index: Box::new(index), file: None };
        Ok(())
    }

    /// Locates up to `max` selected records after a sequence. Fewer mean that the segment has no more.
    ///
    /// # Errors
    ///
    /// Those of the file system; [`io::ErrorKind::InvalidData`] if the footer is damaged.
    pub(super) fn locate(
        &self,
        file: &dyn StorageFile,
        identity: &Identity,
        selection: Selection<'_>,
        (after, max): (Sequence, usize),
    ) -> io::Result<Vec<Located>> {
        let index = self.index(file);
        let from = index.position_after(after)?;
        match selection {
            Selection::All => {
                let mut located = Vec::new();
                index.place(from, max, self.base, &mut located)?;
                Ok(located)
            }
            Selection::Topics(topics) => {
                let mut numbers = Vec::new();
                for topic in topics {
                    index.records_of(identity, topic, (from, max), &mut numbers)?;
                }
                if topics.len() > 1 {
                    numbers.sort_unstable();
                    numbers.dedup();
                    numbers.truncate(max);
                }
                index.place_all(&numbers, self.base)
            }
        }
    }

    /// Locates up to `max` of the newest selected records up to a sequence.
    ///
    /// # Errors
    ///
    /// Those of [`Segment::locate`].
    pub(super) fn locate_newest(
        &self,
        file: &dyn StorageFile,
        identity: &Identity,
        selection: Selection<'_>,
        (through, max): (Sequence, usize),
    ) -> io::Result<Vec<Located>> {
        let index = self.index(file);
        let end = index.position_after(through)?;
        match selection {
            Selection::All => {
                let mut located = Vec::new();
                let from = end.saturating_sub(u32::try_from(max).unwrap_or(u32::MAX));
                index.place(from, (end - from) as usize, self.base, &mut located)?;
                Ok(located)
            }
            Selection::Topics(topics) => {
                let mut numbers = Vec::new();
                for topic in topics {
                    index.records_of(identity, topic, (0, usize::MAX), &mut numbers)?;
                }
                numbers.retain(|&number| number < end);
                numbers.sort_unstable();
                numbers.dedup();
                index.place_all(&numbers[numbers.len().saturating_sub(max)..], self.base)
            }
        }
    }

    /// Returns the sequences of records by their numbers, which are sorted.
    pub(super) fn sequences(
        &self,
        file: &dyn StorageFile,
        numbers: &[u32],
    ) -> io::Result<Vec<Sequence>> {
        let located = self.index(file).place_all(numbers, self.base)?;
        Ok(located.into_iter().map(|located| located.sequence).collect())
    }

    /// Locates the records whose ID has the same hash, in order.
    pub(super) fn locate_id(
        &self,
        file: &dyn StorageFile,
        identity: &Identity,
        id: &str,
    ) -> io::Result<Vec<Located>> {
        let index = self.index(file);
        let numbers = match &index {
            Index::Memory(index) => memory(index).records_with_id(id),
            Index::Sealed(footer) => footer.records_with_id(identity.hash(id))?,
        };
        index.place_all(&numbers, self.base)
    }

    fn index<'a>(&'a self, file: &'a dyn StorageFile) -> Index<'a> {
        let state = self.state.read();
        match &*state {
            State::Memory { .. } => Index::Memory(state),
            State::Sealed(trailer) => {
                Index::Sealed(Box::new(Footer::new(file, *trailer, self.base)))
            }
        }
    }
}

/// Adds an item of a scan to an index.
pub(super) fn add_step(index: &mut MemoryIndex, step: &Step) {
    match step {
        Step::Record { at, end, decoded: Decoded::Known(record), .. } => {
            index.push(&record.entry, *at, *end, record.key.is_some());
        }
        Step::Record { sequence, at, end, decoded: Decoded::Unknown } => {
            index.push_unknown(*sequence, *at, *end);
        }
        Step::Record { at, end, decoded: Decoded::Copied(copied, lost), .. } => {
            index.push_end(copied, lost, (*at, *end));
        }
        Step::Lost { lost, .. } => index.push_lost(*lost),
    }
}

/// An index in memory or in a footer.
enum Index<'a> {
    /// The lock is held only while positions are copied.
    Memory(RwLockReadGuard<'a, State>),
    Sealed(Box<Footer<'a>>),
}

fn memory<'a>(state: &'a RwLockReadGuard<'_, State>) -> &'a MemoryIndex {
    match &**state {
        State::Memory { index, .. } => index,
        State::Sealed(_) => unreachable!("looked at before it was locked, and locked since"),
    }
}

impl Index<'_> {
    fn position_after(&self, after: Sequence) -> io::Result<u32> {
        match self {
            Self::Memory(index) => Ok(memory(index).position_after(after)),
            Self::Sealed(footer) => footer.position_after(after),
        }
    }

    fn records_of(
        &self,
        identity: &Identity,
        topic: &Topic,
        (from, max): (u32, usize),
        out: &mut Vec<u32>,
    ) -> io::Result<()> {
        match self {
            Self::Memory(index) => memory(index).records_of(topic, from, max, out),
            Self::Sealed(footer) => footer.records_of(identity, topic, (from, max), out)?,
        }
        Ok(())
    }

    /// Appends the positions of up to `max` records from `from`.
    fn place(
        &self,
        from: u32,
        max: usize,
        base: Sequence,
        out: &mut Vec<Located>,
    ) -> io::Result<()> {
        match self {
            Self::Memory(index) => {
                let (placed, end) = memory(index).records(from, max);
                put_located(placed, end, base, out);
            }
            Self::Sealed(footer) => {
                let (placed, end) = footer.records(from, max)?;
                put_located(&placed, end, base, out);
            }
        }
        Ok(())
    }

    /// Returns the positions of records with these numbers, which are sorted.
    fn place_all(&self, numbers: &[u32], base: Sequence) -> io::Result<Vec<Located>> {
        /// Records whose positions are read together: about two blocks of a footer.
        const WINDOW: usize = 512;
        let mut located = Vec::with_capacity(numbers.len());
        let mut window = Vec::new();
        let mut start = 0;
        for (at, &number) in numbers.iter().enumerate() {
            if number < start || (number - start) as usize >= window.len() {
                // Only as far as needed: the next numbers may be far apart.
                let near = numbers[at..].iter().take_while(|&&n| n - number < WINDOW as u32);
                let span = near.last().map_or(1, |last| (last - number) as usize + 1);
                window.clear();
                start = number;
                self.place(start, span, base, &mut window)?;
            }
            located.extend(window.get((number - start) as usize));
        }
        Ok(located)
    }
}

fn put_located(placed: &[Placed], end: u32, base: Sequence, out: &mut Vec<Located>) {
    let ends = placed.iter().skip(1).map(|next| next.at).chain([end]);
    out.extend(placed.iter().zip(ends).map(|(placed, end)| Located {
        sequence: Sequence::new(base.get() + u64::from(placed.delta)).unwrap_or(Sequence::MAX),
        at: placed.at.into(),
        end: end.into(),
    }));
}

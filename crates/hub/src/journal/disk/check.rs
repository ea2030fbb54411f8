//! Operations on a journal that is not open: check it, dump it, give it a new epoch.

use std::io;
use std::ops::ControlFlow;

use super::bytes::Salt;
use super::damage::{Damage, Damaged, Lost};
use super::footer::Footer;
use super::head::Head;
use super::index::{MemoryIndex, Placed};
use super::keyspans::KeySpans;
use super::record::{Decoded, Record, decode};
use super::room::used_bytes;
use super::scan::{Scan, Step};
use super::seal::{FooterBytes, footer};
use super::segment::{SegmentHeader, add_step, name_of};
use super::storage::{Access, Storage, StorageFile, read_start};
use super::survey::{Contents, Edge, Examined, Survey, failed, refused};
use super::trailer::Trailer;
use crate::cursor::{Epoch, Sequence};
use crate::draft::IdempotencyKey;
use crate::journal::{Entry, JournalError};

/// The result of [`check`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Checked {
    /// Number of segments.
    pub segments: usize,
    /// Number of sound entries.
    pub entries: u64,
    /// The newest entry.
    pub tail: Sequence,
    /// All damage, in order.
    pub damage: Vec<Damage>,
    /// Bytes of an incomplete write at the end, which a crash leaves, or a journal that is in use.
    /// Opening the journal cuts them off.
    pub torn_bytes: u64,
}

/// An item of [`dump`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Dumped {
    /// An entry.
    #[non_exhaustive]
    Entry {
        /// The entry.
        entry: Entry,
        /// The key it was published with.
        idempotency_key: Option<IdempotencyKey>,
    },
    /// Something damaged.
    Damage(Damage),
}

/// Reads a whole journal and reports all damage. It changes nothing and takes no lock. If the journal
/// is in use, its last write may appear incomplete.
///
/// # Errors
///
/// [`JournalError`] if the folder cannot be read, is not a journal's, or has a newer version.
pub fn check(storage: &dyn Storage) -> Result<Checked, JournalError> {
    let mut checked = Checked::default();
    let mut damage = Vec::new();
    let walked = walk(storage, &mut |found| {
        match found {
            Dumped::Entry { entry, .. } => {
                checked.entries += 1;
                checked.tail = entry.sequence;
            }
            Dumped::Damage(found) => damage.push(found),
        }
        ControlFlow::Continue(())
    })?;
    Ok(Checked { damage, segments: walked.segments, torn_bytes: walked.torn_bytes, ..checked })
}

/// Passes every entry of a journal, in order, and all damage to `visit`, until it breaks. It changes
/// nothing and takes no lock, like [`check`].
///
/// # Errors
///
/// Those of [`check`].
pub fn dump(
    storage: &dyn Storage,
    visit: &mut dyn FnMut(Dumped) -> ControlFlow<()>,
) -> Result<(), JournalError> {
    walk(storage, visit).map(drop)
}

/// Returns the epoch of a journal, which is part of the event IDs that the hub makes; `None` if there is
/// no journal. If the head is damaged, the epoch is lost, and a new one is returned.
///
/// # Errors
///
/// Those of [`check`].
pub fn epoch(storage: &dyn Storage) -> Result<Option<Epoch>, JournalError> {
    Ok(Survey::new(storage)?.head.map(|head| head.epoch))
}

/// Returns the epoch of a journal that is a copy of another store; `None` if there is no copy.
///
/// # Errors
///
/// Those of [`check`].
pub fn copy_epoch(storage: &dyn Storage) -> Result<Option<Epoch>, JournalError> {
    match storage.create_folder() {
        Ok(()) => Ok(Survey::new(storage)?.head.filter(|head| head.is_copy).map(|head| head.epoch)),
        Err(error) => Err(failed("the journal's folder", error)),
    }
}

/// Gives a journal a new epoch and returns it. Clients that resume with an ID of the old epoch are told
/// of a gap. Needed for a copy that continues beside the original, and for a backup that replaces it.
///
/// # Errors
///
/// [`JournalError`] if there is no journal, if it is in use, or if it cannot be written.
pub fn new_epoch(storage: &dyn Storage) -> Result<Epoch, JournalError> {
    const FOLDER: &str = "the journal's folder";
    let survey = Survey::new(storage)?;
    let Some(head) = survey.head else { return Err(refused(FOLDER, "holds no journal")) };
    let lock = storage.lock().map_err(|error| failed(FOLDER, error))?;
    let _lock = lock.ok_or_else(|| refused(FOLDER, "is in use by another process"))?;
    let head = Head { epoch: Epoch::random(), ..head };
    head.write(storage).map_err(|error| failed(FOLDER, error))?;
    Ok(head.epoch)
}

struct Walked {
    segments: usize,
    torn_bytes: u64,
}

fn walk(
    storage: &dyn Storage,
    visit: &mut dyn FnMut(Dumped) -> ControlFlow<()>,
) -> Result<Walked, JournalError> {
    let survey = Survey::new(storage)?;
    let mut walked = Walked { segments: survey.bases.len(), torn_bytes: 0 };
    let Some(head) = survey.head else { return Ok(walked) };
    let mut visit = Visitor { visit, is_over: false };
    survey.damage.into_iter().for_each(|damage| visit.damage(damage));
    let mut before: Option<Edge> = None;
    for (number, &base) in survey.bases.iter().enumerate() {
        let followers = survey.bases.len() - number - 1;
        if before.as_ref().is_some_and(|edge| edge.covers(base)) {
            continue;
        }
        let examined = Examined::new(storage, &head, (base, followers), Access::Read)?;
        if let Some(edge) = before.take() {
            // Between the segments of a copy is what the store had lost.
            let missing = edge.missing(base)?.filter(|_| !head.is_copy);
            missing.into_iter().for_each(|damage| visit.damage(damage));
        }
        examined.damage(followers).into_iter().for_each(|damage| visit.damage(damage));
        before = Some(examined.edge());
        let torn_bytes = walk_segment(&head, examined, &mut visit)
            .map_err(|error| failed(&name_of(base), error))?;
        if followers == 0 {
            walked.torn_bytes = torn_bytes;
        }
        if visit.is_over {
            break;
        }
    }
    Ok(walked)
}

struct Visitor<'a> {
    visit: &'a mut dyn FnMut(Dumped) -> ControlFlow<()>,
    is_over: bool,
}

impl Visitor<'_> {
    fn visit(&mut self, found: Dumped) {
        self.is_over = self.is_over || (self.visit)(found).is_break();
    }

    fn record(&mut self, record: Record) {
        let Record { entry, key } = record;
        self.visit(Dumped::Entry { entry, idempotency_key: key });
    }

    fn damage(&mut self, damage: Damage) {
        self.visit(Dumped::Damage(damage));
    }

    /// Visits the records of a damaged range that could be read, and reports the others as lost.
    fn lost(&mut self, damage: &Damage, lost: Lost, spared: Vec<Record>) {
        let mut next = lost.first;
        let gone = |next, before| Damage { lost: Lost::between(next, before), ..damage.clone() };
        if spared.len() as u64 == lost.entries() {
            self.damage(Damage { lost: None, ..damage.clone() });
        }
        for record in spared {
            let sequence = record.entry.sequence;
            if next < sequence {
                self.damage(gone(next.before(), sequence));
            }
            self.record(record);
            next = sequence.next();
        }
        if next <= lost.last {
            self.damage(gone(next.before(), lost.last.next()));
        }
    }
}

/// Visits one segment. Returns the number of bytes after its last sound record.
fn walk_segment(head: &Head, examined: Examined, visit: &mut Visitor<'_>) -> io::Result<u64> {
    let is_cleaned = examined.is_cleaned();
    let Examined { base, salt, file, file_bytes, contents, .. } = examined;
    let (trailer, known, voided) = match contents {
        Contents::Sealed(trailer) => (Some(trailer), Vec::new(), Vec::new()),
        Contents::Unsealed { damage, voided, .. } => (None, damage, voided),
    };
    let mut known = known.into_iter();
    let records_end = trailer.map_or(file_bytes, |trailer| trailer.footer_at);
    let mut bytes = read_start(&*file, records_end)?;
    let used = used_bytes(&bytes);
    voided.iter().for_each(|voided| voided.apply(&mut bytes));
    let start = SegmentHeader::BYTES;
    let new_index = || MemoryIndex::new(head.identity, base, start as u64);
    let mut indexes = [new_index(), new_index().of_earlier_program()];
    let mut keys = KeySpans::default();
    let mut losses = 0;
    let scanned = Scan { bytes: &bytes, salt, base, start, is_cleaned }.run(&mut |step| {
        indexes.iter_mut().for_each(|index| add_step(index, &step));
        match step {
            Step::Record { decoded: Decoded::Known(record), .. } => {
                if let Some(key) = &record.key {
                    keys.push(key, record.entry.sequence, record.entry.time);
                }
                visit.record(record);
            }
            Step::Record { .. } => {}
            Step::Lost { at, lost } => {
                losses += 1;
                let (name, what) = (name_of(base), Damaged::Records);
                let damage = Damage { file: name, at, what, lost: Some(lost) };
                let damage = known.next().unwrap_or(damage);
                let footer = trailer.map(|trailer| Footer::new(&*file, trailer, base));
                let spared = footer.and_then(|footer| spared(&footer, base, lost).ok());
                visit.lost(&damage, lost, decode_all(&bytes, salt, spared.unwrap_or_default()));
            }
        }
    });
    if let Some(trailer) = trailer {
        let torn = Lost::between(scanned.next.before(), trailer.last.next());
        if let Some(lost) = torn {
            let (name, what) = (name_of(base), Damaged::Records);
            let damage = Damage { file: name, at: scanned.end, what, lost: Some(lost) };
            let spared = spared(&Footer::new(&*file, trailer, base), base, lost);
            visit.lost(&damage, lost, decode_all(&bytes, salt, spared.unwrap_or_default()));
        }
        // The footer of a cleaned segment also has the times and the keys of records that were left out.
        let is_as_sealed = torn.is_none() && losses == trailer.counts.lost && !is_cleaned;
        let footer = |index| footer(index, (base, salt), records_end, &keys.encode());
        let right = is_as_sealed.then(|| indexes.each_ref().map(footer));
        check_footer(&*file, base, &trailer, right, visit)?;
    }
    Ok(used.saturating_sub(scanned.end))
}

/// Finds records by the footer that a scan cannot find, because their group's header is damaged.
fn spared(footer: &Footer<'_>, base: Sequence, lost: Lost) -> io::Result<Vec<(Sequence, u64)>> {
    let from = footer.position_after(lost.first.before())?;
    let (placed, _) = footer.records(from, lost.entries() as usize)?;
    let place = |placed: &Placed| {
        let sequence = Sequence::new(base.get() + u64::from(placed.delta))?;
        (sequence <= lost.last).then_some((sequence, placed.at.into()))
    };
    Ok(placed.iter().map_while(place).collect())
}

fn decode_all(bytes: &[u8], salt: Salt, places: Vec<(Sequence, u64)>) -> Vec<Record> {
    let decode = |(sequence, at): (Sequence, u64)| match decode(
        bytes.get(at as usize..)?,
        salt,
        sequence,
    )?
    .0
    {
        Decoded::Known(record) => Some(record),
        Decoded::Copied(..) | Decoded::Unknown => None,
    };
    places.into_iter().filter_map(decode).collect()
}

/// Compares a footer with those that programs compute from the records. If records are damaged, they differ, and
/// only the checksums of the footer are verified.
fn check_footer(
    file: &dyn StorageFile,
    base: Sequence,
    trailer: &Trailer,
    right: Option<[FooterBytes; 2]>,
    visit: &mut Visitor<'_>,
) -> io::Result<()> {
    let at = match right {
        Some(right) => {
            let mut bytes = vec![0; (trailer.file_bytes() - trailer.footer_at) as usize];
            file.read_exact_at(&mut bytes, trailer.footer_at)?;
            let same = |right: &FooterBytes| {
                bytes.iter().zip(&right.bytes).take_while(|(a, b)| a == b).count()
            };
            let is_right = right.iter().any(|right| right.bytes == bytes);
            let same = right.iter().map(same).max().unwrap_or_default();
            (!is_right).then_some(trailer.footer_at + same as u64)
        }
        None => match Footer::new(file, *trailer, base).check() {
            Ok(()) => None,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Some(trailer.footer_at),
            Err(error) => return Err(error),
        },
    };
    if let Some(at) = at {
        visit.damage(Damage { file: name_of(base), at, what: Damaged::Footer, lost: None });
    }
    Ok(())
}

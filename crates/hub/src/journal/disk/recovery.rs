//! Recovery: opens the journal in a folder.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::appender::Start;
use super::bytes::{Salt, VERSION_CLEANED, VERSION_PLAIN};
use super::catalog::Catalog;
use super::copying::{remove_after_torn, remove_all};
use super::create::create;
use super::damage::{Damage, Damaged, Lost};
use super::footer::Footer;
use super::head::{self, Head};
use super::keyspans::{decode, gather, keyed};
use super::segment::{Segment, SegmentHeader, name_of};
use super::storage::{Access, Failure, Storage};
use super::survey::{Contents, Edge, Examined, Survey, failed, refused};
use crate::cursor::Sequence;
use crate::journal::JournalError;
use crate::journal::copied::CopyOf;
use crate::journal::keys::{AGE_MAX, KeySpan, Keys, SPANS_MAX};
use crate::time::Time;

/// An opened journal.
pub(super) struct Recovered {
    pub(super) catalog: Arc<Catalog>,
    pub(super) start: Start,
    /// Size of the incomplete write that was cut off.
    pub(super) cut_bytes: u64,
    /// Why a copy was begun anew, if it was.
    pub(super) begun_anew: Option<&'static str>,
}

/// Opens the journal in a folder, or creates one. A copy that cannot be gone on with is begun anew.
///
/// # Errors
///
/// [`JournalError`] if the folder cannot be read or written, is not a journal's, or has a newer
/// version.
pub(super) fn recover(
    storage: Arc<dyn Storage>,
    copy: Option<CopyOf>,
) -> Result<Recovered, JournalError> {
    let mut survey = Survey::new(&*storage)?;
    let Some(copy) = copy else {
        refuse_copy(survey.head.as_ref())?;
        return recover_from(storage, survey, Sequence::ZERO);
    };
    let begun_anew = begin_copy(&*storage, &mut survey, copy)?;
    let recovered = recover_from(Arc::clone(&storage), survey, copy.oldest)?;
    if recovered.catalog.tail() >= copy.oldest {
        return Ok(Recovered { begun_anew, ..recovered });
    }
    drop(recovered);
    let survey = Survey::new(&*storage)?;
    remove_all(&*storage, &survey.bases)?;
    let recovered = recover_from(storage, Survey { bases: Vec::new(), ..survey }, copy.oldest)?;
    let begun_anew = Some("the store no longer has what follows its newest entry");
    Ok(Recovered { begun_anew, ..recovered })
}

fn refuse_copy(head: Option<&Head>) -> Result<(), JournalError> {
    match head {
        Some(head) if head.is_copy => Err(refused(
            "the journal's folder",
            "is a copy of a stream that several hubs share: name its servers, or another folder",
        )),
        _ => Ok(()),
    }
}

/// Prepares the folder of a copy. Returns why it was begun anew, if it was.
fn begin_copy(
    storage: &dyn Storage,
    survey: &mut Survey,
    copy: CopyOf,
) -> Result<Option<&'static str>, JournalError> {
    let mut begun_anew = None;
    match &survey.head {
        Some(head) if !head.is_copy => {
            return Err(refused(
                "the journal's folder",
                "has the events of a hub of its own: name another folder for the copy of a stream",
            ));
        }
        Some(head) if head.epoch == copy.epoch => {
            survey.bases = remove_after_torn(storage, head, std::mem::take(&mut survey.bases))?;
            return Ok(None);
        }
        Some(_) => {
            remove_all(storage, &survey.bases)?;
            survey.bases.clear();
            begun_anew = Some("it was the copy of another past");
        }
        None => {}
    }
    let head = Head::of_copy(copy.epoch);
    head.write(storage).map_err(|error| failed(head::NAME, error))?;
    survey.head = Some(head);
    Ok(begun_anew)
}

fn recover_from(
    storage: Arc<dyn Storage>,
    survey: Survey,
    oldest: Sequence,
) -> Result<Recovered, JournalError> {
    let mut recovery = Recovery {
        storage: &*storage,
        segments: VecDeque::new(),
        unsealed: VecDeque::new(),
        damage: Vec::new(),
        cut_bytes: 0,
        time: Time::default(),
    };
    let head = match survey.head {
        Some(head) => head,
        None => Head::random(),
    };
    if survey.head.is_none() || survey.damage.is_some() {
        head.write(&*storage).map_err(|error| failed(head::NAME, error))?;
    }
    recovery.damage.extend(survey.damage);
    let mut last = None;
    for (number, &base) in survey.bases.iter().enumerate() {
        let followers = survey.bases.len() - number - 1;
        if let Some(Last::Done(edge)) = &last
            && edge.covers(base)
        {
            // A crash came after cleaning had put the segment before it in its place.
            storage.remove(&name_of(base)).map_err(|error| failed(&name_of(base), error))?;
            continue;
        }
        last = recovery.take(&head, base, last, followers)?;
    }
    let (segment, file) = match last {
        Some(Last::Unsealed(examined)) => {
            let file = Arc::clone(&examined.file);
            (recovery.cut(&head, examined)?, file)
        }
        Some(Last::Done(edge)) => recovery.create(&head, edge.last.next())?,
        None => recovery.create(&head, oldest.next())?,
    };
    recovery.segments.push_back(Arc::clone(&segment));
    let Recovery { segments, unsealed, damage, cut_bytes, time, .. } = recovery;
    let catalog = Arc::new(Catalog::new(storage, head, segments, damage));
    let keys = keys(&catalog).map_err(|error| failed("the journal's folder", error))?;
    let start = Start { segment, file, time, keys, unsealed };
    Ok(Recovered { catalog, start, cut_bytes, begun_anew: None })
}

struct Recovery<'a> {
    storage: &'a dyn Storage,
    segments: VecDeque<Arc<Segment>>,
    unsealed: VecDeque<Arc<Segment>>,
    damage: Vec<Damage>,
    cut_bytes: u64,
    time: Time,
}

/// The segment that was examined last.
enum Last {
    /// Unsealed and the newest: it will be continued.
    Unsealed(Examined),
    /// Complete: another segment follows.
    Done(Edge),
}

impl Recovery<'_> {
    /// Examines a segment, with `followers` segments after it.
    fn take(
        &mut self,
        head: &Head,
        base: Sequence,
        before: Option<Last>,
        followers: usize,
    ) -> Result<Option<Last>, JournalError> {
        let examined = Examined::new(self.storage, head, (base, followers), Access::Write)?;
        let name = name_of(base);
        let is_last = followers == 0;
        if let Some(Last::Done(edge)) = before {
            let missing = edge.missing(base)?;
            // Between the segments of a copy is what the store had lost.
            self.damage.extend(missing.filter(|_| !head.is_copy));
        }
        self.damage.extend(examined.damage(followers));
        if examined.is_unrecognizable() {
            let is_blank = matches!(examined.contents, Contents::Unsealed { is_blank: true, .. });
            return match (is_blank, is_last) {
                (true, true) => Ok(Some(Last::Done(Edge::before(base)))),
                (true, false) => {
                    self.put_header(head, &examined)?;
                    Ok(Some(self.keep(head, examined)?))
                }
                (false, _) => Err(refused(&name, "is not a segment of a journal")),
            };
        }
        if !examined.is_header_sound() {
            self.put_header(head, &examined)?;
        }
        match &examined.contents {
            Contents::Sealed(trailer) => self.time = self.time.max(trailer.times.1),
            Contents::Unsealed { index, damage, .. } => {
                self.time = self.time.max(index.times().unwrap_or_default().1);
                self.damage.extend(damage.iter().cloned());
            }
        }
        match examined.contents {
            Contents::Unsealed { .. } if is_last => Ok(Some(Last::Unsealed(examined))),
            _ => self.keep(head, examined).map(Some),
        }
    }

    /// Adds a segment that will not be continued.
    fn keep(&mut self, head: &Head, examined: Examined) -> Result<Last, JournalError> {
        let edge = examined.edge();
        let Examined { base, salt, file, contents, .. } = examined;
        let segment = match contents {
            Contents::Sealed(trailer) => {
                // Events that the store of a copy had lost are no damage.
                if trailer.counts.lost > 0 && !head.is_copy {
                    let lost = Footer::new(&*file, trailer, base).lost();
                    self.damage.extend(lost.into_iter().flatten().map(|lost| known(base, lost)));
                }
                Arc::new(Segment::sealed(base, trailer))
            }
            Contents::Unsealed { index, used_bytes, .. } => {
                let bytes = used_bytes.max(SegmentHeader::BYTES as u64);
                let segment = Segment::in_memory(*index, (base, salt), Some(file), bytes);
                let segment = Arc::new(segment);
                self.unsealed.push_back(Arc::clone(&segment));
                segment
            }
        };
        self.segments.push_back(segment);
        Ok(Last::Done(edge))
    }

    /// Cuts off an incomplete write, so that the segment can be continued.
    fn cut(&mut self, head: &Head, examined: Examined) -> Result<Arc<Segment>, JournalError> {
        if examined.version == Some(VERSION_PLAIN) {
            // Groups of a later version follow.
            self.put_header(head, &examined)?;
        }
        let Examined { base, salt, file, file_bytes, contents, .. } = examined;
        let failed = |error| failed(&name_of(base), error);
        let Contents::Unsealed { index, scanned, voided, used_bytes, .. } = contents else {
            unreachable!("a sealed segment has no torn end");
        };
        for voided in voided {
            voided.write(&*file).map_err(failed)?;
        }
        if let Some((at, header)) = scanned.shortened {
            file.write_all_at(&header.encode(salt, at), at).map_err(failed)?;
        }
        // Readers are sent what was recovered, and repeated keys are answered by it: it is synced, even if the crash
        // came before that.
        match scanned.end == file_bytes {
            true => file.sync(),
            false => file.truncate(scanned.end),
        }
        .map_err(failed)?;
        self.cut_bytes += used_bytes.saturating_sub(scanned.end);
        let segment = Segment::in_memory(*index, (base, salt), Some(file), scanned.end);
        Ok(Arc::new(segment))
    }

    fn put_header(&self, head: &Head, examined: &Examined) -> Result<(), JournalError> {
        let (identity, base, created) = (head.identity, examined.base, self.time);
        let version = match &examined.contents {
            Contents::Sealed(trailer) if trailer.is_cleaned(base) => VERSION_CLEANED,
            _ => SegmentHeader::version_in(head),
        };
        let header = SegmentHeader { identity, base, created, version };
        let write = || {
            examined.file.write_all_at(&header.encode(), 0)?;
            examined.file.sync()
        };
        write().map_err(|error| failed(&name_of(examined.base), error))
    }

    fn create(
        &self,
        head: &Head,
        base: Sequence,
    ) -> Result<(Arc<Segment>, Arc<dyn super::storage::StorageFile>), JournalError> {
        create(self.storage, head, base, self.time).map_err(|failure| match failure {
            Failure::Refused(error) | Failure::Broken(error) => failed(&name_of(base), error),
        })
    }
}

/// Reports a loss that was found before the segment was sealed.
fn known(base: Sequence, lost: Lost) -> Damage {
    let at = SegmentHeader::BYTES as u64;
    Damage { file: name_of(base), at, what: Damaged::Records, lost: Some(lost) }
}

/// Reads the idempotency keys to remember, from the newest segments.
fn keys(catalog: &Catalog) -> io::Result<Keys> {
    let segments = catalog.after(Sequence::ZERO);
    let mut spans: Vec<Vec<KeySpan>> = Vec::new();
    let (mut count, mut horizon) = (0, None);
    for segment in segments.iter().rev() {
        let newest = match segment.trailer() {
            Some(trailer) => trailer.times.1,
            None => segment.with_memory(|index| index.times()).flatten().unwrap_or_default().1,
        };
        if segment.last() < segment.base {
            continue;
        }
        let horizon = *horizon.get_or_insert(newest.saturating_sub(AGE_MAX));
        if newest < horizon || count >= SPANS_MAX {
            break;
        }
        let found = spans_of(catalog, segment)?;
        count += found.len();
        spans.push(found);
    }
    let mut keys = Keys::default();
    spans.iter().rev().flatten().for_each(|span| keys.restore(span));
    Ok(keys)
}

fn spans_of(catalog: &Catalog, segment: &Segment) -> io::Result<Vec<KeySpan>> {
    let file = segment.open(&*catalog.storage)?;
    if let Some(trailer) = segment.trailer() {
        if trailer.counts.key_bytes == 0 {
            return Ok(Vec::new());
        }
        match Footer::new(&*file, trailer, segment.base).keys() {
            Ok(bytes) => {
                if let Some(spans) = decode(&bytes) {
                    return Ok(spans);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
            Err(error) => return Err(error),
        }
        let (name, at) = (segment.name(), trailer.footer_at);
        catalog.report(Damage { file: name, at, what: Damaged::Footer, lost: None });
        segment.index_anew(&*file, catalog.head.identity)?;
    }
    let keyed = segment.with_memory(|index| keyed(index, segment.base)).unwrap_or_default();
    let salt: Salt = segment.salt;
    Ok(gather(&*file, salt, &keyed)?.into_spans())
}

//! Reading pages of entries and finding IDs.

use std::io;
use std::sync::Arc;
use std::thread;

use tidings_proto::EventId;

use super::catalog::Catalog;
use super::damage::{Damage, Damaged, Lost};
use super::fetch::fetch;
use super::limits::count_on_page;
use super::lookup::{open, or_index_anew};
use super::newest::newest;
use super::record::Decoded;
use super::segment::{Located, Segment, Selection};
use super::storage::StorageFile;
use crate::cursor::Sequence;
use crate::journal::{Content, Entry, JournalPage, PageMax};

/// Reads the selected entries after a place, in order, and finds which of them are superseded. An empty page
/// has reached the tail.
pub(super) fn page(
    catalog: &Catalog,
    selection: Selection<'_>,
    after: Sequence,
    max: PageMax,
) -> io::Result<JournalPage> {
    catalog.look(|| {
        let mut page = read_entries(catalog, selection, after, max)?;
        page.newest = newest(catalog, &page.entries)?;
        if matches!(selection, Selection::All) {
            page.counted = count_on_page(catalog, &page.entries, max.counted_through)?;
        }
        Ok(page)
    })
}

/// Reads the selected entries after a place, in order.
pub(super) fn entries(
    catalog: &Catalog,
    selection: Selection<'_>,
    after: Sequence,
    max: PageMax,
) -> io::Result<JournalPage> {
    catalog.look(|| read_entries(catalog, selection, after, max))
}

fn read_entries(
    catalog: &Catalog,
    selection: Selection<'_>,
    after: Sequence,
    max: PageMax,
) -> io::Result<JournalPage> {
    // Entries committed during the read may be left to the next page.
    let tail = catalog.tail();
    let mut reading = Reading {
        page: JournalPage::new(Vec::new(), after.max(catalog.oldest())),
        max,
        bytes: 0,
        of_turn: 0,
        is_full: false,
    };
    for segment in catalog.after(reading.page.through) {
        reading.page.lost.extend(Lost::between(reading.page.through, segment.base));
        reading.read_segment(catalog, &segment, selection)?;
        if reading.is_full {
            return Ok(reading.page);
        }
        // Later entries of the segment may have been committed after they were looked for.
        let last = segment.last();
        reading.page.through = reading.page.through.max(last.min(tail));
    }
    Ok(reading.page)
}

struct Reading {
    page: JournalPage,
    max: PageMax,
    bytes: usize,
    /// Bytes read since others had their turn.
    of_turn: usize,
    is_full: bool,
}

/// Bytes of records after which a thread that reads lets others have their turn: some hundred microseconds. On a
/// machine whose cores are all busy, publishers would wait for the end of its page.
const TURN_BYTES: usize = 64 * 1024;

impl Reading {
    fn read_segment(
        &mut self,
        catalog: &Catalog,
        segment: &Segment,
        selection: Selection<'_>,
    ) -> io::Result<()> {
        let Some(file) = open(catalog, segment)? else { return Ok(()) };
        let before = self.page.through;
        self.read_records(catalog, segment, (&file, selection))?;
        let lost = or_index_anew(catalog, segment, &file, |file| segment.lost(file))?;
        let through = if self.is_full { self.page.through } else { segment.last() };
        self.page
            .lost
            .extend(lost.into_iter().filter(|lost| lost.last > before && lost.first <= through));
        Ok(())
    }

    fn read_records(
        &mut self,
        catalog: &Catalog,
        segment: &Segment,
        (file, selection): (&Arc<dyn StorageFile>, Selection<'_>),
    ) -> io::Result<()> {
        /// Records that are located before they are read.
        const LOCATED_MAX: usize = 4096;
        loop {
            let after = self.page.through;
            let wanted = self.max.entries.saturating_sub(self.page.entries.len()).min(LOCATED_MAX);
            if wanted == 0 {
                self.is_full = true;
                return Ok(());
            }
            let located = or_index_anew(catalog, segment, file, |file| {
                segment.locate(file, &catalog.head.identity, selection, (after, wanted))
            })?;
            self.read_located(catalog, segment, file, &located)?;
            if self.is_full || located.len() < wanted {
                return Ok(());
            }
        }
    }

    fn read_located(
        &mut self,
        catalog: &Catalog,
        segment: &Segment,
        file: &Arc<dyn StorageFile>,
        located: &[Located],
    ) -> io::Result<()> {
        fetch(&**file, segment.salt, located, &mut |record, found| {
            match found {
                Some(Decoded::Known(known)) => {
                    let bytes = (record.end - record.at) as usize;
                    if self.bytes + bytes > self.max.bytes && !self.page.entries.is_empty() {
                        self.is_full = true;
                        return false;
                    }
                    self.bytes += bytes;
                    self.of_turn += bytes;
                    if self.of_turn > TURN_BYTES {
                        self.of_turn = 0;
                        thread::yield_now();
                    }
                    self.page.entries.push(known.entry);
                }
                Some(Decoded::Copied(..) | Decoded::Unknown) => {}
                None => {
                    let lost = Lost { first: record.sequence, last: record.sequence };
                    self.page.lost.push(lost);
                    catalog.report(Damage {
                        file: segment.name(),
                        at: record.at,
                        what: Damaged::Records,
                        lost: Some(lost),
                    });
                }
            }
            self.page.through = record.sequence;
            true
        })
    }
}

/// Finds the earliest event with an ID after a place.
pub(super) fn find(catalog: &Catalog, id: &EventId, after: Sequence) -> io::Result<Option<Entry>> {
    catalog.look(|| find_once(catalog, id, after))
}

fn find_once(catalog: &Catalog, id: &EventId, after: Sequence) -> io::Result<Option<Entry>> {
    for segment in catalog.after(after) {
        let Some(file) = open(catalog, &segment)? else { continue };
        let located = or_index_anew(catalog, &segment, &file, |file| {
            segment.locate_id(file, &catalog.head.identity, id.as_str())
        })?;
        let mut found = None;
        for record in located.iter().filter(|record| record.sequence > after) {
            fetch(&*file, segment.salt, std::slice::from_ref(record), &mut |_, decoded| {
                // Different IDs may have the same hash.
                if let Some(Decoded::Known(known)) = decoded
                    && let Content::Event(event) = &known.entry.content
                    && event.id() == Some(id)
                    && found.is_none()
                    && !catalog.is_freed(&known.entry)
                {
                    found = Some(known.entry);
                }
                true
            })?;
            if found.is_some() {
                return Ok(found);
            }
        }
    }
    Ok(None)
}

/// Finds the place before the newest selected records up to a place. `None` if there are fewer.
pub(super) fn place_before(
    catalog: &Catalog,
    selection: Selection<'_>,
    through: Sequence,
    entries: usize,
) -> io::Result<Option<Sequence>> {
    catalog.look(|| place_before_once(catalog, selection, through, entries))
}

fn place_before_once(
    catalog: &Catalog,
    selection: Selection<'_>,
    through: Sequence,
    entries: usize,
) -> io::Result<Option<Sequence>> {
    let (mut left, mut place) = (entries, through.min(catalog.tail()));
    for segment in catalog.after(Sequence::ZERO).iter().rev() {
        if left == 0 {
            break;
        }
        if segment.base > place {
            continue;
        }
        let Some(file) = open(catalog, segment)? else { break };
        let located = or_index_anew(catalog, segment, &file, |file| {
            segment.locate_newest(file, &catalog.head.identity, selection, (through, left))
        })?;
        left = left.saturating_sub(located.len());
        place = located.first().map_or(place, |first| first.sequence.before());
    }
    Ok((left == 0).then_some(place))
}

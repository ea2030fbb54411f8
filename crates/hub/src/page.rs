//! Pages: some of a view's events, read at once.

use crate::cursor::Cursor;
use crate::entry::{HeldEvent, Raw};
use crate::gap::Gap;
use crate::history::ReadMax;
use crate::hub::Hub;
use crate::reader::{Read, Reader};
use crate::start::Start;
use crate::view::View;

/// Some of a view's events, read at once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// The events, in order.
    pub events: Vec<HeldEvent>,
    /// The gap there is before them.
    pub gap: Option<Gap>,
    /// Where to go on: after the last of the events.
    pub place: Cursor,
}

impl Page {
    fn read(hub: &Hub, view: &View, start: Start, events_max: usize) -> Self {
        let latest = start == Start::Tail;
        let mut reader = Reader::open(hub, view, start, None);
        reader.read_past_closes();
        if latest {
            reader.rewind(events_max);
        }
        let mut found = Vec::new();
        let mut gap = None;
        loop {
            let max = ReadMax { bytes: PAGE_BYTES_MAX, entries: events_max };
            let read =
                reader.read_held(max, |history, held| found.extend(Raw::copy(history, held)));
            match read {
                Read::Gap(told) => gap = Some(told),
                // A long walk without a match ends early; a page does not.
                Read::Full if found.is_empty() && events_max > 0 => {}
                Read::Full | Read::Tail | Read::Closed => break,
            }
        }
        let events = found.into_iter().filter_map(Raw::decode).collect();
        Self { events, gap, place: reader.cursor() }
    }
}

/// Bytes of one page at most, unless one event is larger: what a reader polls for at once.
const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

impl Hub {
    /// Reads some of a view's events at once, in order: after a start, or the latest for
    /// [`Start::Tail`]; `events_max` and about 8 MiB at most, one event at least if there is one.
    ///
    /// [`Page::place`] is where to go on, by another page or by subscribing after it.
    #[must_use]
    pub fn page(&self, view: impl Into<View>, start: Start, events_max: usize) -> Page {
        Page::read(self, &view.into(), start, events_max)
    }
}

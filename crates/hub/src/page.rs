//! Pages: some of a view's events, read at once.

use std::future::poll_fn;
use std::task::{Context, Poll};

use crate::cursor::Cursor;
use crate::entry::{HeldEvent, Raw};
use crate::gap::Gap;
use crate::history::{ReadMax, Steps};
use crate::hub::{Hub, Wait};
use crate::reader::{Read, Reader, Rewind, Rewound};
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

/// A page on its way, for a server that lets others have their turn between two looks at history.
///
/// Each [step](Paging::step) holds the history's lock for well below a millisecond, however large the
/// history is and whatever the view's patterns match. It waits where the journal has to read.
#[derive(Debug)]
pub struct Paging {
    reader: Reader,
    /// The look for the latest events, which comes before reading.
    latest: Option<Rewind>,
    found: Vec<Raw>,
    bytes: usize,
    events_max: usize,
    gap: Option<Gap>,
}

impl Paging {
    /// Begins to read some of a view's events; see [`Hub::page`].
    #[must_use]
    pub fn new(hub: &Hub, view: &View, start: Start, events_max: usize) -> Self {
        let is_latest = start == Start::Tail;
        let mut reader = Reader::begin(hub, view, start, None);
        reader.read_past_closes();
        let latest = is_latest.then(|| Rewind::new(reader.after(), events_max));
        Self { reader, latest, found: Vec::new(), bytes: 0, events_max, gap: None }
    }

    /// Looks at some of history; `false` if the page is complete.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the next step goes on.
    pub async fn step(&mut self) -> bool {
        poll_fn(|cx| self.poll_step(cx)).await
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if let Some(latest) = &mut self.latest {
            match self.reader.rewind(latest, Wait::Task(cx.waker())) {
                Rewound::Done => self.latest = None,
                Rewound::More => return Poll::Ready(true),
                Rewound::Waiting => return Poll::Pending,
            }
        }
        let mut max = ReadMax {
            bytes: PAGE_BYTES_MAX.saturating_sub(self.bytes),
            entries: self.events_max - self.found.len(),
            steps: Steps::default(),
        };
        let (found, bytes, epoch) = (&mut self.found, &mut self.bytes, self.reader.hub().epoch());
        let read = self.reader.read_seen(&mut max, Wait::Task(cx.waker()), |seen| {
            *bytes += seen.block().chunk(seen.index()).len();
            found.extend(Raw::copy(seen, epoch));
        });
        Poll::Ready(match read {
            Read::Waiting => return Poll::Pending,
            Read::Gap(gap) => {
                self.gap = Some(gap);
                true
            }
            // A look ends after its steps; a page ends when it is full.
            Read::Full => {
                max.steps.is_over()
                    && self.found.len() < self.events_max
                    && self.bytes < PAGE_BYTES_MAX
            }
            Read::Tail | Read::Closed => false,
        })
    }

    /// The page as far as it was read.
    #[must_use]
    pub fn finish(self) -> Page {
        let place = self.reader.cursor();
        let events = self.found.into_iter().filter_map(Raw::decode).collect();
        Page { events, gap: self.gap, place }
    }
}

/// Bytes of one page at most, unless one event is larger: what a reader polls for at once.
const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

impl Hub {
    /// Reads some of a view's events at once, in order: after a start, or the latest for
    /// [`Start::Tail`]; `events_max` and about 8 MiB at most, one event at least if there is one.
    ///
    /// [`Page::place`] is where to go on, by another page or by subscribing after it. A view with patterns
    /// may have to look at all of history, on the caller's thread; publishers do not wait for it. The future
    /// waits only for a journal that keeps its entries.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub fn page<V: Into<View>>(
        &self,
        view: V,
        start: Start,
        events_max: usize,
    ) -> impl Future<Output = Page> + Send + use<V> {
        let (hub, view) = (self.clone(), view.into());
        async move {
            let mut paging = Paging::new(&hub, &view, start, events_max);
            while paging.step().await {}
            paging.finish()
        }
    }
}

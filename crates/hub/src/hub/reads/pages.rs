//! The pages that readers behind memory share.
//!
//! ```text
//!   ASKED ──read──▶ AWAITED ──one of its readers has come, left, or taken too long──▶ USED ──▶ gone
//! ```
//!
//! Where there is no more room, used pages go first, the one used longest ago before the others. Then the page
//! that was read last goes: if pages are read faster than readers come for them, the readers that were
//! called first find theirs, so that some always get on, and none waits for another one to come.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Weak};

use crate::cursor::Sequence;
use crate::history::{KeptPage, Patience};
use crate::hub::ticket::Ticket;
use crate::journal::TopicSet;
use crate::time::Time;

/// The topics of a page, and the place that it continues after.
pub(super) type Place = (TopicSet, Sequence);

/// Readers that stand in a line.
pub(super) type Line = Vec<Weak<Ticket>>;

/// All pages that are asked for or have been read.
#[derive(Default)]
pub(super) struct Pages {
    pages: HashMap<TopicSet, BTreeMap<Sequence, Page>>,
    /// Pages that are used, by their latest use.
    uses: BTreeMap<u64, Place>,
    next_use: u64,
    /// Pages that are awaited, the oldest first, with the number of their use. Some may have been used since.
    awaited: VecDeque<(u64, Place)>,
    /// Bytes of the pages that have been read.
    bytes: usize,
}

enum Page {
    Asked(Line),
    Read(ReadPage),
}

struct ReadPage {
    page: Arc<KeptPage>,
    /// The number of its latest use, or of the read itself.
    used: u64,
    /// Readers that have been called and have not come yet; `None` once it is used.
    awaited_by: Option<Awaited>,
}

struct Awaited {
    readers: Line,
    /// When it was read, by the hub's steady clock, in milliseconds.
    read_at: u64,
}

/// Time that readers have to come for a page, in milliseconds: a shard takes a few, and one that takes more is
/// busy with readers that are served.
const AWAITED_MAX: u64 = 2000;

impl Pages {
    /// Bytes of the pages that have been read.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The page that continues after a place, if it has been read. `released` is the newest entry that the
    /// journal alone keeps.
    pub(super) fn find(
        &mut self,
        (topics, after): &Place,
        released: Sequence,
        patience: Patience,
    ) -> Option<Arc<KeptPage>> {
        let (from, page) = self.pages.get_mut(topics)?.range_mut(..=*after).next_back()?;
        let Page::Read(read) = page else { return None };
        if read.page.through() <= *after {
            return None;
        }
        if !read.page.is_current(released, patience) {
            let outdated = (topics.clone(), *from);
            self.forget(&outdated);
            return None;
        }
        let place = match read.awaited_by.take() {
            Some(_) => Some((topics.clone(), *from)),
            None => self.uses.remove(&read.used),
        };
        read.used = self.next_use;
        self.next_use += 1;
        if let Some(place) = place {
            self.uses.insert(read.used, place);
        }
        Some(Arc::clone(&read.page))
    }

    /// Lets a reader stand in line for the page after a place; `true` if it is the first, so that the page must
    /// be asked for.
    pub(super) fn stand_in_line(&mut self, place: &Place, ticket: &Arc<Ticket>) -> bool {
        let list = self.pages.entry(place.0.clone()).or_default();
        if let Some(Page::Asked(line)) = list.get_mut(&place.1) {
            line.push(Arc::downgrade(ticket));
            return false;
        }
        list.insert(place.1, Page::Asked(vec![Arc::downgrade(ticket)]));
        true
    }

    /// Takes the readers out of the line for a page, which is still asked for.
    pub(super) fn take_line(&mut self, (topics, after): &Place) -> Line {
        match self.pages.get_mut(topics).and_then(|list| list.get_mut(after)) {
            Some(Page::Asked(line)) => std::mem::take(line),
            Some(Page::Read(_)) | None => Line::new(),
        }
    }

    /// Returns whether no reader stands in line for a page.
    pub(super) fn is_abandoned(&self, (topics, after): &Place) -> bool {
        match self.pages.get(topics).and_then(|list| list.get(after)) {
            Some(Page::Asked(line)) => !is_alive(line),
            Some(Page::Read(_)) | None => true,
        }
    }

    /// Keeps a page that has been read; returns the readers to be called.
    pub(super) fn keep(
        &mut self,
        place: Place,
        page: Arc<KeptPage>,
        (bytes_max, now): (usize, u64),
    ) -> Line {
        let line = self.take_line(&place);
        self.forget(&place);
        while !self.make_room(page.cost(), bytes_max, now)
            && let Some((used, newest)) = self.awaited.pop_back()
        {
            if self.is_awaited(used, &newest) {
                self.forget(&newest);
            }
        }
        self.bytes += page.cost();
        let used = self.next_use;
        self.next_use += 1;
        self.awaited.push_back((used, place.clone()));
        let awaited_by = Some(Awaited { readers: line.clone(), read_at: now });
        let page = Page::Read(ReadPage { page, used, awaited_by });
        self.pages.entry(place.0).or_default().insert(place.1, page);
        line
    }

    /// Makes room for so many bytes, by used pages alone; `false` if they are too few.
    pub(super) fn make_room(&mut self, bytes: usize, bytes_max: usize, now: u64) -> bool {
        self.settle(now);
        while self.bytes + bytes > bytes_max {
            let Some((_, place)) = self.uses.pop_first() else { return false };
            self.forget(&place);
        }
        true
    }

    /// Forgets a page. Nobody may stand in line for it.
    pub(super) fn forget(&mut self, (topics, after): &Place) {
        let Some(list) = self.pages.get_mut(topics) else { return };
        let page = list.remove(after);
        if list.is_empty() {
            self.pages.remove(topics);
        }
        if let Some(Page::Read(read)) = page {
            self.bytes -= read.page.cost();
            self.uses.remove(&read.used);
        }
    }

    /// Forgets the pages that have been read.
    pub(super) fn forget_all(&mut self) {
        let lists = self.pages.iter().flat_map(|(topics, list)| {
            list.iter().map(move |(after, page)| ((topics.clone(), *after), page))
        });
        let read = lists.filter(|(_, page)| matches!(page, Page::Read(_)));
        let places: Vec<Place> = read.map(|(place, _)| place).collect();
        places.iter().for_each(|place| self.forget(place));
    }

    /// The newest entry of the pages that was committed before a time.
    pub(super) fn newest_before(&self, time: Time) -> Option<Sequence> {
        let pages = self.pages.values().flat_map(BTreeMap::values);
        let newest = pages.filter_map(|page| match page {
            Page::Read(read) => read.page.newest_before(time),
            Page::Asked(_) => None,
        });
        newest.max()
    }

    /// Returns whether a page that was read is still the one that readers were called for.
    fn is_awaited(&self, used: u64, (topics, after): &Place) -> bool {
        let page = self.pages.get(topics).and_then(|list| list.get(after));
        matches!(page, Some(Page::Read(read)) if read.used == used && read.awaited_by.is_some())
    }

    /// Counts the oldest pages as used, as far as nobody needs to be waited for.
    fn settle(&mut self, now: u64) {
        while let Some((used, place)) = self.awaited.front() {
            let page = self.pages.get_mut(&place.0).and_then(|list| list.get_mut(&place.1));
            if let Some(Page::Read(read)) = page
                && read.used == *used
                && let Some(awaited) = &read.awaited_by
            {
                if is_alive(&awaited.readers) && now < awaited.read_at + AWAITED_MAX {
                    return;
                }
                read.awaited_by = None;
                self.uses.insert(*used, place.clone());
            }
            self.awaited.pop_front();
        }
    }
}

/// Returns whether one of the readers is still there.
pub(super) fn is_alive(line: &[Weak<Ticket>]) -> bool {
    line.iter().any(|ticket| ticket.strong_count() > 0)
}

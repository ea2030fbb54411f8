//! Moving a reader back to a view's latest events, in history and in the journal beneath it.

use std::collections::VecDeque;
use std::fmt;

use super::{Reader, WHOLE};
use crate::cursor::Sequence;
use crate::history::{
    EvictionStamp, Kept, KeptRead, Kind, Latest, OwnEnds, ReadMax, ReadPosition, Steps,
};
use crate::hub::{Locating, Wait, Wanted};

/// A look for a view's latest events.
#[derive(Debug)]
pub(crate) struct Rewind {
    memory: Latest,
    beneath: Option<Beneath>,
}

/// The part of the look that is beneath history.
struct Beneath {
    /// Events that are still to be found.
    left: usize,
    /// Entries that are looked at now.
    asked: usize,
    /// Entries that may still be looked at.
    entries_left: usize,
    /// Everything after this place has been looked at.
    through: Sequence,
    step: Step,
}

enum Step {
    /// The journal is finding the place before some entries.
    Locate(Locating),
    /// Entries are read from there on, and the events of the view among them are noted.
    Read { from: Sequence, position: ReadPosition, found: VecDeque<Sequence> },
}

/// The outcome of one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rewound {
    /// The reader stands before the latest events.
    Done,
    /// The look goes on.
    More,
    /// The journal is looking. The reader is woken when it can go on.
    Waiting,
}

/// Maximum number of entries looked at beneath history: events further back are not among the latest.
const ENTRIES_MAX: usize = 8192;
/// Entries that are looked at together where not all of them are the view's.
const ENTRIES_OF_A_LOOK: usize = 512;

impl Rewind {
    /// Begins to look for so many events, the newest first.
    pub(crate) fn new(tail: Sequence, events: usize) -> Self {
        Self { memory: Latest::new(tail, events), beneath: None }
    }
}

impl fmt::Debug for Beneath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Beneath").field("through", &self.through).finish_non_exhaustive()
    }
}

impl Reader {
    /// Moves back to before the view's latest events; what was evicted before them is no gap.
    pub(crate) fn rewind(&mut self, rewind: &mut Rewind, wait: Wait<'_>) -> Rewound {
        let rewound = self.rewind_on(rewind, wait);
        if rewound == Rewound::Done {
            self.state.as_mut().expect(WHOLE).note_told(&self.hub);
        }
        rewound
    }

    fn rewind_on(&mut self, rewind: &mut Rewind, wait: Wait<'_>) -> Rewound {
        let Rewind { memory, beneath } = rewind;
        match beneath {
            None => {
                let (rewound, begun) = self.rewind_in_memory(memory);
                *beneath = begun;
                rewound
            }
            Some(beneath) => match &beneath.step {
                Step::Locate(locating) => {
                    let Some(place) = locating.place(wait) else { return Rewound::Waiting };
                    let from = place.unwrap_or_default();
                    // Events that were evicted are no gap.
                    let told_at = EvictionStamp::MAX;
                    let position = ReadPosition { after: from, told_at, ends: OwnEnds::NONE };
                    beneath.step = Step::Read { from, position, found: VecDeque::new() };
                    Rewound::More
                }
                Step::Read { .. } => self.rewind_beneath(beneath, wait),
            },
        }
    }

    fn rewind_in_memory(&mut self, memory: &mut Latest) -> (Rewound, Option<Beneath>) {
        let history = self.hub.read();
        let resolved = &self.state.as_ref().expect(WHOLE).resolved;
        let is_over = history.find_latest(resolved, memory);
        self.after = memory.after;
        if !is_over {
            return (Rewound::More, None);
        }
        let left = memory.left_beneath();
        if left == 0 || !history.keeps() || !history.is_behind(resolved, history.floor()) {
            return (Rewound::Done, None);
        }
        let through = history.released_through();
        drop(history);
        let (asked, step) = self.locate_before(through, left);
        (Rewound::More, Some(Beneath { left, asked, entries_left: ENTRIES_MAX, through, step }))
    }

    /// Reads the journal's entries up to the place of the look, and looks further back if need be.
    fn rewind_beneath(&mut self, beneath: &mut Beneath, wait: Wait<'_>) -> Rewound {
        let through = beneath.through;
        let Step::Read { from, position, found } = &mut beneath.step else { return Rewound::More };
        if position.after < through {
            let state = self.state.as_mut().expect(WHOLE);
            let Some((page, patience)) = state.page_for(&self.hub, position, wait) else {
                return Rewound::Waiting;
            };
            let steps = Steps::default();
            let mut max = ReadMax { bytes: usize::MAX, entries: usize::MAX, steps };
            let note = |kept: Kept<'_>| {
                let sequence = kept.block.sequence(kept.index);
                let is_event = kept.block.kind(kept.index) == Kind::Event;
                found.extend((is_event && sequence <= through).then_some(sequence));
            };
            let (view, time) = (&state.resolved, self.hub.time());
            let read = KeptRead { page: &page, view, told: None, time, patience };
            self.hub.read().read_kept(read, position, &mut max, note);
        }
        // Only the newest count.
        found.drain(..found.len().saturating_sub(beneath.left));
        if position.after < through {
            return Rewound::More;
        }
        if let Some(first) = found.front() {
            self.after = first.before();
        }
        beneath.left -= found.len();
        beneath.entries_left = beneath.entries_left.saturating_sub(beneath.asked);
        let from = *from;
        let is_over = from <= self.hub.read().floor() || beneath.entries_left == 0;
        if beneath.left == 0 || is_over {
            return Rewound::Done;
        }
        beneath.through = from;
        (beneath.asked, beneath.step) = self.locate_before(from, beneath.left);
        Rewound::More
    }

    /// Asks for the place before the entries among which so many events may be; returns how many those are.
    fn locate_before(&self, through: Sequence, events: usize) -> (usize, Step) {
        let resolved = &self.state.as_ref().expect(WHOLE).resolved;
        let is_exact = !resolved.has_pattern() && resolved.grant().is_none();
        let entries = if is_exact { events } else { events.max(ENTRIES_OF_A_LOOK) };
        let topics = self.hub.read().topics_of(resolved);
        let wanted = Wanted::Before { topics, through, entries };
        (entries, Step::Locate(self.hub.begin_locating(wanted)))
    }
}

//! Sweeps: one topic's newest events on their way to the slots whose cursors stand just before
//! them.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;

use foldhash::HashMap;
use tidings_hub::engine::{Block, GroupKey, GroupList, Hint, ReaderState, Run, Tap, TopicKey};
use tidings_hub::{Sequence, Topic};

use super::gathered::{Framing, Gathered};
use super::slot::Checked;

/// The runs of one topic that arrived since its last sweep began, gathered once.
#[derive(Debug)]
pub(super) struct Sweep {
    pub(super) topic: TopicKey,
    /// The groups of the patterns that match the topic.
    pub(super) groups: GroupList,
    /// The topic's newest entry before them.
    pub(super) previous: Sequence,
    pub(super) chunked: Gathered,
    /// The same for HTTP/1.0, if a slot needs it.
    close: Option<Gathered>,
    runs: Vec<(Arc<Block>, Run)>,
    /// Contains an entry that is not an event, so each slot must read from history.
    pub(super) is_special: bool,
    has_private: bool,
    has_public: bool,
    /// Some of them are of other topics as well.
    is_shared: bool,
    /// The topic's name, once a slot needs it.
    name: Option<Topic>,
    /// The list to visit next: the topic's own, and then those of slots with several topics or patterns.
    pub(super) list: usize,
    /// Slots before this place in that list have not been visited yet.
    pub(super) next: Option<usize>,
}

impl Sweep {
    /// Room for events that is kept for the next sweep.
    const KEPT_BYTES_MAX: usize = 64 * 1024;
    /// Room for runs that is kept: some kilobytes.
    const KEPT_RUNS_MAX: usize = 64;

    fn new(run: &Run) -> Self {
        Self {
            topic: run.topic(),
            groups: GroupList::default(),
            previous: run.previous(),
            chunked: Gathered::default(),
            close: None,
            runs: Vec::new(),
            is_special: false,
            has_private: false,
            has_public: false,
            is_shared: false,
            name: None,
            list: 0,
            next: None,
        }
    }

    /// Begins another sweep in the memory of one that is over.
    fn renew(&mut self, run: &Run) {
        let (chunked, runs) = (std::mem::take(&mut self.chunked), std::mem::take(&mut self.runs));
        *self = Self { chunked, runs, ..Self::new(run) };
    }

    /// Lets go of everything but memory for the next sweep; `false` if that is too much to keep.
    fn clear(&mut self) -> bool {
        self.chunked.clear();
        self.runs.clear();
        (self.close, self.name) = (None, None);
        self.groups = GroupList::default();
        self.chunked.capacity() <= Self::KEPT_BYTES_MAX
            && self.runs.capacity() <= Self::KEPT_RUNS_MAX
    }

    /// The sweep's events, from the oldest to the newest.
    pub(super) fn events(&self) -> Option<RangeInclusive<Sequence>> {
        Some(self.chunked.first()?..=self.chunked.last()?)
    }

    /// Returns whether the grant of a slot is to be asked about it.
    pub(super) fn is_checked(&self, checked: Checked) -> bool {
        match checked {
            Checked::Nothing => false,
            Checked::Private => self.has_private,
            Checked::All => true,
        }
    }

    /// How much of it the grant of a slot allows.
    pub(super) fn allowed(&mut self, reader: &ReaderState, tap: &Tap) -> Allowed {
        if self.name.is_none() {
            self.name = tap.topic(self.topic);
        }
        let Some(name) = &self.name else { return Allowed::Some };
        if reader.allows(name, self.has_private) {
            Allowed::All
        } else if !self.is_shared && !reader.allows(name, !self.has_public) {
            Allowed::Nothing
        } else {
            Allowed::Some
        }
    }

    /// The events in the framing of a slot's connection.
    pub(super) fn gathered(&mut self, framing: Framing) -> &Gathered {
        match framing {
            Framing::Chunked => &self.chunked,
            Framing::Close => self.close.get_or_insert_with(|| {
                let mut gathered = Gathered::default();
                for (block, run) in &self.runs {
                    for index in run.indices() {
                        gathered.push(block, index, Framing::Close);
                    }
                }
                gathered
            }),
        }
    }
}

/// How much of a sweep a slot may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    All,
    Nothing,
    /// Perhaps some of it: each event has to be checked.
    Some,
}

/// The sweeps under way and those that wait, their topics taking turns.
///
/// A topic has at most one sweep under way. Events that arrive meanwhile are gathered for the next:
/// the longer a sweep takes, the more events the next one sends in one write.
#[derive(Debug, Default)]
pub(super) struct Sweeps {
    /// The topics that have sweeps, each once, except the one whose turn it is.
    queue: VecDeque<TopicKey>,
    topics: HashMap<TopicKey, TopicSweeps>,
    /// A sweep that is over, for its memory.
    spare: Option<Box<Sweep>>,
}

/// The sweeps of a topic. They are boxed, because the table of them stays as large as it has ever been:
/// where a topic stands in it is then rarely in the processor's cache.
#[derive(Debug, Default)]
struct TopicSweeps {
    under_way: Option<Box<Sweep>>,
    waiting: Option<Box<Sweep>>,
}

impl Sweeps {
    /// The maximum number of bytes that one sweep gathers. If more arrive while another sweep is
    /// under way, the slots read from history.
    const BYTES_MAX: usize = 256 * 1024;

    /// Adds a run to the topic's sweep that has not begun, or makes one.
    pub(super) fn add(&mut self, hint: &Hint, at: usize) {
        let run = &hint.runs()[at];
        let sweeps = self.topics.entry(run.topic()).or_insert_with(|| {
            self.queue.push_back(run.topic());
            TopicSweeps::default()
        });
        let spare = &mut self.spare;
        let sweep = sweeps.waiting.get_or_insert_with(|| match spare.take() {
            Some(mut spare) => {
                spare.renew(run);
                spare
            }
            None => Box::new(Sweep::new(run)),
        });
        sweep.has_private |= run.has_private();
        sweep.has_public |= run.has_public();
        sweep.is_shared |= run.is_shared();
        // The latest run knows all patterns. A slot whose pattern was added meanwhile is behind, and
        // reads from history.
        sweep.groups = run.groups().clone();
        sweep.is_special |= run.is_special() || sweep.chunked.bytes().len() > Self::BYTES_MAX;
        if sweep.is_special {
            // Only its last sequence is still of interest.
            sweep.chunked.clear();
            sweep.runs.clear();
        }
        for index in run.indices() {
            sweep.chunked.push(&hint.block, index, Framing::Chunked);
        }
        sweep.close = None;
        sweep.runs.push((Arc::clone(&hint.block), run.clone()));
    }

    /// Takes the next sweep, which the caller must [put back](Sweeps::put_back) or
    /// [finish](Sweeps::finish).
    pub(super) fn take(&mut self) -> Option<Box<Sweep>> {
        let topic = self.queue.pop_front()?;
        let sweeps = self.topics.get_mut(&topic)?;
        sweeps.under_way.take().or_else(|| sweeps.waiting.take())
    }

    /// Lets the other topics have their turn before the rest of a sweep.
    pub(super) fn put_back(&mut self, sweep: Box<Sweep>) {
        let topic = sweep.topic;
        if let Some(sweeps) = self.topics.get_mut(&topic) {
            sweeps.under_way = Some(sweep);
            self.queue.push_back(topic);
        }
    }

    /// Ends a sweep. The events that arrived meanwhile for its topic are next.
    pub(super) fn finish(&mut self, mut sweep: Box<Sweep>) {
        if self.topics.get(&sweep.topic).is_some_and(|sweeps| sweeps.waiting.is_some()) {
            self.queue.push_back(sweep.topic);
        } else {
            self.topics.remove(&sweep.topic);
        }
        if sweep.clear() {
            self.spare = Some(sweep);
        }
    }

    /// How many topics have sweeps.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// The topics that have sweeps, with the groups that match them.
    pub(super) fn topics(&self) -> impl Iterator<Item = (TopicKey, &[GroupKey])> {
        self.queue.iter().map(|topic| {
            let sweeps = self.topics.get(topic);
            let sweep = sweeps.and_then(|it| it.waiting.as_deref().or(it.under_way.as_deref()));
            (*topic, sweep.map(|sweep| &*sweep.groups).unwrap_or_default())
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Drops all sweeps: each slot reads from history.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.topics.clear();
    }
}

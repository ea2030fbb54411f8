//! Hints: the new blocks that shards are told of.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::task::Waker;

use parking_lot::Mutex;
use slab::Slab;
use smallvec::{SmallVec, smallvec};

use super::group_list::GroupList;
use super::marks::{Mark, Marks, ShardIndex};
use super::topics::Pushed;
use super::{Block, GroupKey, TopicKey};
use crate::cursor::Sequence;
use crate::journal::{Content, Entry};

/// A new block, and its runs of topics that a shard watches.
#[derive(Clone, Debug)]
pub struct Hint {
    /// The block.
    pub block: Arc<Block>,
    pub(super) runs: SmallVec<[Run; 1]>,
}

/// The consecutive entries of one topic within one block.
#[derive(Clone, Debug)]
pub struct Run {
    topic: TopicKey,
    /// The groups of the patterns that match the topic.
    groups: GroupList,
    previous: Sequence,
    indices: SmallVec<[u32; 2]>,
    /// Contains an entry that is not an event, so each slot must read from history.
    is_special: bool,
    has_private: bool,
    has_public: bool,
    is_shared: bool,
}

/// How a run meets a slot's cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meeting {
    /// The cursor stands between the topic's previous entry and the run, so the run comes next.
    Next,
    /// The cursor is past the run: all of it has been sent.
    Past,
    /// Anything else: the slot is behind and reads from its cursor.
    Behind,
}

impl Hint {
    /// Its runs of topics that the shard watches.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }
}

impl Run {
    /// The topic.
    #[must_use]
    pub fn topic(&self) -> TopicKey {
        self.topic
    }

    /// The groups of the patterns that match the topic. Some may have no readers any more.
    #[must_use]
    pub fn groups(&self) -> &GroupList {
        &self.groups
    }

    /// The topic's newest entry before this run.
    #[must_use]
    pub fn previous(&self) -> Sequence {
        self.previous
    }

    /// Returns whether an entry is not an event, so that each slot must read from history.
    #[must_use]
    pub fn is_special(&self) -> bool {
        self.is_special
    }

    /// Returns whether some of the events are private.
    #[must_use]
    pub fn has_private(&self) -> bool {
        self.has_private
    }

    /// Returns whether some of the events are not private.
    #[must_use]
    pub fn has_public(&self) -> bool {
        self.has_public
    }

    /// Returns whether some of the events are of other topics as well, for which a grant may allow them.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// The newest entry of the run.
    ///
    /// # Panics
    ///
    /// If `block` is not the block the run came with.
    #[must_use]
    pub fn last(&self, block: &Block) -> Sequence {
        block.sequence(self.indices[self.indices.len() - 1] as usize)
    }

    /// Where the run's entries are in the block, in rising order.
    pub fn indices(&self) -> impl Iterator<Item = usize> + '_ {
        self.indices.iter().map(|&index| index as usize)
    }

    /// How the run meets a cursor that stands at `after`.
    ///
    /// # Panics
    ///
    /// If `block` is not the block the run came with.
    #[must_use]
    pub fn meet(&self, block: &Block, after: Sequence) -> Meeting {
        let first = block.sequence(self.indices[0] as usize);
        Meeting::of(self.previous, first..=self.last(block), self.is_special, after)
    }
}

impl Meeting {
    /// How consecutive entries of a topic, which follow its entry `previous`, meet a cursor that stands
    /// at `after`. `is_special` says that one of them is not an event.
    #[must_use]
    pub fn of(
        previous: Sequence,
        entries: RangeInclusive<Sequence>,
        is_special: bool,
        after: Sequence,
    ) -> Self {
        if *entries.end() <= after {
            Self::Past
        } else if previous <= after && after < *entries.start() && !is_special {
            Self::Next
        } else {
            Self::Behind
        }
    }
}

/// An entry of a topic that a shard watches, while its run is being appended.
pub(super) struct Watched {
    topic: TopicKey,
    /// The topic's entry before it.
    previous: Sequence,
    watched_by: WatchedBy,
    index: u32,
    is_special: bool,
    is_private: bool,
    is_shared: bool,
}

/// The shards that watch an entry of a topic.
enum WatchedBy {
    None,
    One(ShardIndex),
    /// The marks of the topic say which.
    Several,
    /// The marks of the topic and of these groups say which.
    ByPattern(GroupList),
}

impl Watched {
    /// An entry of a topic that was pushed. So far, only readers that name the topic watch it.
    pub(super) fn new(pushed: &Pushed<'_>, index: usize, entry: &Entry) -> Self {
        let watched_by = match &pushed.state.marks {
            marks if marks.is_empty() => WatchedBy::None,
            Marks::One(shard, _) => WatchedBy::One(*shard),
            Marks::More(_) => WatchedBy::Several,
        };
        Self {
            topic: pushed.key,
            previous: pushed.previous,
            watched_by,
            index: index as u32,
            is_special: !matches!(entry.content, Content::Event(_)),
            is_private: entry.private,
            is_shared: entry.topics.as_slice().len() > 1,
        }
    }

    /// Notes the marks of one of the groups that match the topic.
    pub(super) fn watch_by_pattern(&mut self, marks: &Marks, groups: &GroupList) {
        if !marks.is_empty() && !matches!(self.watched_by, WatchedBy::ByPattern(_)) {
            self.watched_by = WatchedBy::ByPattern(groups.clone());
        }
    }

    pub(super) fn is_watched(&self) -> bool {
        !matches!(self.watched_by, WatchedBy::None)
    }

    fn groups(&self) -> GroupList {
        match &self.watched_by {
            WatchedBy::ByPattern(groups) => groups.clone(),
            WatchedBy::None | WatchedBy::One(_) | WatchedBy::Several => GroupList::default(),
        }
    }
}

/// Adds an entry to the runs of its block: one for each topic.
fn add(runs: &mut SmallVec<[Run; 1]>, entry: &Watched, at: usize) {
    let index = at as u32 + entry.index;
    match runs.last_mut() {
        Some(run) if run.topic == entry.topic => {
            run.indices.push(index);
            run.is_special |= entry.is_special;
            run.has_private |= entry.is_private;
            run.has_public |= !entry.is_private;
            run.is_shared |= entry.is_shared;
        }
        _ => {
            runs.push(Run {
                topic: entry.topic,
                groups: entry.groups(),
                previous: entry.previous,
                indices: smallvec![index],
                is_special: entry.is_special,
                has_private: entry.is_private,
                has_public: !entry.is_private,
                is_shared: entry.is_shared,
            });
        }
    }
}

/// The outcome of draining a tap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Everything since the last drain was handed over.
    Hints,
    /// Hints were lost: every slot is behind.
    Dropped,
}

/// The hints of one shard: bounded, and dropped whole when there are more.
pub(crate) struct HintQueue {
    state: Mutex<QueueState>,
    waker: Waker,
    max: HintsMax,
}

/// The limits of the hints that wait for a shard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HintsMax {
    pub(crate) hints: usize,
    /// Bytes of their blocks, which live on even if history has evicted them.
    pub(crate) bytes: usize,
}

#[derive(Default)]
struct QueueState {
    hints: Vec<Hint>,
    /// Bytes of the hints' blocks.
    bytes: usize,
    dropped: bool,
    /// Slots for which the journal has looked something up. They are never dropped.
    slots: Vec<u32>,
}

/// The shards of a hub, as its history sees them.
#[derive(Default)]
pub(crate) struct Shards {
    shards: Slab<Shard>,
}

struct Shard {
    queue: Arc<HintQueue>,
    readers: usize,
}

impl Shards {
    pub(crate) fn add(&mut self, queue: Arc<HintQueue>) -> ShardIndex {
        ShardIndex(self.shards.insert(Shard { queue, readers: 0 }) as u32)
    }

    pub(crate) fn remove(&mut self, shard: ShardIndex) {
        self.shards.try_remove(shard.0 as usize);
    }

    /// Counts one of a shard's readers in or out.
    pub(crate) fn mark(&mut self, shard: ShardIndex, change: Mark) {
        let Some(shard) = self.shards.get_mut(shard.0 as usize) else { return };
        match change {
            Mark::Set => shard.readers += 1,
            Mark::Clear => shard.readers -= 1,
        }
    }

    /// The readers of all shards.
    pub(crate) fn readers(&self) -> usize {
        self.shards.iter().map(|(_, shard)| shard.readers).sum()
    }

    /// Pushes a block to the taps of the shards that watch a topic of the run that was appended to it.
    /// The run begins in it at `at`.
    pub(super) fn offer(
        &self,
        block: &Arc<Block>,
        at: usize,
        watched: &mut [Watched],
        is_marked: impl Fn(TopicKey, &[GroupKey], ShardIndex) -> bool,
        taps: &mut SmallVec<[Waker; 2]>,
    ) {
        if watched.len() > 1 {
            watched.sort_unstable_by_key(|entry| (entry.topic, entry.index));
        }
        for (index, shard) in &self.shards {
            if shard.readers == 0 {
                continue;
            }
            let index = ShardIndex(index as u32);
            let mut runs = SmallVec::new();
            for entry in &*watched {
                let is_marked = match &entry.watched_by {
                    WatchedBy::None => false,
                    WatchedBy::One(one) => *one == index,
                    WatchedBy::Several => is_marked(entry.topic, &[], index),
                    WatchedBy::ByPattern(groups) => is_marked(entry.topic, groups, index),
                };
                if is_marked {
                    add(&mut runs, entry, at);
                }
            }
            if runs.is_empty() {
                continue;
            }
            shard.queue.push(Hint { block: Arc::clone(block), runs });
            if !taps.iter().any(|waker| waker.will_wake(&shard.queue.waker)) {
                taps.push(shard.queue.waker.clone());
            }
        }
    }

    /// Drops the hints of all shards, and adds their wakers to a list.
    pub(super) fn overflow(&self, taps: &mut SmallVec<[Waker; 2]>) {
        for (_, shard) in &self.shards {
            shard.queue.overflow();
            taps.push(shard.queue.waker.clone());
        }
    }

    /// Wakers of all shards.
    pub(crate) fn wakers(&self) -> Vec<Waker> {
        self.shards.iter().map(|(_, shard)| shard.queue.waker.clone()).collect()
    }
}

impl HintQueue {
    pub(crate) fn new(max: HintsMax, waker: Waker) -> Self {
        Self { state: Mutex::default(), waker, max }
    }

    /// Moves the hints since the last drain to `hints`, and the slots to `slots`.
    pub(crate) fn drain(&self, hints: &mut Vec<Hint>, slots: &mut Vec<u32>) -> Drained {
        let mut state = self.state.lock();
        hints.append(&mut state.hints);
        state.bytes = 0;
        slots.append(&mut state.slots);
        if std::mem::take(&mut state.dropped) { Drained::Dropped } else { Drained::Hints }
    }

    /// Adds a slot that may read on; returns the waker, to be woken when no lock is held.
    pub(crate) fn push_slot(&self, slot: u32) -> &Waker {
        self.state.lock().slots.push(slot);
        &self.waker
    }

    /// Drops all hints.
    pub(crate) fn overflow(&self) {
        self.state.lock().drop_all();
    }

    fn push(&self, hint: Hint) {
        let mut state = self.state.lock();
        if state.dropped {
            return;
        }
        state.bytes += hint.block.bytes();
        if state.hints.len() == self.max.hints || state.bytes > self.max.bytes {
            state.drop_all();
        } else {
            state.hints.push(hint);
        }
    }
}

impl QueueState {
    fn drop_all(&mut self) {
        self.hints.clear();
        self.bytes = 0;
        self.dropped = true;
    }
}

//! Hints: which shards watch what, and what they are told when it is appended.

use std::sync::Arc;
use std::task::Waker;

use parking_lot::Mutex;
use slab::Slab;
use smallvec::SmallVec;

use super::{Appended, Block, Mark, TopicKey};
use crate::cursor::Sequence;
use crate::journal::Content;

/// A shard's number in its hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ShardIndex(u32);

/// What a shard is told about one block.
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
    previous: Sequence,
    indices: SmallVec<[u32; 2]>,
    /// Something among them is no event and wants a closer look than copying.
    is_special: bool,
}

/// How a run meets a slot's cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meeting {
    /// The cursor stands between the topic's previous entry and the run: the run is what comes next.
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
    pub(crate) fn new(topic: TopicKey, previous: Sequence) -> Self {
        Self { topic, previous, indices: SmallVec::new(), is_special: false }
    }

    pub(crate) fn push(&mut self, index: usize, content: &Content) {
        self.indices.push(index as u32);
        self.is_special |= !matches!(content, Content::Event(_));
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> TopicKey {
        self.topic
    }

    /// The topic's newest entry before this run.
    #[must_use]
    pub fn previous(&self) -> Sequence {
        self.previous
    }

    /// Whether something among the entries is no event, so that slots read for themselves.
    #[must_use]
    pub fn is_special(&self) -> bool {
        self.is_special
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
        let last = block.sequence(self.indices[self.indices.len() - 1] as usize);
        if last <= after {
            Meeting::Past
        } else if self.previous <= after && after < first && !self.is_special {
            Meeting::Next
        } else {
            Meeting::Behind
        }
    }
}

/// What draining a tap found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Everything since the last drain was handed over.
    Hints,
    /// Hints were lost: every slot is behind.
    Dropped,
}

/// The hints of one shard: bounded, and dropped whole when there are more.
pub(crate) struct Queue {
    state: Mutex<QueueState>,
    waker: Waker,
    hints_max: usize,
}

#[derive(Default)]
struct QueueState {
    hints: Vec<Hint>,
    dropped: bool,
}

/// The shards of a hub, as its history sees them.
#[derive(Default)]
pub(crate) struct Shards {
    shards: Slab<Shard>,
}

struct Shard {
    queue: Arc<Queue>,
    readers: usize,
    /// Readers with patterns: they want every block.
    scans: usize,
}

impl Shards {
    pub(crate) fn add(&mut self, queue: Arc<Queue>) -> ShardIndex {
        ShardIndex(self.shards.insert(Shard { queue, readers: 0, scans: 0 }) as u32)
    }

    pub(crate) fn remove(&mut self, shard: ShardIndex) {
        self.shards.try_remove(shard.0 as usize);
    }

    /// Counts one of a shard's readers in or out.
    pub(crate) fn mark(&mut self, shard: ShardIndex, is_scan: bool, change: Mark) {
        let Some(shard) = self.shards.get_mut(shard.0 as usize) else { return };
        match change {
            Mark::Set => {
                shard.readers += 1;
                shard.scans += usize::from(is_scan);
            }
            Mark::Clear => {
                shard.readers -= 1;
                shard.scans -= usize::from(is_scan);
            }
        }
    }

    /// The readers of all shards.
    pub(crate) fn readers(&self) -> usize {
        self.shards.iter().map(|(_, shard)| shard.readers).sum()
    }

    /// Pushes a block to the taps of the shards that watch one of its topics, or all.
    pub(crate) fn offer(
        &self,
        block: &Arc<Block>,
        runs: Vec<(SmallVec<[ShardIndex; 2]>, Run)>,
        appended: &mut Appended,
    ) {
        for (index, shard) in &self.shards {
            let index = ShardIndex(index as u32);
            let runs: SmallVec<[Run; 1]> = runs
                .iter()
                .filter(|(shards, _)| shards.contains(&index))
                .map(|(_, run)| run.clone())
                .collect();
            if runs.is_empty() && shard.scans == 0 {
                continue;
            }
            shard.queue.push(Hint { block: Arc::clone(block), runs });
            if !appended.taps.contains(&index) {
                appended.taps.push(index);
            }
        }
    }

    /// How to wake all of them.
    pub(crate) fn wakers(&self) -> Vec<Waker> {
        self.shards.iter().map(|(_, shard)| shard.queue.waker.clone()).collect()
    }

    /// How to wake a shard.
    pub(crate) fn waker(&self, shard: ShardIndex) -> Option<Waker> {
        self.shards.get(shard.0 as usize).map(|shard| shard.queue.waker.clone())
    }
}

impl Queue {
    pub(crate) fn new(hints_max: usize, waker: Waker) -> Self {
        Self { state: Mutex::default(), waker, hints_max }
    }

    /// Hands over what was pushed since the last time.
    pub(crate) fn drain(&self, hints: &mut Vec<Hint>) -> Drained {
        let mut state = self.state.lock();
        hints.append(&mut state.hints);
        if std::mem::take(&mut state.dropped) { Drained::Dropped } else { Drained::Hints }
    }

    /// Loses everything.
    pub(crate) fn overflow(&self) {
        let mut state = self.state.lock();
        state.hints.clear();
        state.dropped = true;
    }

    fn push(&self, hint: Hint) {
        let mut state = self.state.lock();
        if state.dropped {
            return;
        }
        if state.hints.len() == self.hints_max {
            state.hints.clear();
            state.dropped = true;
        } else {
            state.hints.push(hint);
        }
    }
}

//! Sweeps: one topic's newest events on their way to everybody who stands just before them.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;

use foldhash::HashMap;
use tidings_hub::Sequence;
use tidings_hub::engine::{Block, Hint, Run, TopicKey};

use super::gathered::{Framing, Gathered};

/// The runs of one topic that came in since the last sweep of it began, gathered once.
#[derive(Debug)]
pub(super) struct Sweep {
    pub(super) topic: TopicKey,
    /// The topic's newest entry before them.
    pub(super) previous: Sequence,
    pub(super) chunked: Gathered,
    /// The same for HTTP/1.0, if a slot wants it.
    close: Option<Gathered>,
    runs: Vec<(Arc<Block>, Run)>,
    /// Something among them wants a closer look than copying: everybody reads for himself.
    pub(super) is_special: bool,
    /// Some of them are private: slots whose grant is limited read from history.
    pub(super) has_private: bool,
    /// Slots before this place in the topic's list are still to be visited.
    pub(super) next: Option<usize>,
}

impl Sweep {
    fn new(run: &Run, empty: Gathered) -> Self {
        Self {
            topic: run.topic(),
            previous: run.previous(),
            chunked: empty,
            close: None,
            runs: Vec::new(),
            is_special: false,
            has_private: false,
            next: None,
        }
    }

    /// The sweep's events, from the oldest to the newest.
    pub(super) fn events(&self) -> Option<RangeInclusive<Sequence>> {
        Some(self.chunked.first()?..=self.chunked.last()?)
    }

    /// The events as a slot's connection wants them.
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

/// The sweeps under way and those that wait, their topics taking turns.
///
/// A topic has one sweep under way at most. What comes in meanwhile gathers in the next: the longer a
/// sweep takes, the more events the next one sends in one write.
#[derive(Debug, Default)]
pub(super) struct Sweeps {
    /// The topics that have any, each once but for the one whose turn it is.
    queue: VecDeque<TopicKey>,
    topics: HashMap<TopicKey, TopicSweeps>,
    /// Buffers of a sweep that is over.
    spare: Gathered,
}

#[derive(Debug, Default)]
struct TopicSweeps {
    under_way: Option<Sweep>,
    waiting: Option<Sweep>,
}

impl Sweeps {
    /// Bytes that one sweep gathers at most. Where more comes in while one is under way, the slots
    /// read for themselves.
    const BYTES_MAX: usize = 256 * 1024;
    /// Room that is kept for the next sweep.
    const SPARE_BYTES_MAX: usize = 64 * 1024;

    /// Adds a run to the topic's sweep that has not begun, or makes one.
    pub(super) fn add(&mut self, hint: &Hint, at: usize) {
        let run = &hint.runs()[at];
        let sweeps = self.topics.entry(run.topic()).or_insert_with(|| {
            self.queue.push_back(run.topic());
            TopicSweeps::default()
        });
        let spare = &mut self.spare;
        let sweep = sweeps.waiting.get_or_insert_with(|| Sweep::new(run, std::mem::take(spare)));
        sweep.has_private |= run.has_private();
        sweep.is_special |= run.is_special() || sweep.chunked.bytes().len() > Self::BYTES_MAX;
        if sweep.is_special {
            // Only where it ends is still of interest.
            sweep.chunked.clear();
            sweep.runs.clear();
        }
        for index in run.indices() {
            sweep.chunked.push(&hint.block, index, Framing::Chunked);
        }
        sweep.close = None;
        sweep.runs.push((Arc::clone(&hint.block), run.clone()));
    }

    /// Takes the sweep whose turn it is; it is to be [put back](Sweeps::put_back) or
    /// [finished](Sweeps::finish).
    pub(super) fn take(&mut self) -> Option<Sweep> {
        let topic = self.queue.pop_front()?;
        let sweeps = self.topics.get_mut(&topic)?;
        sweeps.under_way.take().or_else(|| sweeps.waiting.take())
    }

    /// Lets the other topics have their turn before the rest of a sweep.
    pub(super) fn put_back(&mut self, sweep: Sweep) {
        let topic = sweep.topic;
        if let Some(sweeps) = self.topics.get_mut(&topic) {
            sweeps.under_way = Some(sweep);
            self.queue.push_back(topic);
        }
    }

    /// Ends a sweep. What came in meanwhile for its topic is next.
    pub(super) fn finish(&mut self, sweep: Sweep) {
        if self.topics.get(&sweep.topic).is_some_and(|sweeps| sweeps.waiting.is_some()) {
            self.queue.push_back(sweep.topic);
        } else {
            self.topics.remove(&sweep.topic);
        }
        let mut spare = sweep.chunked;
        spare.clear();
        if spare.capacity() <= Self::SPARE_BYTES_MAX {
            self.spare = spare;
        }
    }

    /// The topics that have sweeps.
    pub(super) fn topics(&self) -> impl ExactSizeIterator<Item = TopicKey> {
        self.queue.iter().copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Forgets all of them: everybody reads for himself.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.topics.clear();
    }
}

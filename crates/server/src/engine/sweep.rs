//! Sweeps: one topic's newest events on their way to everybody who stands just before them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tidings_hub::Sequence;
use tidings_hub::tap::{Block, Hint, Run, TopicKey};

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
    /// Slots before this place in the topic's list are still to be visited.
    pub(super) next: Option<usize>,
}

impl Sweep {
    fn new(run: &Run) -> Self {
        Self {
            topic: run.topic(),
            previous: run.previous(),
            chunked: Gathered::default(),
            close: None,
            runs: Vec::new(),
            is_special: false,
            next: None,
        }
    }

    /// The newest event of the sweep.
    pub(super) fn last(&self) -> Option<Sequence> {
        self.chunked.last()
    }

    /// The oldest event of the sweep.
    pub(super) fn first(&self) -> Option<Sequence> {
        self.chunked.first()
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

/// The sweeps under way and those that wait, taking turns.
#[derive(Debug, Default)]
pub(super) struct Sweeps {
    queue: VecDeque<Sweep>,
    /// The number of the sweep of a topic that has not begun, counted from `first`.
    waiting: HashMap<TopicKey, u64>,
    first: u64,
}

impl Sweeps {
    /// Bytes that one sweep gathers at most; what comes on top waits for the next.
    const BYTES_MAX: usize = 256 * 1024;

    /// Adds a run to the topic's sweep that has not begun, or begins a new one.
    pub(super) fn add(&mut self, hint: &Hint, at: usize) {
        let run = &hint.runs()[at];
        let waiting = self.waiting.get(&run.topic()).and_then(|number| {
            let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
            Some(index).filter(|index| self.queue[*index].chunked.bytes().len() < Self::BYTES_MAX)
        });
        let index = waiting.unwrap_or_else(|| {
            self.waiting.insert(run.topic(), self.first + self.queue.len() as u64);
            self.queue.push_back(Sweep::new(run));
            self.queue.len() - 1
        });
        let sweep = &mut self.queue[index];
        sweep.is_special |= run.is_special();
        for index in run.indices() {
            sweep.chunked.push(&hint.block, index, Framing::Chunked);
        }
        sweep.close = None;
        sweep.runs.push((Arc::clone(&hint.block), run.clone()));
    }

    /// Takes the sweep whose turn it is. What comes in meanwhile for its topic is another sweep's.
    pub(super) fn take(&mut self) -> Option<Sweep> {
        let sweep = self.queue.pop_front()?;
        if self.waiting.get(&sweep.topic) == Some(&self.first) {
            self.waiting.remove(&sweep.topic);
        }
        self.first += 1;
        Some(sweep)
    }

    /// Puts a sweep that is not finished behind the others.
    pub(super) fn put_back(&mut self, sweep: Sweep) {
        self.queue.push_back(sweep);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Forgets all of them: everybody reads for himself.
    pub(super) fn clear(&mut self) {
        self.first += self.queue.len() as u64;
        self.queue.clear();
        self.waiting.clear();
    }
}

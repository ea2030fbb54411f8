//! A shard without sockets: slots that read a hub through a tap, by the rules of a real shard.
//!
//! A slot starts behind and reads from its cursor. Once it stands at the tail it is sent the runs its
//! tap brings, if they [meet](tidings_hub::engine::Run::meet) its cursor, and is behind again if they do
//! not. Slots with several topics or patterns are told only that there is something, and read.

use std::collections::{BTreeMap, HashMap};
use std::task::Waker;

use tidings_hub::engine::{Drained, Hint, Meeting, Read, Reader, Tap, TopicKey};
use tidings_hub::{Hub, Start, View};

/// A shard whose slots keep what they were sent.
pub struct FakeShard {
    tap: Tap,
    /// In order, so that a schedule repeats.
    slots: BTreeMap<usize, Slot>,
    next_slot: usize,
    /// Slots with exactly one topic, by topic.
    single: HashMap<TopicKey, Vec<usize>>,
    counts: Counts,
}

/// What a slot was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// An event, as one chunk of HTTP/1.1's chunked coding.
    Chunk(Vec<u8>),
    /// A gap.
    Gap(tidings_hub::Gap),
    /// The end of the stream.
    End,
}

/// How often each way of reading was taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Runs that a slot took whole.
    pub taken: u64,
    /// Runs that a slot was past.
    pub past: u64,
    /// Runs that left a slot behind.
    pub behind: u64,
    /// Taps that were dropped whole.
    pub dropped: u64,
}

struct Slot {
    reader: Reader,
    is_behind: bool,
    is_over: bool,
    sent: Vec<Sent>,
}

impl FakeShard {
    /// A shard of the hub whose tap holds `hints_max` blocks.
    #[must_use]
    pub fn new(hub: &Hub, hints_max: usize, waker: Waker) -> Self {
        Self {
            tap: Tap::open(hub, hints_max, waker),
            slots: BTreeMap::new(),
            next_slot: 0,
            single: HashMap::new(),
            counts: Counts::default(),
        }
    }

    /// Adds a slot; the answer is its number.
    pub fn add(&mut self, view: &View, start: Start) -> usize {
        let reader = self.tap.subscribe(view, start);
        let slot = self.next_slot;
        self.next_slot += 1;
        if let ([topic], false) = (reader.topics(), reader.has_pattern()) {
            self.single.entry(*topic).or_default().push(slot);
        }
        self.slots.insert(slot, Slot { reader, is_behind: true, is_over: false, sent: Vec::new() });
        slot
    }

    /// Removes a slot.
    pub fn remove(&mut self, slot: usize) {
        self.slots.remove(&slot);
        self.single.values_mut().for_each(|slots| slots.retain(|other| *other != slot));
    }

    /// What a slot was sent since the last call.
    pub fn take_sent(&mut self, slot: usize) -> Vec<Sent> {
        self.slots.get_mut(&slot).map(|slot| std::mem::take(&mut slot.sent)).unwrap_or_default()
    }

    /// How often each way of reading was taken.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Loses what the tap holds.
    pub fn overflow(&mut self) {
        self.tap.overflow();
    }

    /// One turn: lets slots that are behind read, drains the tap, sends runs, and lets slots read
    /// again; a slot for which `is_writable` is false stays behind.
    pub fn turn(&mut self, mut is_writable: impl FnMut(usize) -> bool) {
        self.catch_up(&mut is_writable);
        let mut hints = Vec::new();
        if self.tap.drain(&mut hints) == Drained::Dropped {
            self.counts.dropped += 1;
            self.slots.values_mut().for_each(|slot| slot.is_behind = true);
        }
        for hint in &hints {
            self.offer(hint);
        }
        self.catch_up(&mut is_writable);
    }

    fn catch_up(&mut self, is_writable: &mut impl FnMut(usize) -> bool) {
        for (&number, slot) in &mut self.slots {
            if slot.is_behind && !slot.is_over && is_writable(number) {
                slot.catch_up();
            }
        }
    }

    fn offer(&mut self, hint: &Hint) {
        for run in hint.runs() {
            for number in self.single.get(&run.topic()).into_iter().flatten() {
                let Some(slot) =
                    self.slots.get_mut(number).filter(|slot| !slot.is_behind && !slot.is_over)
                else {
                    continue;
                };
                match run.meet(&hint.block, slot.reader.after()) {
                    Meeting::Past => self.counts.past += 1,
                    Meeting::Behind => {
                        self.counts.behind += 1;
                        slot.is_behind = true;
                    }
                    Meeting::Next => {
                        self.counts.taken += 1;
                        for index in run.indices() {
                            slot.sent.push(Sent::Chunk(hint.block.chunk(index).to_vec()));
                            slot.reader.advance(hint.block.sequence(index));
                        }
                    }
                }
            }
        }
        for slot in self.slots.values_mut() {
            let topics = slot.reader.topics();
            let watches = hint.runs().iter().any(|run| topics.contains(&run.topic()));
            slot.is_behind |= slot.reader.has_pattern() || (topics.len() > 1 && watches);
        }
    }
}

impl Slot {
    fn catch_up(&mut self) {
        const BYTES_MAX: usize = 1000;
        loop {
            let sent = &mut self.sent;
            let visit = |block: &tidings_hub::engine::Block, index: usize| {
                sent.push(Sent::Chunk(block.chunk(index).to_vec()));
            };
            match self.reader.read(BYTES_MAX, visit) {
                Read::Gap(gap) => self.sent.push(Sent::Gap(gap)),
                Read::Full => {}
                Read::Tail => break,
                Read::Ended => {
                    self.sent.push(Sent::End);
                    self.is_over = true;
                    break;
                }
            }
        }
        self.is_behind = false;
    }
}

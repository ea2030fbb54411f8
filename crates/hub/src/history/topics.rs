//! The topics a history knows, and what it keeps of each.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use slotmap::SlotMap;
use smallvec::SmallVec;

use super::ShardIndex;
use crate::cursor::Sequence;
use crate::topic::Topic;
use crate::watch::WatchList;

/// A topic's number: never reused within a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicKey(SlotKey);

slotmap::new_key_type! {
    /// Kept inside [`TopicKey`], so that the crate's API does not depend on `slotmap`'s.
    struct SlotKey;
}

/// Counts evictions, so that a reader who has been told of a gap is not told of it again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EvictionStamp(u64);

impl EvictionStamp {
    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// What a history keeps of one topic.
pub(crate) struct TopicState {
    pub(crate) name: Topic,
    /// The entries held, in rising order.
    pub(super) sequences: VecDeque<Sequence>,
    /// The newest event that this topic has let go of, if other topics still hold it or not.
    pub(super) evicted_through: Sequence,
    pub(super) evicted_at: EvictionStamp,
    /// The newest of its events that no topic holds any more.
    pub(super) dead_through: Sequence,
    pub(super) dead_at: EvictionStamp,
    /// The newest entry that ended the topic's streams.
    pub(super) ended_through: Sequence,
    /// The newest of those entries that is no longer held.
    pub(super) evicted_end: Sequence,
    /// The newest entry there ever was.
    pub(super) newest: Sequence,
    /// Readers that name the topic; while there are any it is not forgotten.
    pub(super) holders: u32,
    /// Whether the byte budget pays for the topic; one that was never published to is its reader's.
    pub(super) charged: bool,
    pub(super) watchers: Option<Arc<WatchList>>,
    /// The shards that have readers of this topic, and how many each.
    pub(super) shards: SmallVec<[(ShardIndex, u32); 1]>,
}

impl TopicState {
    /// A topic that may have been known before: what forgotten topics have lost, it may have lost.
    fn new(name: Topic, evicted_through: Sequence, evicted_at: EvictionStamp) -> Self {
        Self {
            name,
            sequences: VecDeque::new(),
            evicted_through,
            evicted_at,
            dead_through: evicted_through,
            dead_at: evicted_at,
            ended_through: Sequence::ZERO,
            evicted_end: Sequence::ZERO,
            newest: Sequence::ZERO,
            holders: 0,
            charged: false,
            watchers: None,
            shards: SmallVec::new(),
        }
    }

    /// Whether the entry at `sequence`, one of this topic's, is still held for it.
    pub(super) fn holds(&self, sequence: Sequence) -> bool {
        self.sequences.front().is_some_and(|&oldest| oldest <= sequence)
    }

    fn is_idle(&self) -> bool {
        self.sequences.is_empty() && self.holders == 0
    }

    fn bytes(&self) -> usize {
        // Its place by name and its place in the order of evictions.
        const INDEX_BYTES: usize = size_of::<(Topic, TopicKey)>() + 1;
        const ORDER_BYTES: usize = 2 * size_of::<(Sequence, TopicKey)>();
        // The name lies once, shared between state and index, behind two counts.
        size_of::<Self>() + INDEX_BYTES + ORDER_BYTES + 16 + self.name.as_str().len()
    }
}

/// All topics, by name and by number.
#[derive(Default)]
pub(super) struct TopicTable {
    states: SlotMap<SlotKey, TopicState>,
    names: HashMap<Topic, TopicKey>,
    /// Topics that have lost events, by the newest they lost.
    evictions: BTreeSet<(Sequence, TopicKey)>,
    /// Topics that the eviction under way has taken from.
    evicting: Vec<TopicKey>,
    /// Those of them that hold nothing and that nobody reads: kept so that nobody is told of a
    /// gap that is none.
    tombstones: BTreeSet<(Sequence, TopicKey)>,
    tombstone_bytes: usize,
    /// The newest event that a topic no longer known has lost.
    pub(super) forgotten_through: Sequence,
    pub(super) forgotten_at: EvictionStamp,
    pub(super) stamp: EvictionStamp,
    /// What the topics cost.
    pub(super) bytes: usize,
}

impl TopicTable {
    pub(super) fn find(&self, name: &str) -> Option<TopicKey> {
        self.names.get(name).copied()
    }

    pub(super) fn find_or_create(&mut self, name: &Topic) -> TopicKey {
        if let Some(&key) = self.names.get(name) {
            return key;
        }
        let state = TopicState::new(name.clone(), self.forgotten_through, self.forgotten_at);
        let key = TopicKey(self.states.insert(state));
        self.names.insert(name.clone(), key);
        key
    }

    pub(super) fn get(&self, key: TopicKey) -> Option<&TopicState> {
        self.states.get(key.0)
    }

    pub(super) fn get_mut(&mut self, key: TopicKey) -> Option<&mut TopicState> {
        self.states.get_mut(key.0)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &TopicState> {
        self.states.values()
    }

    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    /// Counts a reader that names the topic.
    pub(super) fn hold(&mut self, name: &Topic) -> TopicKey {
        let key = self.find_or_create(name);
        self.states[key.0].holders += 1;
        self.unbury(key);
        key
    }

    /// Takes back a [`TopicTable::hold`].
    pub(super) fn release(&mut self, key: TopicKey) {
        self.states[key.0].holders -= 1;
        self.settle(key);
    }

    /// Puts a new entry at the end of the topic's list; answers the one before it.
    pub(super) fn push(&mut self, key: TopicKey, sequence: Sequence) -> Sequence {
        self.unbury(key);
        let state = &mut self.states[key.0];
        if !state.charged {
            state.charged = true;
            self.bytes += state.bytes();
        }
        let capacity = state.sequences.capacity();
        state.sequences.push_back(sequence);
        self.bytes += (state.sequences.capacity() - capacity) * size_of::<Sequence>();
        std::mem::replace(&mut state.newest, sequence)
    }

    /// Takes the oldest entry out of the topic's list.
    ///
    /// `lost` says whether its readers have lost something by it; an end is no loss. The caller settles the topic, and
    /// ends with [`TopicTable::finish_eviction`].
    pub(super) fn pop(&mut self, key: TopicKey, lost: bool) {
        /// Below this a list's spare room is not worth giving back.
        const SPARE_MIN: usize = 64;

        let state = &mut self.states[key.0];
        let Some(sequence) = state.sequences.pop_front() else { return };
        let capacity = state.sequences.capacity();
        if capacity > SPARE_MIN && state.sequences.len() * 4 < capacity {
            state.sequences.shrink_to(state.sequences.len() * 2);
            self.bytes -= (capacity - state.sequences.capacity()) * size_of::<Sequence>();
        }
        if !lost {
            state.evicted_end = sequence;
            return;
        }
        if state.evicted_at != self.stamp {
            // Ordered anew once an eviction, however many of its events go.
            self.evictions.remove(&(state.evicted_through, key));
            self.evicting.push(key);
            state.evicted_at = self.stamp;
        }
        state.evicted_through = sequence;
    }

    /// Begins an eviction: what it takes is newer than everything told so far.
    pub(super) fn begin_eviction(&mut self) {
        self.stamp = self.stamp.next();
    }

    /// Puts the topics that lost something in their order.
    pub(super) fn finish_eviction(&mut self) {
        for key in self.evicting.drain(..) {
            if let Some(state) = self.states.get(key.0) {
                self.evictions.insert((state.evicted_through, key));
            }
        }
    }

    /// Buries or drops the topic if nothing is held for it and nobody reads it.
    pub(super) fn settle(&mut self, key: TopicKey) {
        let Some(state) = self.states.get(key.0).filter(|state| state.is_idle()) else { return };
        let lost_nothing = state.evicted_through <= self.forgotten_through;
        if lost_nothing && state.evicted_end == Sequence::ZERO {
            self.drop_topic(key);
        } else if self.tombstones.insert((state.evicted_through, key)) {
            self.tombstone_bytes += state.bytes();
        }
    }

    pub(super) fn tombstone_bytes(&self) -> usize {
        self.tombstone_bytes
    }

    /// Forgets the topic that lost its events longest ago; from then on a place before that loss
    /// counts as a gap in every topic that is not known. `false` if there is none to forget.
    pub(super) fn forget_one(&mut self) -> bool {
        let Some(&(evicted_through, key)) = self.tombstones.first() else { return false };
        self.unbury(key);
        self.forgotten_through = self.forgotten_through.max(evicted_through);
        self.forgotten_at = self.stamp;
        self.drop_topic(key);
        true
    }

    /// Notes that no topic holds one of this topic's events any more, since a stamp.
    pub(super) fn bury_event(&mut self, key: TopicKey, sequence: Sequence, at: EvictionStamp) {
        if let Some(state) = self.states.get_mut(key.0) {
            state.dead_through = state.dead_through.max(sequence);
            state.dead_at = state.dead_at.max(at);
        }
    }

    /// The topics that have let go of an event after a place, since a stamp.
    pub(super) fn evicted_after(
        &self,
        after: Sequence,
        told_at: EvictionStamp,
    ) -> impl Iterator<Item = &TopicState> {
        self.evictions
            // Whichever way the key sorts, the filter leaves what lies after the place.
            .range((after, TopicKey::default())..)
            .filter_map(|&(_, key)| self.states.get(key.0))
            .filter(move |state| state.evicted_through > after && state.evicted_at > told_at)
    }

    fn unbury(&mut self, key: TopicKey) {
        let state = &self.states[key.0];
        if self.tombstones.remove(&(state.evicted_through, key)) {
            self.tombstone_bytes -= state.bytes();
        }
    }

    fn drop_topic(&mut self, key: TopicKey) {
        let Some(state) = self.states.remove(key.0) else { return };
        self.names.remove(&state.name);
        self.evictions.remove(&(state.evicted_through, key));
        if state.charged {
            self.bytes -= state.bytes() + state.sequences.capacity() * size_of::<Sequence>();
        }
    }
}

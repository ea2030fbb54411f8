//! The topics a history knows, by name and by number.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;

use super::TopicKey;
use super::slots::Slots;
use super::split_table::SplitTable;
use super::topic_state::{EvictionStamp, Past, TopicState};
use crate::cursor::Sequence;
use crate::topic::Topic;

/// All topics, by name and by number.
#[derive(Default)]
pub(super) struct TopicTable {
    slots: Slots,
    /// The slots, by the names of the topics in them.
    names: SplitTable<u32>,
    hasher: RandomState,
    /// The loss that an unknown topic may have had.
    unknown: Arc<Past>,
    /// Topics that have lost events, by the latest eviction that took from them.
    evictions: BTreeSet<(EvictionStamp, TopicKey)>,
    /// Topics that the eviction under way has taken from.
    evicting: Vec<TopicKey>,
    /// Those of them that hold nothing and that nobody reads: kept so that nobody is told of a
    /// gap that is none.
    tombstones: BTreeSet<(Sequence, TopicKey)>,
    tombstone_bytes: usize,
    pub(super) stamp: EvictionStamp,
    /// Bytes that the topics cost.
    pub(super) bytes: usize,
}

impl TopicTable {
    pub(super) fn find(&self, name: &Topic) -> Option<TopicKey> {
        self.find_hashed(name, self.hash(name))
    }

    fn find_hashed(&self, name: &Topic, hash: u64) -> Option<TopicKey> {
        let mut found = None;
        self.names.find(hash, |&slot| {
            let topic = self.slots.at(slot).filter(|(_, state)| state.name == *name);
            found = topic.map(|(key, _)| key);
            found.is_some()
        });
        found
    }

    fn hash(&self, name: &Topic) -> u64 {
        hash_of(&self.hasher, name)
    }

    fn find_or_create(&mut self, name: &Topic) -> TopicKey {
        let hash = self.hash(name);
        if let Some(key) = self.find_hashed(name, hash) {
            return key;
        }
        let slots = &mut self.slots;
        let past = Arc::clone(&self.unknown);
        let key = slots.insert(|key| TopicState::new(key, name.clone(), past));
        let rehash =
            |slot: &u32| slots.at(*slot).map_or(0, |(_, state)| hash_of(&self.hasher, &state.name));
        self.names.insert(hash, key.slot(), rehash);
        key
    }

    pub(super) fn get(&self, key: TopicKey) -> Option<&TopicState> {
        self.slots.get(key)
    }

    pub(super) fn get_mut(&mut self, key: TopicKey) -> Option<&mut TopicState> {
        self.slots.get_mut(key)
    }

    /// The topics in `count` slots from one on, and where to go on.
    pub(super) fn some(
        &self,
        from: usize,
        count: usize,
    ) -> (impl Iterator<Item = &TopicState>, Option<usize>) {
        self.slots.some(from, count)
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The newest event that a topic no longer known has lost.
    pub(super) fn forgotten_through(&self) -> Sequence {
        self.unknown.evicted_through
    }

    pub(super) fn forgotten_at(&self) -> EvictionStamp {
        self.unknown.evicted_at
    }

    /// Counts a reader that names the topic.
    pub(super) fn hold(&mut self, name: &Topic) -> TopicKey {
        let key = self.find_or_create(name);
        self.unbury(key);
        if let Some(state) = self.slots.get_mut(key) {
            state.holders += 1;
        }
        key
    }

    /// Takes back a [`TopicTable::hold`].
    pub(super) fn release(&mut self, key: TopicKey) {
        if let Some(state) = self.slots.get_mut(key) {
            state.holders -= 1;
            if state.holders == 0 {
                // Nobody is in it: subscribers leave the list before their reader goes.
                state.watchers = None;
            }
            self.settle(key);
        }
    }

    /// Puts a new entry at the end of the topic's list; answers the topic and the entry before it.
    pub(super) fn push(
        &mut self,
        name: &Topic,
        sequence: Sequence,
    ) -> (TopicKey, Sequence, &mut TopicState) {
        let key = self.find_or_create(name);
        self.unbury(key);
        let state = self.slots.get_mut(key).expect("it has just been found or made");
        let previous = state.newest();
        self.bytes -= state.bytes();
        state.entries.push(sequence);
        self.bytes += state.bytes();
        (key, previous, state)
    }

    /// Notes that an entry of the topic ended its streams.
    pub(super) fn note_end(&mut self, key: TopicKey, sequence: Sequence) {
        if let Some(state) = self.slots.get_mut(key) {
            self.bytes -= state.bytes();
            let past = Arc::make_mut(&mut state.past);
            past.ended_through = sequence;
            past.ends_held += 1;
            self.bytes += state.bytes();
        }
    }

    /// Takes the oldest entry out of the topic's list.
    ///
    /// `lost` says whether its readers have lost something by it; an end is no loss. The caller settles the topic, and
    /// ends with [`TopicTable::finish_eviction`].
    pub(super) fn pop(&mut self, key: TopicKey, lost: bool) {
        let Some(state) = self.slots.get_mut(key) else { return };
        let before = state.bytes();
        let Some(sequence) = state.entries.pop() else { return };
        Arc::make_mut(&mut state.past).let_go_through = sequence;
        self.bytes = self.bytes + state.bytes() - before;
        let past = Arc::make_mut(&mut state.past);
        if !lost {
            past.evicted_end = sequence;
            past.ends_held -= 1;
            return;
        }
        if past.evicted_at != self.stamp {
            // Ordered anew once an eviction, however many of its events go.
            self.evictions.remove(&(past.evicted_at, key));
            self.evicting.push(key);
            past.evicted_at = self.stamp;
        }
        past.evicted_through = sequence;
    }

    /// Begins an eviction: what it takes is newer than everything told so far.
    pub(super) fn begin_eviction(&mut self) {
        self.stamp = self.stamp.next();
    }

    /// Puts the topics that lost something in their order.
    pub(super) fn finish_eviction(&mut self) {
        for key in self.evicting.drain(..) {
            if let Some(state) = self.slots.get(key) {
                self.evictions.insert((state.past.evicted_at, key));
            }
        }
    }

    /// Buries or drops the topic if it holds nothing and has no reader.
    pub(super) fn settle(&mut self, key: TopicKey) {
        let Some(state) = self.slots.get(key).filter(|state| state.is_idle()) else { return };
        let lost_nothing = state.past.evicted_through <= self.forgotten_through();
        if lost_nothing && state.past.evicted_end == Sequence::ZERO {
            self.drop_topic(key);
        } else if self.tombstones.insert((state.past.evicted_through, key)) {
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
        let unknown = Arc::make_mut(&mut self.unknown);
        unknown.evicted_through = unknown.evicted_through.max(evicted_through);
        unknown.evicted_at = self.stamp;
        (unknown.dead_through, unknown.dead_at) = (unknown.evicted_through, unknown.evicted_at);
        self.drop_topic(key);
        true
    }

    /// Notes that no topic holds one of this topic's events any more, since a stamp.
    pub(super) fn bury_event(&mut self, key: TopicKey, sequence: Sequence, at: EvictionStamp) {
        if let Some(state) = self.slots.get_mut(key) {
            let past = Arc::make_mut(&mut state.past);
            past.dead_through = past.dead_through.max(sequence);
            past.dead_at = past.dead_at.max(at);
        }
    }

    /// The topics that have let go of an event since a stamp, by the latest eviction that took from them.
    pub(super) fn evicted_since(
        &self,
        told_at: EvictionStamp,
    ) -> impl Iterator<Item = (EvictionStamp, &TopicState)> {
        self.evictions
            .range((told_at.next(), TopicKey::MIN)..)
            .filter_map(|&(stamp, key)| Some((stamp, self.slots.get(key)?)))
    }

    /// Takes the topic from the tombstones, if it is one: before it is read or published to.
    fn unbury(&mut self, key: TopicKey) {
        let Some(state) = self.slots.get(key).filter(|state| state.is_idle()) else { return };
        if self.tombstones.remove(&(state.past.evicted_through, key)) {
            self.tombstone_bytes -= state.bytes();
        }
    }

    fn drop_topic(&mut self, key: TopicKey) {
        let Some(state) = self.slots.remove(key) else { return };
        let hash = self.hash(&state.name);
        self.names.remove(hash, |&slot| slot == key.slot());
        self.evictions.remove(&(state.past.evicted_at, key));
        self.bytes -= state.bytes();
    }
}

/// Hashes with random keys, because names may be chosen by an attacker, and without the end mark that
/// `str` adds.
fn hash_of(hasher: &RandomState, name: &Topic) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(name.as_str().as_bytes());
    hasher.finish()
}

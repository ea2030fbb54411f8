//! Lists of slots: a dense list for each topic, and those of slots with several topics or patterns.

use foldhash::HashMap;
use slab::Slab;
use tidings_hub::engine::{ReaderState, TopicKey};

use super::multi_lists::MultiLists;

/// The slots of a shard, by topic.
///
/// A slot's place is its index in a list. Removal moves the last entry into the gap, so that a
/// visit from the end of a list skips no slot.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// Slots with exactly one exact topic.
    single: HashMap<TopicKey, List>,
    /// The lists of topics that more than one slot reads.
    long: Slab<Vec<u32>>,
    /// Slots with several topics or with patterns.
    pub(super) multi: MultiLists,
}

/// A topic that only one slot reads needs no list. Most topics are of this kind if each reader has
/// its own.
#[derive(Clone, Copy, Debug)]
enum List {
    One(u32),
    Long(u32),
}

impl Lists {
    /// Adds a slot; returns its place, or its number among those with several topics or patterns.
    pub(super) fn add(&mut self, reader: &ReaderState, slot: u32) -> u32 {
        let Some(topic) = reader.only_topic() else {
            return self.multi.add(reader.topics(), reader.groups(), slot);
        };
        match self.single.get_mut(&topic) {
            None => {
                self.single.insert(topic, List::One(slot));
                0
            }
            Some(list) => match *list {
                List::One(first) => {
                    *list = List::Long(self.long.insert(vec![first, slot]) as u32);
                    1
                }
                List::Long(at) => push(&mut self.long[at as usize], slot),
            },
        }
    }

    /// Removes the slot at a place; returns the slot that moved there.
    pub(super) fn remove(&mut self, reader: &ReaderState, place: u32) -> Option<u32> {
        let Some(topic) = reader.only_topic() else {
            self.multi.remove(reader.topics(), reader.groups(), place);
            return None;
        };
        let long = match self.single.get(&topic)? {
            List::One(_) => None,
            List::Long(at) => Some(*at as usize),
        };
        let moved = long.and_then(|at| swap_remove(&mut self.long[at], place));
        if long.is_none_or(|at| self.long[at].is_empty()) {
            self.single.remove(&topic);
            long.map(|at| self.long.remove(at));
        }
        moved
    }

    /// The slots with exactly this topic.
    pub(super) fn of(&self, topic: TopicKey) -> &[u32] {
        match self.single.get(&topic) {
            None => &[],
            Some(List::One(slot)) => std::slice::from_ref(slot),
            Some(List::Long(at)) => &self.long[*at as usize],
        }
    }
}

fn push(list: &mut Vec<u32>, slot: u32) -> u32 {
    list.push(slot);
    (list.len() - 1) as u32
}

fn swap_remove(list: &mut Vec<u32>, place: u32) -> Option<u32> {
    list.swap_remove(place as usize);
    if list.len() < list.capacity() / 4 {
        list.shrink_to(list.len() * 2);
    }
    list.get(place as usize).copied()
}

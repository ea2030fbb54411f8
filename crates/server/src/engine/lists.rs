//! Which slots are sent what: a dense list for each topic, and one of those that look for themselves.

use foldhash::HashMap;
use slab::Slab;
use tidings_hub::engine::TopicKey;

/// The slots of a shard, by topic.
///
/// A place in a list is where a slot's number stands. Removing puts the last one of the list in the
/// hole, so that who visits a list from its end passes nobody over.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// Slots with exactly one exact topic.
    single: HashMap<TopicKey, List>,
    /// The lists of topics that more than one slot reads.
    long: Slab<Vec<u32>>,
    /// Slots with several topics or patterns: told that there is something, they read.
    others: Vec<u32>,
}

/// A topic that one slot reads, as most are where everybody has one of their own, needs no list.
#[derive(Clone, Copy, Debug)]
enum List {
    One(u32),
    Long(u32),
}

impl Lists {
    /// Adds a slot; the answer is its place.
    pub(super) fn add(&mut self, topic: Option<TopicKey>, slot: u32) -> u32 {
        let Some(topic) = topic else { return push(&mut self.others, slot) };
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

    /// Removes the slot at a place; the answer is the one that has taken it.
    pub(super) fn remove(&mut self, topic: Option<TopicKey>, place: u32) -> Option<u32> {
        let Some(topic) = topic else { return swap_remove(&mut self.others, place) };
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

    /// The slots that look for themselves.
    pub(super) fn others(&self) -> &[u32] {
        &self.others
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

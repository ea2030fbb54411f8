//! Slots for topics: a slot and its version identify a topic for ever.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use super::TopicKey;
use super::topic_state::TopicState;

/// The slots, in pieces that do not move: growing copies nothing while the history's lock is held,
/// and leaves no more than one piece empty. A piece without topics gives its memory back.
#[derive(Default)]
pub(super) struct Slots {
    pieces: Vec<Piece>,
    /// Pieces with a vacant slot. The first is filled first, so that the last ones become empty.
    with_room: BTreeSet<u32>,
    len: usize,
    /// Pieces that have memory.
    allocated: usize,
}

struct Piece {
    slots: Vec<Slot>,
    /// The vacant slot to be taken next, before those that were never taken.
    vacant: Option<u8>,
    /// Slots that hold a topic or are out of versions.
    taken: u8,
    /// The version of slots that were never taken: above all versions from before the piece gave its
    /// memory back.
    version: NonZeroU32,
}

/// A slot. An occupied one keeps its version in the topic's state, where there is room for it.
enum Slot {
    Held(TopicState),
    /// The version for the next topic, and the piece's next vacant slot.
    Vacant(NonZeroU32, Option<u8>),
}

/// Slots of a piece: as many as fit 8 KB, which allocators hand out without a remainder.
const PIECE_SLOTS: usize = 8192 / size_of::<Slot>();

impl Slots {
    /// The size of a slot.
    pub(super) const SLOT_BYTES: usize = size_of::<Slot>();

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many slots there is memory for without a topic in them.
    pub(super) fn vacant(&self) -> usize {
        self.allocated * PIECE_SLOTS - self.len
    }

    /// Puts a topic in a slot; `make` is given its number.
    pub(super) fn insert(&mut self, make: impl FnOnce(TopicKey) -> TopicState) -> TopicKey {
        self.len += 1;
        let number = self.piece_with_room();
        let piece = &mut self.pieces[number as usize];
        if piece.slots.capacity() == 0 {
            piece.slots.reserve_exact(PIECE_SLOTS);
            self.allocated += 1;
        }
        let key = piece.insert(number, make);
        if piece.is_full() {
            self.with_room.remove(&number);
        }
        key
    }

    fn piece_with_room(&mut self) -> u32 {
        if let Some(&number) = self.with_room.first() {
            return number;
        }
        let number = u32::try_from(self.pieces.len()).expect("memory ends before 2^32 topics");
        let (slots, version) = (Vec::new(), NonZeroU32::MIN);
        self.pieces.push(Piece { slots, vacant: None, taken: 0, version });
        self.with_room.insert(number);
        number
    }

    pub(super) fn remove(&mut self, key: TopicKey) -> Option<TopicState> {
        self.get(key)?;
        let (number, at) = place_of(key.slot);
        let piece = &mut self.pieces[number];
        let state = piece.remove(at, key.version)?;
        self.len -= 1;
        if !piece.is_full() {
            self.with_room.insert(number as u32);
        }
        // The first stays, so that a hub with few topics that come and go need not allocate it anew.
        if piece.taken == 0 && number > 0 {
            piece.free();
            self.allocated -= 1;
        }
        Some(state)
    }

    pub(super) fn get(&self, key: TopicKey) -> Option<&TopicState> {
        let (found, state) = self.at(key.slot)?;
        (found == key).then_some(state)
    }

    pub(super) fn get_mut(&mut self, key: TopicKey) -> Option<&mut TopicState> {
        let (number, at) = place_of(key.slot);
        match self.pieces.get_mut(number)?.slots.get_mut(at)? {
            Slot::Held(state) if state.version == key.version => Some(state),
            _ => None,
        }
    }

    /// The topic that is in a slot now, and its number.
    pub(super) fn at(&self, slot: u32) -> Option<(TopicKey, &TopicState)> {
        let (number, at) = place_of(slot);
        match self.pieces.get(number)?.slots.get(at)? {
            Slot::Held(state) => Some((TopicKey { slot, version: state.version }, state)),
            Slot::Vacant(..) => None,
        }
    }

    /// The topics in `count` slots from one on, and the slot after them if there is one.
    pub(super) fn some(
        &self,
        from: usize,
        count: usize,
    ) -> (impl Iterator<Item = (TopicKey, &TopicState)>, Option<usize>) {
        let slots = self.pieces.len() * PIECE_SLOTS;
        let to = from.saturating_add(count).min(slots);
        let states = (from..to).filter_map(|slot| self.at(u32::try_from(slot).ok()?));
        (states, Some(to).filter(|to| *to < slots))
    }
}

impl Piece {
    fn is_full(&self) -> bool {
        usize::from(self.taken) == PIECE_SLOTS
    }

    /// Puts a topic in a vacant slot of this piece, whose number is `number`.
    fn insert(&mut self, number: u32, make: impl FnOnce(TopicKey) -> TopicState) -> TopicKey {
        self.taken += 1;
        let (at, version) = match self.vacant {
            Some(at) => {
                let Slot::Vacant(version, next) = self.slots[usize::from(at)] else {
                    unreachable!("only vacant slots are in the list of vacant ones")
                };
                self.vacant = next;
                (usize::from(at), version)
            }
            None => (self.slots.len(), self.version),
        };
        let slot = u32::try_from(number as usize * PIECE_SLOTS + at);
        let key = TopicKey { slot: slot.expect("memory ends before 2^32 topics"), version };
        let held = Slot::Held(make(key));
        match self.slots.get_mut(at) {
            Some(place) => *place = held,
            None => self.slots.push(held),
        }
        key
    }

    fn remove(&mut self, at: usize, version: NonZeroU32) -> Option<TopicState> {
        let vacant = match version.checked_add(1) {
            Some(version) => {
                self.taken -= 1;
                Slot::Vacant(version, self.vacant.replace(at as u8))
            }
            // Out of versions: never used again, which costs one slot for four billion topics.
            None => Slot::Vacant(version, None),
        };
        match std::mem::replace(&mut self.slots[at], vacant) {
            Slot::Held(state) => Some(state),
            Slot::Vacant(..) => None,
        }
    }

    /// Gives the memory of vacant slots back.
    fn free(&mut self) {
        for slot in std::mem::take(&mut self.slots) {
            if let Slot::Vacant(version, _) = slot {
                self.version = self.version.max(version);
            }
        }
        self.vacant = None;
    }
}

/// The piece of a slot, and its place in that.
fn place_of(slot: u32) -> (usize, usize) {
    (slot as usize / PIECE_SLOTS, slot as usize % PIECE_SLOTS)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::topic::Topic;

    fn insert(slots: &mut Slots, name: &str) -> TopicKey {
        slots.insert(|key| TopicState::new(key, Topic::new(name).unwrap(), Arc::default()))
    }

    #[test]
    fn a_slot_is_used_again_and_its_number_is_not() {
        let mut slots = Slots::default();
        let keys: Vec<_> = (0..200).map(|n| insert(&mut slots, &n.to_string())).collect();
        assert!(slots.remove(keys[7]).is_some());
        assert!(slots.remove(keys[7]).is_none());
        assert_eq!(slots.len(), 199);
        let again = insert(&mut slots, "again");
        assert_eq!(again.slot, keys[7].slot);
        assert_ne!(again, keys[7]);
        assert!(slots.get(keys[7]).is_none() && slots.get_mut(keys[7]).is_none());
        assert_eq!(slots.get(again).map(|state| state.name.as_str()), Some("again"));
        let (first, next) = slots.some(0, 150);
        assert_eq!((first.count(), next), (150, Some(150)));
        let (rest, next) = slots.some(150, 150);
        assert_eq!((rest.count(), next), (50, None));
        for (n, &key) in keys.iter().enumerate().filter(|(n, _)| *n != 7) {
            assert_eq!(slots.get(key).map(|state| state.name.as_str()), Some(&*n.to_string()));
        }
    }

    /// They stayed for good: 80 bytes for each topic that there had been at once.
    #[test]
    fn pieces_without_topics_give_their_memory_back_and_their_numbers_are_not_used_again() {
        let mut slots = Slots::default();
        let mut keys: Vec<_> = (0..1000).map(|n| insert(&mut slots, &n.to_string())).collect();
        assert_eq!(slots.vacant(), 1000_usize.next_multiple_of(PIECE_SLOTS) - 1000);
        let first = keys.drain(..10).collect::<Vec<_>>();
        keys.iter().for_each(|key| assert!(slots.remove(*key).is_some()));
        assert_eq!((slots.len(), slots.vacant()), (10, PIECE_SLOTS - 10));
        assert_eq!(slots.pieces.iter().filter(|piece| piece.slots.capacity() > 0).count(), 1);

        let again: Vec<_> = (0..1000).map(|n| insert(&mut slots, &n.to_string())).collect();
        let vacant = 1010_usize.next_multiple_of(PIECE_SLOTS) - 1010;
        assert_eq!((slots.len(), slots.vacant()), (1010, vacant));
        assert!(keys.iter().all(|key| slots.get(*key).is_none() && slots.get_mut(*key).is_none()));
        assert!(first.iter().chain(&again).all(|key| slots.get(*key).is_some()));
        let (all, next) = slots.some(0, 10_000);
        assert_eq!((all.count(), next), (1010, None));
    }

    #[test]
    fn a_slot_out_of_versions_is_left_alone() {
        let mut slots = Slots::default();
        let first = insert(&mut slots, "first");
        slots.remove(first);
        let Slot::Vacant(version, _) = &mut slots.pieces[0].slots[0] else {
            panic!("it is vacant")
        };
        *version = NonZeroU32::MAX;
        let last = insert(&mut slots, "last");
        assert_eq!((last.slot, last.version), (0, NonZeroU32::MAX));
        slots.remove(last);
        assert_ne!(insert(&mut slots, "next").slot, 0);
    }

    #[test]
    fn a_topic_that_is_only_read_takes_88_bytes_and_its_slot_no_more() {
        assert_eq!(size_of::<TopicState>(), 88);
        assert_eq!(size_of::<Slot>(), 88);
    }
}

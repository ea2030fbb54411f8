//! Slots for topics: a slot and its version identify a topic for ever.

use std::num::NonZeroU32;

use super::TopicKey;
use super::topic_state::TopicState;

/// The slots, in pieces that do not move: growing copies nothing while the history's lock is held,
/// and leaves no more than one piece empty.
#[derive(Default)]
pub(super) struct Slots {
    pieces: Vec<Vec<Slot>>,
    /// The vacant slot to be taken next.
    vacant: Option<u32>,
    len: usize,
}

/// A slot. An occupied one keeps its version in the topic's state, where there is room for it.
enum Slot {
    Held(TopicState),
    /// The version for the next topic, and the next vacant slot.
    Vacant(NonZeroU32, Option<u32>),
}

/// Slots of a piece: some 5 KB, so that a hub of few topics is small.
const PIECE_SLOTS: usize = 64;

impl Slots {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Puts a topic in a slot; `make` is given its number.
    pub(super) fn insert(&mut self, make: impl FnOnce(TopicKey) -> TopicState) -> TopicKey {
        self.len += 1;
        if let Some(slot) = self.vacant {
            let place = &mut self.pieces[slot as usize / PIECE_SLOTS][slot as usize % PIECE_SLOTS];
            let Slot::Vacant(version, next) = *place else {
                unreachable!("only vacant slots are in the list of vacant ones")
            };
            self.vacant = next;
            let key = TopicKey { slot, version };
            *place = Slot::Held(make(key));
            return key;
        }
        if self.pieces.last().is_none_or(|piece| piece.len() == PIECE_SLOTS) {
            self.pieces.push(Vec::with_capacity(PIECE_SLOTS));
        }
        let before = (self.pieces.len() - 1) * PIECE_SLOTS;
        let piece = self.pieces.last_mut().expect("there is one with room");
        let slot = u32::try_from(before + piece.len()).expect("memory ends before 2^32 topics");
        let key = TopicKey { slot, version: NonZeroU32::MIN };
        piece.push(Slot::Held(make(key)));
        key
    }

    pub(super) fn remove(&mut self, key: TopicKey) -> Option<TopicState> {
        self.get(key)?;
        let slot = key.slot as usize;
        let place = &mut self.pieces[slot / PIECE_SLOTS][slot % PIECE_SLOTS];
        let vacant = match key.version.checked_add(1) {
            Some(version) => {
                let next = self.vacant.replace(key.slot);
                Slot::Vacant(version, next)
            }
            // Out of versions: never used again, which costs one slot for four billion topics.
            None => Slot::Vacant(key.version, None),
        };
        self.len -= 1;
        match std::mem::replace(place, vacant) {
            Slot::Held(state) => Some(state),
            Slot::Vacant(..) => None,
        }
    }

    pub(super) fn get(&self, key: TopicKey) -> Option<&TopicState> {
        let (found, state) = self.at(key.slot)?;
        (found == key).then_some(state)
    }

    pub(super) fn get_mut(&mut self, key: TopicKey) -> Option<&mut TopicState> {
        let slot = key.slot as usize;
        match self.pieces.get_mut(slot / PIECE_SLOTS)?.get_mut(slot % PIECE_SLOTS)? {
            Slot::Held(state) if state.version == key.version => Some(state),
            _ => None,
        }
    }

    /// The topic that is in a slot now, and its number.
    pub(super) fn at(&self, slot: u32) -> Option<(TopicKey, &TopicState)> {
        let place = slot as usize;
        match self.pieces.get(place / PIECE_SLOTS)?.get(place % PIECE_SLOTS)? {
            Slot::Held(state) => Some((TopicKey { slot, version: state.version }, state)),
            Slot::Vacant(..) => None,
        }
    }

    /// The topics in `count` slots from one on, and the slot after them if there is one.
    pub(super) fn some(
        &self,
        from: usize,
        count: usize,
    ) -> (impl Iterator<Item = &TopicState>, Option<usize>) {
        let slots = self.pieces.len() * PIECE_SLOTS;
        let to = from.saturating_add(count).min(slots);
        let states =
            (from..to).filter_map(|slot| self.at(u32::try_from(slot).ok()?)).map(|(_, s)| s);
        (states, Some(to).filter(|to| *to < slots))
    }
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

    #[test]
    fn a_slot_out_of_versions_is_left_alone() {
        let mut slots = Slots::default();
        let first = insert(&mut slots, "first");
        slots.remove(first);
        let Slot::Vacant(version, _) = &mut slots.pieces[0][0] else { panic!("it is vacant") };
        *version = NonZeroU32::MAX;
        let last = insert(&mut slots, "last");
        assert_eq!((last.slot, last.version), (0, NonZeroU32::MAX));
        slots.remove(last);
        assert_ne!(insert(&mut slots, "next").slot, 0);
    }

    #[test]
    fn a_topic_that_is_only_read_takes_80_bytes_and_its_slot_no_more() {
        assert_eq!(size_of::<TopicState>(), 80);
        assert_eq!(size_of::<Slot>(), 80);
    }
}

//! Topics that hold nothing and have no reader: what they have lost is told until they are forgotten.

use std::sync::Arc;

use super::super::TopicKey;
use super::super::topic_state::{EvictionStamp, TopicState};
use super::{
    DEATH_BYTES, TOMBSTONE_BYTES, TopicTable, hash_of, is_before, is_last_to_share, own_past,
};
use crate::cursor::Sequence;

impl TopicTable {
    /// Buries or drops the topic if it holds nothing and has no reader.
    pub(in crate::history) fn settle(&mut self, key: TopicKey) {
        let Some(state) = self.slots.get(key).filter(|state| state.is_idle()) else { return };
        let lost_nothing = state.past.evicted_through <= self.forgotten_through();
        if lost_nothing && state.past.ended_through == Sequence::ZERO {
            self.drop_topic(key);
        } else if self.tombstones.insert((state.past.evicted_through, key)) {
            self.tombstone_bytes += state.bytes();
        }
    }

    pub(in crate::history) fn tombstone_bytes(&self) -> usize {
        self.tombstone_bytes + self.tombstones.len() * (TOMBSTONE_BYTES + DEATH_BYTES)
    }

    /// Forgets the topic that lost its events longest ago; from then on a place before that loss
    /// counts as a gap in every topic that is not known. `false` if there is none to forget.
    pub(in crate::history) fn forget_one(&mut self) -> bool {
        let Some(&(evicted_through, key)) = self.tombstones.first() else { return false };
        self.unbury(key);
        self.shared_pasts += usize::from(Arc::strong_count(&self.unknown) > 1);
        let unknown = Arc::make_mut(&mut self.unknown);
        unknown.evicted_through = unknown.evicted_through.max(evicted_through);
        unknown.evicted_at = self.stamp;
        (unknown.dead_through, unknown.dead_at) = (unknown.evicted_through, unknown.evicted_at);
        self.drop_topic(key);
        true
    }

    /// Forgets the topic that lost its events longest ago. The journal keeps them and can apply the topic's
    /// limits again, so that no other topic counts as having lost something.
    pub(in crate::history) fn forget_kept_one(&mut self) -> bool {
        let Some(&(evicted_through, key)) = self.tombstones.first() else { return false };
        self.unbury(key);
        self.unknown_released = self.unknown_released.max(evicted_through);
        self.drop_topic(key);
        true
    }

    /// Notes that no topic holds one of this topic's events any more, since a stamp.
    pub(in crate::history) fn bury_event(
        &mut self,
        key: TopicKey,
        sequence: Sequence,
        at: EvictionStamp,
    ) {
        if let Some(state) = self.slots.get_mut(key) {
            let released = self.unknown_released;
            let past = own_past(&self.unknown, released, &mut self.shared_pasts, &mut state.past);
            past.dead_through = past.dead_through.max(sequence);
            if at > past.dead_at {
                // Ordered anew once an eviction, however many of its events go.
                self.deaths.remove(&(past.dead_at, key));
                self.dying.push(key);
                past.dead_at = at;
            }
        }
    }

    /// The topics with an event that no topic holds any more since a stamp, by the latest such eviction.
    pub(in crate::history) fn dead_since(
        &self,
        told_at: EvictionStamp,
    ) -> impl Iterator<Item = (EvictionStamp, &TopicState)> {
        self.deaths
            .range((told_at.next(), TopicKey::MIN)..)
            .filter_map(|&(stamp, key)| Some((stamp, self.slots.get(key)?)))
    }

    /// Takes the topic from the tombstones, if it is one: before it is read or published to.
    pub(super) fn unbury(&mut self, key: TopicKey) {
        let Some(state) = self.slots.get(key).filter(|state| state.is_idle()) else { return };
        if self.tombstones.remove(&(state.past.evicted_through, key)) {
            self.tombstone_bytes -= state.bytes();
        }
    }

    fn drop_topic(&mut self, key: TopicKey) {
        let Some(mut state) = self.slots.remove(key) else { return };
        self.groups.forget(&mut state.groups);
        self.unknown_released = self.unknown_released.max(state.past.released_through);
        let hash = self.hash(&state.name);
        let slots = &self.slots;
        let rehash =
            |slot: &u32| slots.at(*slot).map_or(0, |(_, state)| hash_of(&self.hasher, &state.name));
        self.names.remove(hash, |&slot| slot == key.slot(), rehash);
        self.order.remove(key.slot(), |slot| is_before(slots, slot, state.name.as_str()));
        self.deaths.remove(&(state.past.dead_at, key));
        self.bytes -= state.bytes();
        let was_charged = state.newest() != Sequence::ZERO;
        self.vacant = (self.vacant + usize::from(was_charged)).min(slots.vacant());
        self.shared_pasts -= usize::from(is_last_to_share(&self.unknown, &state.past));
    }
}

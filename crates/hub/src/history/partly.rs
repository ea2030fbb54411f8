//! Events that only some of their topics still hold.

use std::collections::{BTreeMap, BTreeSet};

use super::TopicKey;
use super::cost::tree_entry_bytes;
use super::topic_state::EvictionStamp;
use crate::cursor::Sequence;

/// The topics that have evicted an event which another topic still holds, and when.
#[derive(Debug, Default)]
pub(super) struct PartlyEvicted {
    evicted: BTreeMap<(Sequence, TopicKey), EvictionStamp>,
    /// The same in the order of evictions, in which readers look for their losses.
    in_order: BTreeSet<InOrder>,
}

type InOrder = (EvictionStamp, Sequence, TopicKey);

impl PartlyEvicted {
    /// Notes that a topic has evicted an event.
    pub(super) fn insert(&mut self, sequence: Sequence, topic: TopicKey, at: EvictionStamp) {
        self.evicted.insert((sequence, topic), at);
        self.in_order.insert((at, sequence, topic));
    }

    /// Removes the note that a topic has evicted an event, once no topic holds it; returns when that was.
    pub(super) fn remove(&mut self, sequence: Sequence, topic: TopicKey) -> Option<EvictionStamp> {
        let at = self.evicted.remove(&(sequence, topic))?;
        self.in_order.remove(&(at, sequence, topic));
        Some(at)
    }

    /// The topics that have evicted an event.
    pub(super) fn of(&self, sequence: Sequence) -> impl Iterator<Item = TopicKey> {
        let notes = self.evicted.range((sequence, TopicKey::MIN)..);
        notes.take_while(move |((of, _), _)| *of == sequence).map(|((_, topic), _)| *topic)
    }

    /// Returns whether such an event is after a place.
    pub(super) fn is_after(&self, place: Sequence) -> bool {
        self.evicted.last_key_value().is_some_and(|((newest, _), _)| *newest > place)
    }

    /// The evictions since a stamp, in their order: the event, and the topic that evicted it.
    pub(super) fn since(
        &self,
        told_at: EvictionStamp,
    ) -> impl Iterator<Item = (EvictionStamp, (Sequence, TopicKey))> {
        self.in_order
            .range((told_at.next(), Sequence::ZERO, TopicKey::MIN)..)
            .map(|&(at, sequence, topic)| (at, (sequence, topic)))
    }

    pub(super) fn bytes(&self) -> usize {
        const BYTES: usize = tree_entry_bytes::<((Sequence, TopicKey), EvictionStamp)>()
            + tree_entry_bytes::<InOrder>();
        self.evicted.len() * BYTES
    }
}

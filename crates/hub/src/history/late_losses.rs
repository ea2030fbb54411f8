//! Losses of views whose last topic to hold an event superseded it, after others had evicted it.

use std::collections::{BTreeMap, BTreeSet};

use super::TopicKey;
use super::cost::tree_entry_bytes;
use super::topic_state::EvictionStamp;
use crate::cursor::Sequence;

/// Pairs of topics kept at most for events that no topic holds any more.
const PAIRS_MAX: usize = 1024;

/// An event that one topic evicted, and another superseded later.
///
/// A view of both lost nothing when the first evicted it, because the second still held it. It loses the event
/// when the second lets go of it, and a view of the second alone loses nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LateLoss {
    pub(super) sequence: Sequence,
    pub(super) superseded_in: TopicKey,
    pub(super) evicted_from: TopicKey,
}

/// All late losses: those of events that a topic still holds, and the newest of each pair of topics of
/// the others.
#[derive(Debug, Default)]
pub(super) struct LateLosses {
    held: BTreeMap<LateLoss, EvictionStamp>,
    /// A topic supersedes and evicts its events in their order, so that the newest stands for those before it.
    pairs: BTreeMap<Pair, (EvictionStamp, Sequence)>,
    /// All of them in the order in which readers look for their losses.
    in_order: BTreeSet<InOrder>,
    newest_at: EvictionStamp,
}

/// The topic that superseded an event, and the one that had evicted it.
type Pair = (TopicKey, TopicKey);

type InOrder = (EvictionStamp, LateLoss);

impl LateLosses {
    /// Notes such a loss of an event that is not yet forgotten.
    pub(super) fn insert(&mut self, loss: LateLoss, at: EvictionStamp) {
        self.held.insert(loss, at);
        self.in_order.insert((at, loss));
        self.newest_at = at;
    }

    /// Notes that no topic holds the event any more.
    pub(super) fn bury_event(&mut self, sequence: Sequence) {
        let first =
            LateLoss { sequence, superseded_in: TopicKey::MIN, evicted_from: TopicKey::MIN };
        while let Some((&loss, &at)) =
            self.held.range(first..).next().filter(|(loss, _)| loss.sequence == sequence)
        {
            self.held.remove(&loss);
            let newest = self.pairs.entry(pair_of(loss)).or_insert((at, sequence));
            if newest.1 < sequence {
                self.in_order.remove(&(newest.0, LateLoss { sequence: newest.1, ..loss }));
                *newest = (at, sequence);
            } else if newest.1 > sequence {
                self.in_order.remove(&(at, loss));
            }
        }
    }

    /// Removes the oldest loss if there are too many pairs. The caller counts it as lost to all views of the topic
    /// that had evicted it, at the stamp `now`.
    pub(super) fn pop_excess(&mut self, now: EvictionStamp) -> Option<LateLoss> {
        if self.pairs.len() <= PAIRS_MAX {
            return None;
        }
        let oldest = self.pairs.iter().min_by_key(|(_, newest)| **newest);
        let (&pair, &(at, sequence)) = oldest?;
        self.pairs.remove(&pair);
        let loss = LateLoss { sequence, superseded_in: pair.0, evicted_from: pair.1 };
        self.in_order.remove(&(at, loss));
        self.newest_at = now;
        Some(loss)
    }

    /// Returns whether there may be one since a stamp.
    pub(super) fn is_any_since(&self, told_at: EvictionStamp) -> bool {
        self.newest_at > told_at
    }

    /// Returns whether some topic still holds the event.
    pub(super) fn is_held(&self, loss: LateLoss) -> bool {
        self.held.contains_key(&loss)
    }

    /// The losses since a stamp, in their order.
    pub(super) fn since(
        &self,
        told_at: EvictionStamp,
    ) -> impl Iterator<Item = (EvictionStamp, LateLoss)> {
        let first = LateLoss {
            sequence: Sequence::ZERO,
            superseded_in: TopicKey::MIN,
            evicted_from: TopicKey::MIN,
        };
        self.in_order.range((told_at.next(), first)..).copied()
    }

    pub(super) fn bytes(&self) -> usize {
        const HELD_BYTES: usize = tree_entry_bytes::<(LateLoss, EvictionStamp)>();
        const PAIR_BYTES: usize = tree_entry_bytes::<(Pair, (EvictionStamp, Sequence))>();
        self.held.len() * HELD_BYTES
            + self.pairs.len() * PAIR_BYTES
            + self.in_order.len() * tree_entry_bytes::<InOrder>()
    }
}

fn pair_of(loss: LateLoss) -> Pair {
    (loss.superseded_in, loss.evicted_from)
}

//! Rests of events that history has evicted. Their memory is outside the history's budget, so it has a
//! limit of its own: beyond it, the slots with the oldest of these events are closed, whose readers have
//! taken nothing for longest.

use std::collections::BTreeMap;

use tidings_hub::Sequence;

use super::gathered::SharedEvent;

/// The evicted events that the slots visited by a pass have rests of.
#[derive(Debug, Default)]
pub(super) struct EvictedRests {
    /// By the first sequence of their blocks.
    blocks: BTreeMap<Sequence, Kept>,
}

/// A block that lives on for the rests of slots.
#[derive(Debug, Default)]
struct Kept {
    bytes: usize,
    slots: Vec<u32>,
}

impl EvictedRests {
    pub(super) fn add(&mut self, event: &SharedEvent, slot: usize) {
        let kept = self.blocks.entry(event.block.first()).or_default();
        kept.bytes = event.block.bytes();
        kept.slots.push(slot as u32);
    }

    /// Takes the slots to close, so that the blocks of the others have at most `bytes_max` bytes.
    pub(super) fn take_beyond(&mut self, bytes_max: usize) -> Vec<u32> {
        let blocks = std::mem::take(&mut self.blocks);
        let mut bytes: usize = blocks.values().map(|kept| kept.bytes).sum();
        let mut beyond = Vec::new();
        for kept in blocks.into_values() {
            if bytes <= bytes_max {
                break;
            }
            bytes -= kept.bytes;
            beyond.extend(kept.slots);
        }
        beyond
    }
}

//! Packing: joins small blocks into few large ones.

use std::ops::Range;
use std::sync::Arc;

use super::{Block, BlockBuilder, BlockState, History};

/// Small blocks that wait to be joined: enough to make their own cost small beside their events'.
const LOOSE_MAX: usize = 64;

impl History {
    /// Puts a run into the last block if that is not shared and has room, and otherwise into a block of
    /// its own. The answer is the run's first index in the block.
    pub(super) fn push_run(&mut self, run: &mut BlockBuilder) -> usize {
        // The newest block is never evicted, and so are the topics of its entries.
        let is_costly = self.newest_beside > self.block_bytes_max();
        if !is_costly && let Some(at) = self.extend_last(run) {
            return at;
        }
        let small = self.block_bytes_max() / 4;
        let last_is_small = self.blocks.back().is_none_or(|last| last.block.bytes() < small);
        if is_costly || run.bytes() >= small || !last_is_small || self.loose >= LOOSE_MAX {
            self.pack();
            if !is_costly && let Some(at) = self.extend_last(run) {
                return at;
            }
        }
        if self.loose == 0 {
            self.newest_beside = 0;
        }
        let live = run.len() as u32;
        let block = Arc::new(run.take());
        self.bytes += block.cost();
        self.blocks.push_back(BlockState { live, block });
        self.loose += 1;
        0
    }

    /// A block is let go of whole, so a small budget has small blocks.
    fn block_bytes_max(&self) -> usize {
        (self.retention.bytes_max / 32).clamp(1, Block::BYTES_MAX)
    }

    fn extend_last(&mut self, run: &mut BlockBuilder) -> Option<usize> {
        let bytes_max = self.block_bytes_max();
        let last = self.blocks.back_mut()?;
        let block = Arc::get_mut(&mut last.block).filter(|block| block.has_room(run, bytes_max))?;
        let at = block.len();
        self.bytes -= block.cost();
        block.extend(run, bytes_max);
        self.bytes += block.cost();
        last.live += run.len() as u32;
        self.loose = self.loose.max(1);
        Some(at)
    }

    /// Joins the blocks that are not yet packed, or gives back the room that a single one has left over.
    fn pack(&mut self) {
        let len = self.blocks.len();
        let loose = std::mem::take(&mut self.loose);
        let Some(last) = self.blocks.back_mut() else { return };
        if loose > 1 || (last.live as usize) * 2 < last.block.len() {
            self.rebuild(len - loose.max(1)..len);
        } else if let Some(block) = Arc::get_mut(&mut last.block) {
            self.bytes -= block.cost();
            block.trim();
            self.bytes += block.cost();
        }
    }

    /// Rewrites a block that is mostly dead, together with the one before it if both are small.
    pub(super) fn compact(&mut self, at: usize) {
        let with_previous = at > 0
            && self.blocks[at - 1].block.bytes() + self.blocks[at].block.bytes()
                <= self.block_bytes_max();
        self.rebuild(at - usize::from(with_previous)..at + 1);
    }

    /// Replaces blocks by new ones with what is live in them.
    fn rebuild(&mut self, range: Range<usize>) {
        let bytes_max = self.block_bytes_max();
        let old: Vec<_> = self.blocks.range(range.clone()).map(|s| Arc::clone(&s.block)).collect();
        let entries: usize = old.iter().map(|block| block.len()).sum();
        let bytes: usize = old.iter().map(|block| block.bytes()).sum();
        // Nearly always, one block suffices.
        let mut builder = BlockBuilder::with_room(entries, bytes.min(bytes_max));
        let mut built = Vec::new();
        for block in &old {
            self.bytes -= block.cost();
            for index in (0..block.len()).filter(|&index| self.is_live(block, index)) {
                let fits = builder.fits(block.sequence(index), block.time(index))
                    && builder.bytes() < bytes_max;
                if !fits && !builder.is_empty() {
                    built.push(Arc::new(std::mem::take(&mut builder).build()));
                }
                builder.copy(block, index);
            }
        }
        if !builder.is_empty() {
            built.push(Arc::new(builder.build()));
        }
        self.bytes += built.iter().map(|block| block.cost()).sum::<usize>();
        let after = self.blocks.split_off(range.end);
        self.blocks.truncate(range.start);
        self.blocks
            .extend(built.into_iter().map(|block| BlockState { live: block.len() as u32, block }));
        self.blocks.extend(after);
    }
}

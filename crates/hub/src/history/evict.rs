//! Eviction: drops the events beyond the retention, and keeps the rest compact.

use std::sync::Arc;

use smallvec::SmallVec;

use super::topics::LetGo;
use super::{Block, History, Kind, TopicKey};
use crate::cursor::Sequence;

/// Entries that one call looks at for their age at most, so that no publisher waits long.
const EXPIRE_ENTRIES_MAX: usize = 1024;

impl History {
    /// Brings the history within its limits after a run was appended, which stands in the last block
    /// from `at` on.
    pub(super) fn enforce(&mut self, at: usize) {
        self.topics.begin_eviction();
        if let Some(events_max) = self.retention.topic_events_max
            && let Some(block) = self.blocks.back().map(|back| Arc::clone(&back.block))
        {
            for &key in (at..block.len()).flat_map(|index| block.topics(index)) {
                while self.topics.get(key).is_some_and(|s| s.entries.len() > events_max.get()) {
                    self.evict_oldest_of(key);
                }
            }
        }
        // Topics that hold nothing any more may take a quarter of the budget.
        while self.bytes() > self.retention.bytes_max {
            let forget = self.topics.tombstone_bytes() > self.retention.bytes_max / 4;
            if !(forget && self.topics.forget_one()
                || self.evict_front_block()
                || self.topics.forget_one())
            {
                break;
            }
        }
        self.topics.finish_eviction();
    }

    /// Evicts events that are too old at `now` by the hub's steady clock, about a thousand at most; `true`
    /// if there are more.
    pub(crate) fn expire(&mut self, now: i64) -> bool {
        let Some(age_max) = self.retention.age_max else { return false };
        let through = self.ages.through(now, self.tail, age_max);
        if self.keeps {
            self.raise_floor(through);
        }
        let mut looked_at = 0;
        self.topics.begin_eviction();
        while let Some(front) = self.blocks.front().map(|state| Arc::clone(&state.block))
            && front.first() <= through
            && looked_at < EXPIRE_ENTRIES_MAX
        {
            looked_at += front.len();
            if front.last() <= through {
                self.evict_block();
                continue;
            }
            let dead: u32 = (0..front.len())
                .take_while(|&index| front.sequence(index) <= through)
                .map(|index| u32::from(self.evict_entry(&front, index)))
                .sum();
            self.blocks[0].live -= dead;
            break;
        }
        self.topics.finish_eviction();
        looked_at >= EXPIRE_ENTRIES_MAX
    }

    /// Notes that everything up to a place can no longer be read.
    pub(crate) fn raise_floor(&mut self, floor: Sequence) {
        if floor > self.losses.floor() {
            self.topics.begin_eviction();
            self.losses.raise_floor(floor, self.topics.stamp);
            self.topics.finish_eviction();
        }
    }

    /// Evicts the oldest block, but never the newest. It is no loss if the journal keeps it.
    fn evict_front_block(&mut self) -> bool {
        if self.blocks.len() < 2 {
            return false;
        }
        if self.keeps {
            self.release_block();
        } else {
            self.evict_block();
        }
        true
    }

    /// Lets go of the oldest block, whose entries the journal keeps.
    fn release_block(&mut self) {
        let Some(front) = self.blocks.pop_front() else { return };
        self.loose = self.loose.min(self.blocks.len());
        self.bytes -= front.block.cost();
        self.released_through = front.block.last();
        for index in 0..front.block.len() {
            self.release_to_journal(&front.block, index);
        }
    }

    /// Takes an entry from all its topics, whose readers find it in the journal.
    fn release_to_journal(&mut self, block: &Block, index: usize) {
        let sequence = block.sequence(index);
        let is_end = block.kind(index) != Kind::Event;
        let mut is_held = false;
        for &key in block.topics(index) {
            if self.topics.get(key).is_some_and(|state| state.holds(sequence)) {
                self.topics.pop(key, LetGo::Released { is_end });
                self.topics.settle(key);
                is_held = true;
            }
        }
        if is_end || !is_held {
            return;
        }
        self.events -= 1;
        // The topics that had evicted it count it as lost: nothing remembers that another topic still held
        // it.
        for &key in block.topics(index) {
            if let Some(at) = self.partly_evicted.remove(sequence, key) {
                self.topics.bury_event(key, sequence, at);
            }
        }
        if let Some(id) = block.given_id(index) {
            self.ids.remove(id, block.topics(index), sequence);
        }
    }

    fn evict_block(&mut self) {
        let Some(front) = self.blocks.pop_front() else { return };
        self.loose = self.loose.min(self.blocks.len());
        self.bytes -= front.block.cost();
        for index in 0..front.block.len() {
            self.evict_entry(&front.block, index);
        }
    }

    /// Takes the oldest entry there is from all its topics; `false` if none of them held it.
    fn evict_entry(&mut self, block: &Block, index: usize) -> bool {
        let sequence = block.sequence(index);
        let holds = |key: &&TopicKey| self.topics.get(**key).is_some_and(|s| s.holds(sequence));
        let holders: SmallVec<[TopicKey; 2]> =
            block.topics(index).iter().filter(holds).copied().collect();
        if holders.is_empty() {
            return false;
        }
        self.release_entry(block, index, &holders);
        self.forget_entry(block, index);
        true
    }

    /// Takes a topic's oldest entry from that topic alone.
    fn evict_oldest_of(&mut self, key: TopicKey) {
        let Some(sequence) = self.topics.get(key).and_then(|state| state.entries.first()) else {
            return;
        };
        let (at, index) = self.position_after(sequence.before());
        let block = Arc::clone(&self.blocks[at].block);
        self.release_entry(&block, index, &[key]);
        if self.is_live(&block, index) {
            self.partly_evicted.insert(sequence, key, self.topics.stamp);
            return;
        }
        self.forget_entry(&block, index);
        self.blocks[at].live -= 1;
        let live = self.blocks[at].live as usize;
        // Loose blocks are rewritten when they are packed.
        let is_loose = at >= self.blocks.len() - self.loose;
        if live == 0 {
            self.blocks.remove(at);
            self.bytes -= block.cost();
            self.loose -= usize::from(is_loose);
        } else if live * 2 < block.len() && !is_loose {
            self.compact(at);
        }
    }

    fn release_entry(&mut self, block: &Block, index: usize, holders: &[TopicKey]) {
        self.topics.count_evicted(holders.len());
        for &key in holders {
            let is_event = block.kind(index) == Kind::Event;
            self.topics.pop(key, if is_event { LetGo::Event } else { LetGo::End });
            self.topics.settle(key);
        }
    }

    /// Forgets an entry that no topic holds any more.
    fn forget_entry(&mut self, block: &Block, index: usize) {
        if block.kind(index) != Kind::Event {
            return;
        }
        let (sequence, now) = (block.sequence(index), self.topics.stamp);
        self.events -= 1;
        for &key in block.topics(index) {
            let before = self.partly_evicted.remove(sequence, key);
            self.topics.bury_event(key, sequence, before.unwrap_or(now));
        }
        if let Some(id) = block.given_id(index) {
            self.ids.remove(id, block.topics(index), sequence);
        }
    }

    pub(super) fn is_live(&self, block: &Block, index: usize) -> bool {
        let sequence = block.sequence(index);
        block
            .topics(index)
            .iter()
            .any(|&key| self.topics.get(key).is_some_and(|state| state.holds(sequence)))
    }
}

//! Eviction: drops the events beyond the retention, and keeps the rest compact.

use std::sync::Arc;

use smallvec::SmallVec;

use super::freed::Freed;
use super::late_losses::LateLoss;
use super::topics::LetGo;
use super::{Block, History, Kind, TopicKey};
use crate::cursor::Sequence;
use crate::journal::DroppedEntries;
use crate::topic::Topic;

/// Entries that one call looks at for their age at most, so that no publisher waits long.
const EXPIRE_ENTRIES_MAX: usize = 1024;

impl History {
    /// Brings the history within its limits after a run was appended, which stands in the last block
    /// from `at` on.
    pub(super) fn enforce(&mut self, at: usize) {
        self.topics.begin_eviction();
        if self.topics.rules().is_limiting()
            && let Some(block) = self.blocks.back().map(|back| Arc::clone(&back.block))
        {
            for &key in (at..block.len()).flat_map(|index| block.topics(index)) {
                // Each event is let go of once, so that a publish pays for as many as it adds; a large
                // one pays for small ones with its own bytes.
                while let Some(how) = self.topics.excess(key) {
                    self.evict_oldest_of(key, how);
                }
            }
        }
        // Topics that hold nothing any more may take a quarter of the budget.
        while self.bytes() > self.retention.bytes_max {
            let forget = self.topics.tombstone_bytes() > self.retention.bytes_max / 4;
            if !(forget && self.forget_topic() || self.evict_front_block() || self.forget_topic()) {
                break;
            }
        }
        self.topics.finish_eviction();
    }

    /// Forgets a topic that holds nothing; `false` if there is none.
    fn forget_topic(&mut self) -> bool {
        if self.keeps { self.topics.forget_kept_one() } else { self.topics.forget_one() }
    }

    /// Evicts events that are too old at `now` by the hub's steady clock, about a thousand at most; `true`
    /// if there are more.
    pub(crate) fn expire(&mut self, now: i64) -> bool {
        if !self.topics.rules().is_empty() {
            return self.expire_by_rules(now);
        }
        let Some(limit) = self.ages.last() else { return false };
        let through = self.ages.get_mut(limit).through(now, self.tail);
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

    /// Evicts what a topic holds up to a place, about a thousand entries at most; `true` if there is more.
    pub(crate) fn evict_topic_through(&mut self, topic: &Topic, through: Sequence) -> bool {
        let Some(key) = self.topics.find(topic) else { return false };
        let mut left = EXPIRE_ENTRIES_MAX;
        self.topics.begin_eviction();
        while left > 0
            && let Some(oldest) = self.topics.get(key).and_then(|state| state.entries.first())
            && oldest <= through
        {
            self.evict_oldest_of(key, LetGo::Event);
            left -= 1;
        }
        self.topics.finish_eviction();
        left == 0
    }

    /// Notes that the journal is about to free everything which a topic held up to `through`. `last` is the last entry that
    /// its readers should have been sent. The caller evicts what memory holds of it, and then
    /// [notes](History::note_freed) that it is done.
    pub(crate) fn note_freeing(&mut self, topic: &Topic, last: Sequence, through: Sequence) {
        let floor = self.floor();
        self.topics.begin_eviction();
        self.freed.note(topic, Freed { last, through, at: self.topics.stamp }, floor);
        self.topics.finish_eviction();
    }

    /// Notes that all of it is freed, in memory as well.
    pub(crate) fn note_freed(&mut self, topic: &Topic, last: Sequence, through: Sequence) {
        // Readers that were told while it went on may have been sent some of it.
        self.note_freeing(topic, last, through);
        if let Some(key) = self.topics.find(topic) {
            self.learn_freed(key, topic);
        }
    }

    /// Notes what was freed of a topic when that was not known, or just now.
    pub(super) fn learn_freed(&mut self, key: TopicKey, topic: &Topic) {
        if let Some(Freed { last, at, .. }) = self.freed.of(topic) {
            self.topics.note_evicted(key, last, at);
            self.topics.finish_eviction();
        }
    }

    /// The part of [`History::expire`] for topics of different limits: for each limit, it goes through the
    /// entries that have reached it, each of them once.
    fn expire_by_rules(&mut self, now: i64) -> bool {
        if self.keeps
            && let Some(last) = self.ages.last()
        {
            let through = self.ages.get_mut(last).through(now, self.tail);
            self.raise_floor(through);
        }
        let mut left = EXPIRE_ENTRIES_MAX;
        self.topics.begin_eviction();
        for limit in 0..self.ages.len() {
            let through = self.ages.get_mut(limit).through(now, self.tail);
            while self.ages.get_mut(limit).done_through < through && left > 0 {
                left -= 1;
                let done = self.ages.get_mut(limit).done_through;
                let (at, index) = self.position_after(done);
                let next = self.blocks.get(at).map(|state| Arc::clone(&state.block));
                let next = next.filter(|block| block.sequence(index) <= through);
                if let Some(block) = &next {
                    self.expire_entry(block, index, limit);
                }
                self.ages.get_mut(limit).done_through =
                    next.map_or(through, |block| block.sequence(index));
            }
        }
        self.topics.finish_eviction();
        left == 0
    }

    /// Takes an entry from the topics that have a limit on age. They have let go of all earlier ones.
    fn expire_entry(&mut self, block: &Block, index: usize, limit: usize) {
        let sequence = block.sequence(index);
        for &key in block.topics(index) {
            let is_due = self.topics.get(key).is_some_and(|state| {
                self.ages.of(state.past().rule()) == Some(limit)
                    && state.entries.first() == Some(sequence)
            });
            if is_due {
                self.evict_oldest_of(key, LetGo::Event);
            }
        }
    }

    /// Notes that the journal has dropped everything up to a place.
    pub(crate) fn drop_through(
        &mut self,
        oldest: Sequence,
        dropped: Option<Arc<dyn DroppedEntries>>,
    ) {
        self.dropped = dropped.map(|dropped| (oldest, dropped));
        self.raise_floor(oldest);
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
        self.bury_late_losses(sequence);
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
        let how = match block.kind(index) {
            Kind::Event => LetGo::Event,
            Kind::Close => LetGo::End,
            Kind::End => LetGo::StreamEnd,
            Kind::Mark | Kind::SilentEnd => LetGo::Mark,
        };
        self.release_entry(&holders, how);
        self.forget_entry(block, index, &holders);
        true
    }

    /// Takes a topic's oldest entry from that topic alone. `how` is how it lets go of an event.
    pub(super) fn evict_oldest_of(&mut self, key: TopicKey, how: LetGo) {
        let Some(sequence) = self.topics.get(key).and_then(|state| state.entries.first()) else {
            return;
        };
        let (at, index) = self.position_after(sequence.before());
        let block = Arc::clone(&self.blocks[at].block);
        // No rule is about ends, so that a journal has not dropped them.
        let how = match (block.kind(index), self.keeps) {
            (Kind::Event, _) => how,
            (_, true) => LetGo::Released { is_end: true },
            (Kind::Close, false) => LetGo::End,
            (Kind::End, false) if how == LetGo::Event => LetGo::StreamEnd,
            (_, false) => LetGo::Mark,
        };
        self.release_entry(&[key], how);
        let is_lost = matches!(how, LetGo::Event | LetGo::StreamEnd);
        if how == LetGo::Superseded && block.topics(index).len() > 1 {
            self.note_late_losses(key, sequence);
        }
        if self.is_live(&block, index) {
            if is_lost {
                self.partly_evicted.insert(sequence, key, self.topics.stamp);
            }
            return;
        }
        let losers = if is_lost { std::slice::from_ref(&key) } else { &[] };
        self.forget_entry(&block, index, losers);
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

    /// Notes that views of the topic, which superseded an event just now, lose it if other topics had evicted it.
    fn note_late_losses(&mut self, superseded_in: TopicKey, sequence: Sequence) {
        for evicted_from in self.partly_evicted.of(sequence) {
            let loss = LateLoss { sequence, superseded_in, evicted_from };
            self.late_losses.insert(loss, self.topics.stamp);
        }
    }

    /// Keeps of the late losses of an event that no topic holds any more what readers may still have to be told.
    fn bury_late_losses(&mut self, sequence: Sequence) {
        self.late_losses.bury_event(sequence);
        let now = self.topics.stamp;
        while let Some(loss) = self.late_losses.pop_excess(now) {
            // Some readers are told of it again.
            self.topics.bury_event(loss.evicted_from, loss.sequence, now);
        }
    }

    fn release_entry(&mut self, holders: &[TopicKey], how: LetGo) {
        self.topics.count_evicted(holders.len());
        for &key in holders {
            self.topics.pop(key, how);
            self.topics.settle(key);
        }
    }

    /// Forgets an entry that no topic holds any more; some topics have lost it just now.
    fn forget_entry(&mut self, block: &Block, index: usize, losers: &[TopicKey]) {
        let (sequence, now) = (block.sequence(index), self.topics.stamp);
        match block.kind(index) {
            Kind::Event => self.events -= 1,
            Kind::End => {
                return losers.iter().for_each(|&key| self.topics.bury_event(key, sequence, now));
            }
            Kind::Close | Kind::Mark | Kind::SilentEnd => return,
        }
        self.bury_late_losses(sequence);
        for &key in block.topics(index) {
            // A topic in which a newer event superseded it has not lost it.
            let before = self.partly_evicted.remove(sequence, key);
            if let Some(at) = before.or(losers.contains(&key).then_some(now)) {
                self.topics.bury_event(key, sequence, at);
            }
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

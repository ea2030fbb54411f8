//! Changes of the rules of topics while the history is in use.

use super::age_limits::AgeLimits;
use super::ages::Ages;
use super::counts::Counts;
use super::sizes::{ENTRY_BYTES, Sizes};
use super::topic_state::{HeldByRule, TopicState};
use super::topics::LetGo;
use super::{Block, Held, History, Kind, TOPICS_OF_A_LOOK, TopicKey};
use crate::cursor::Sequence;
use crate::retention::{Retention, TopicLimits};
use crate::time::Time;

/// Entries that one call lets go of at most, so that no publisher waits long.
const EVICTED_MAX: usize = 1024;

impl History {
    /// Puts other limits of topics in force, and returns the number of the change. Topics that are known have their
    /// old limits until [`History::change_some_rules`] comes to them. `appended_at` tells when an entry of a commit
    /// time was appended, in milliseconds of the hub's steady clock.
    pub(crate) fn begin_rule_change(
        &mut self,
        retention: &Retention,
        appended_at: impl Fn(Time) -> i64,
    ) -> u64 {
        let Self { ages, topics, blocks, .. } = self;
        let change = topics.rules_mut().change(retention);
        ages.change(topics.rules(), |age_max| {
            let mut ages = Ages::default();
            for block in blocks.iter().map(|state| &state.block) {
                for index in 0..block.len() {
                    ages.note(block.sequence(index), appended_at(block.time(index)), age_max);
                }
            }
            ages
        });
        // Events that the journal alone has were counted by the old limits.
        self.counts = Counts::default();
        change
    }

    /// Brings some topics, from a slot on, within the limits that are in force. Returns where to go on.
    pub(crate) fn change_some_rules(&mut self, from: usize) -> Option<usize> {
        let (states, next) = self.topics.some(from, TOPICS_OF_A_LOOK);
        let keys: Vec<TopicKey> = states.map(|(key, _)| key).collect();
        let mut left = EVICTED_MAX;
        self.topics.begin_eviction();
        for key in keys {
            self.change_rule(key);
            while let Some(how) = self.excess_or_age(key)
                && left > 0
            {
                self.evict_oldest_of(key, how);
                left -= 1;
            }
            if left == 0 {
                self.topics.finish_eviction();
                return Some(key.slot() as usize);
            }
        }
        self.topics.finish_eviction();
        next
    }

    /// Forgets the old limits: no topic has them any more.
    pub(crate) fn finish_rule_change(&mut self, change: u64) {
        let Self { ages, topics, .. } = self;
        if topics.rules_mut().finish_change(change) {
            AgeLimits::change(ages, topics.rules(), |_| Ages::default());
        }
    }

    fn change_rule(&mut self, key: TopicKey) {
        let Some(state) = self.topics.get(key) else { return };
        let rules = self.topics.rules();
        let rule = rules.find(state.name.as_str());
        if rule != state.past().rule() {
            let held = self.held_by_rule(state, rules.limits(rule));
            self.topics.set_rule(key, rule, held);
        }
    }

    /// How a topic lets go of its oldest entry to come within its limits.
    fn excess_or_age(&self, key: TopicKey) -> Option<LetGo> {
        let is_too_old = || {
            let state = self.topics.get(key)?;
            let limit = self.ages.get(self.ages.of(state.past().rule())?);
            // The topics that had the limit before have been gone through up to there.
            let oldest = state.entries.first()?;
            (oldest <= limit.done_through).then_some(LetGo::Event)
        };
        self.topics.excess(key).or_else(is_too_old)
    }

    fn held_by_rule(&self, state: &TopicState, limits: &TopicLimits) -> HeldByRule {
        let newest_first = || (0..state.entries.len()).rev().filter_map(|at| state.entries.get(at));
        let is_event = |sequence: &Sequence| {
            let Held { block, index } = self.held(*sequence);
            block.kind(index) == Kind::Event
        };
        let newest_event = newest_first().find(is_event).unwrap_or_default();
        let sizes = limits.bytes_max.map(|bytes_max| {
            let mut left = bytes_max.get();
            let sizes = newest_first().map(|sequence| {
                // Those before the first one that is too many are let go of, whatever their size.
                let size = if left == 0 { 0 } else { self.size_of(sequence) };
                left = left.saturating_sub(size as usize);
                size
            });
            let sizes: Vec<u32> = sizes.collect();
            let mut list = Sizes::default();
            sizes.into_iter().rev().for_each(|size| list.push_size(size));
            list
        });
        HeldByRule { newest_event, sizes }
    }

    /// The size of an entry that is held, as a limit counts it. A line end in its data counts as one byte.
    fn size_of(&self, sequence: Sequence) -> u32 {
        let Held { block, index } = self.held(sequence);
        if block.kind(index) != Kind::Event {
            return 0;
        }
        let names = block.topics(index).iter().filter_map(|&key| self.topics.get(key));
        let names = names.map(|state| state.name.as_str().len()).sum::<usize>();
        u32::try_from(ENTRY_BYTES + names + text_bytes(block, index)).unwrap_or(u32::MAX)
    }
}

/// Bytes of an event's data, type and publisher-given ID.
fn text_bytes(block: &Block, index: usize) -> usize {
    let (mut data, mut event_type) = (0, 0);
    for line in block.frame(index).split(|&byte| byte == b'\n') {
        if let Some(value) = line.strip_prefix(b"data: ") {
            data += value.len() + 1;
        } else if let Some(value) = line.strip_prefix(b"event: ") {
            event_type = value.len();
        }
    }
    data.saturating_sub(1) + event_type + block.given_id(index).map_or(0, str::len)
}

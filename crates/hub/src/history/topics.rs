//! The topics a history knows, by name and by number.

mod tombstones;

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;

use super::TopicKey;
use super::cost::tree_entry_bytes;
use super::group_list::GroupList;
use super::name_order::NameOrder;
use super::patterns::{Group, GroupKey};
use super::rules::{RuleNumber, Rules};
use super::slots::Slots;
use super::split_table::SplitTable;
use super::topic_groups::TopicGroups;
use super::topic_state::{EvictionStamp, HeldByRule, Past, TopicState};
use crate::cursor::Sequence;
use crate::filter::Pattern;
use crate::journal::Entry;
use crate::topic::Topic;

/// A topic with a new entry.
pub(super) struct Pushed<'a> {
    pub(super) key: TopicKey,
    /// The topic's entry before it.
    pub(super) previous: Sequence,
    /// The groups that match the topic.
    pub(super) groups: GroupList,
    pub(super) state: &'a mut TopicState,
}

/// All topics, by name and by number.
#[derive(Default)]
pub(super) struct TopicTable {
    slots: Slots,
    /// The slots, by the names of the topics in them.
    names: SplitTable<u32>,
    hasher: RandomState,
    /// The slots of topics that have, or have had, entries, by name.
    order: NameOrder,
    groups: TopicGroups,
    rules: Rules,
    /// The loss that an unknown topic may have had.
    unknown: Arc<Past>,
    /// The newest entry of an unknown topic that may be kept by the journal alone.
    unknown_released: Sequence,
    /// Earlier such losses, which topics without a loss of their own still share.
    shared_pasts: usize,
    /// Topics with events that no topic holds any more, by the latest eviction of one.
    deaths: BTreeSet<(EvictionStamp, TopicKey)>,
    /// Topics whose place among them the eviction under way has changed.
    dying: Vec<TopicKey>,
    /// Topics with a loss that hold nothing and have no readers: kept so that no reader is told of a gap
    /// that is none.
    tombstones: BTreeSet<(Sequence, TopicKey)>,
    tombstone_bytes: usize,
    pub(super) stamp: EvictionStamp,
    /// Entries that topics have evicted with this stamp.
    evicted: usize,
    /// Bytes that the topics cost by themselves.
    bytes: usize,
    /// Vacant slots of topics that were charged to the history.
    vacant: usize,
}

/// Evicted entries that one stamp stands for at most. A reader looks at all of them at once.
const STAMP_ENTRIES: usize = 1024;

/// How a topic lets go of its oldest entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LetGo {
    /// An event is lost to its readers.
    Event,
    /// A newer event stands for it, so its readers miss nothing.
    Superseded,
    /// An end of the topic's streams, which is no loss.
    End,
    /// A mark of the topic's stream, which is no loss.
    Mark,
    /// The end of the topic's stream, which its readers should have been sent.
    StreamEnd,
    /// The journal keeps the entry; it may be an end or a mark.
    Released { is_end: bool },
}

impl TopicTable {
    /// Creates a table of no topics, whose entries up to `released` the journal may keep.
    pub(super) fn new(released: Sequence, rules: Rules) -> Self {
        Self { unknown_released: released, rules, ..Self::default() }
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(super) fn rules_mut(&mut self) -> &mut Rules {
        &mut self.rules
    }

    /// Gives a topic another rule. The caller applies it.
    pub(super) fn set_rule(&mut self, key: TopicKey, rule: Option<RuleNumber>, held: HeldByRule) {
        self.unbury(key);
        let Some(state) = self.slots.get_mut(key) else { return };
        self.bytes -= state.bytes();
        let released = self.unknown_released;
        let past = own_past(&self.unknown, released, &mut self.shared_pasts, &mut state.past);
        past.set_rule(rule, held);
        self.shared_pasts += usize::from(is_last_to_share(&self.unknown, &state.past));
        self.bytes += state.bytes();
        self.settle(key);
    }

    /// The newest entry of a topic that the journal alone keeps, as far as is known: there may be none.
    pub(super) fn released_through(&self, key: TopicKey) -> Sequence {
        let past = self.get(key).map(|state| state.past());
        past.filter(|past| past.is_own())
            .map_or(self.unknown_released, |past| past.released_through)
    }

    pub(super) fn find(&self, name: &Topic) -> Option<TopicKey> {
        self.find_hashed(name, self.hash(name))
    }

    fn find_hashed(&self, name: &Topic, hash: u64) -> Option<TopicKey> {
        let mut found = None;
        self.names.find(hash, |&slot| {
            let topic = self.slots.at(slot).filter(|(_, state)| state.name == *name);
            found = topic.map(|(key, _)| key);
            found.is_some()
        });
        found
    }

    fn hash(&self, name: &Topic) -> u64 {
        hash_of(&self.hasher, name)
    }

    /// Bytes that everything here costs.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
            + (self.deaths.len() + self.dying.len()) * DEATH_BYTES
            + self.tombstones.len() * TOMBSTONE_BYTES
            + self.shared_pasts * Past::BYTES
            + self.vacant * Slots::SLOT_BYTES
            + self.order.bytes()
            + self.groups.bytes()
    }

    fn find_or_create(&mut self, name: &Topic) -> TopicKey {
        let hash = self.hash(name);
        if let Some(key) = self.find_hashed(name, hash) {
            return key;
        }
        let slots = &mut self.slots;
        let past = match self.rules.find(name.as_str()) {
            None => Arc::clone(&self.unknown),
            rule => Arc::new(self.unknown.with_rule(rule, self.unknown_released)),
        };
        let key = slots.insert(|key| TopicState::new(key, name.clone(), past));
        self.vacant = self.vacant.min(slots.vacant());
        let rehash =
            |slot: &u32| slots.at(*slot).map_or(0, |(_, state)| hash_of(&self.hasher, &state.name));
        self.names.insert(hash, key.slot(), rehash);
        key
    }

    pub(super) fn get(&self, key: TopicKey) -> Option<&TopicState> {
        self.slots.get(key)
    }

    pub(super) fn get_mut(&mut self, key: TopicKey) -> Option<&mut TopicState> {
        self.slots.get_mut(key)
    }

    /// The topics in `count` slots from one on, and where to go on.
    pub(super) fn some(
        &self,
        from: usize,
        count: usize,
    ) -> (impl Iterator<Item = (TopicKey, &TopicState)>, Option<usize>) {
        self.slots.some(from, count)
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The newest event that a topic no longer known has lost.
    pub(super) fn forgotten_through(&self) -> Sequence {
        self.unknown.evicted_through
    }

    pub(super) fn forgotten_at(&self) -> EvictionStamp {
        self.unknown.evicted_at
    }

    /// Counts a reader that names the topic.
    pub(super) fn hold(&mut self, name: &Topic) -> TopicKey {
        let key = self.find_or_create(name);
        self.unbury(key);
        if let Some(state) = self.slots.get_mut(key) {
            state.holders += 1;
        }
        key
    }

    /// Takes back a [`TopicTable::hold`].
    pub(super) fn release(&mut self, key: TopicKey) {
        if let Some(state) = self.slots.get_mut(key) {
            state.holders -= 1;
            if state.holders == 0 {
                // Nobody is in it: subscribers leave the list before their reader goes.
                state.watchers = None;
            }
            self.settle(key);
        }
    }

    /// Counts a view that has the pattern.
    pub(super) fn hold_pattern(&mut self, pattern: &Pattern) -> GroupKey {
        self.groups.patterns.hold(pattern)
    }

    /// Takes back a [`TopicTable::hold_pattern`].
    pub(super) fn release_pattern(&mut self, key: GroupKey) {
        self.groups.patterns.release(key);
    }

    /// The views that have a topic by a pattern, each as often as it has patterns that match.
    pub(super) fn readers_by_pattern(&self, name: &Topic) -> usize {
        let patterns = &self.groups.patterns;
        let groups = patterns.matching(name.as_str()).into_iter();
        groups.filter_map(|key| patterns.get(key)).map(Group::holders).sum()
    }

    pub(super) fn group(&self, key: GroupKey) -> Option<&Group> {
        self.groups.patterns.get(key)
    }

    pub(super) fn group_mut(&mut self, key: GroupKey) -> Option<&mut Group> {
        self.groups.patterns.get_mut(key)
    }

    /// Puts a new entry at the end of the topic's list.
    pub(super) fn push(&mut self, name: &Topic, entry: &Entry) -> Pushed<'_> {
        let key = self.find_or_create(name);
        let was_empty = self.slots.get(key).is_some_and(|state| state.entries.is_empty());
        if was_empty {
            self.unbury(key);
        }
        let state = self.slots.get_mut(key).expect("it has just been found or made");
        let previous = state.newest();
        self.bytes -= state.bytes();
        state.entries.push(entry.sequence);
        if state.past.rule().is_some() {
            let limits = self.rules.limits(state.past.rule());
            Arc::make_mut(&mut state.past).note_new(entry, limits);
        }
        self.bytes += state.bytes();
        if was_empty {
            self.put_in_order(key);
        }
        let state = self.slots.get_mut(key).expect("it has just been found or made");
        let groups = self.groups.of(name.as_str(), &mut state.groups);
        Pushed { key, previous, groups, state }
    }

    /// Puts a topic that has or has had entries where a pattern finds it.
    fn put_in_order(&mut self, key: TopicKey) {
        let Some(state) = self.slots.get(key) else { return };
        self.order.insert(key.slot(), |slot| is_before(&self.slots, slot, state.name.as_str()));
    }

    /// Shows the topics with entries that a pattern matches until `visit` has seen enough. `asked` counts
    /// the topics looked at, `asked_max` at most; `false` if there are more.
    pub(super) fn find_matching(
        &self,
        pattern: &Pattern,
        asked: &mut usize,
        asked_max: usize,
        mut visit: impl FnMut(TopicKey) -> bool,
    ) -> bool {
        let text = pattern.as_str();
        let prefix = &text[..text.find('*').unwrap_or(text.len())];
        let slots = self.order.from(|slot| is_before(&self.slots, slot, prefix));
        let named = |slot| self.slots.at(slot).map(|(key, state)| (key, state.name.as_str()));
        let has_prefix = |&(_, name): &(TopicKey, &str)| name.starts_with(prefix);
        let beyond = slots.clone().nth(asked_max.saturating_sub(*asked)).and_then(named);
        if beyond.as_ref().is_some_and(has_prefix) {
            *asked += 1;
            return false;
        }
        slots.filter_map(named).take_while(has_prefix).all(|(key, name)| {
            *asked += 1;
            !pattern.matches(name) || visit(key)
        })
    }

    /// The newest entry of an unknown topic that the journal alone may keep.
    pub(super) fn unknown_released(&self) -> Sequence {
        self.unknown_released
    }

    /// Notes that an entry of the topic ended its streams.
    pub(super) fn note_end(&mut self, key: TopicKey, sequence: Sequence) {
        if let Some(state) = self.slots.get_mut(key) {
            self.bytes -= state.bytes();
            let released = self.unknown_released;
            let past = own_past(&self.unknown, released, &mut self.shared_pasts, &mut state.past);
            past.ended_through = sequence;
            past.ends_held += 1;
            self.bytes += state.bytes();
        }
    }

    /// Notes that an entry of the topic is a mark of its stream, and no event.
    pub(super) fn note_mark(&mut self, key: TopicKey) {
        if let Some(state) = self.slots.get_mut(key) {
            self.bytes -= state.bytes();
            let released = self.unknown_released;
            let past = own_past(&self.unknown, released, &mut self.shared_pasts, &mut state.past);
            past.ends_held += 1;
            self.bytes += state.bytes();
        }
    }

    /// Notes an entry, found in the journal, that ended the topic's streams.
    pub(super) fn note_released_end(&mut self, key: TopicKey, sequence: Sequence) {
        if let Some(state) = self.slots.get_mut(key) {
            self.bytes -= state.bytes();
            let released = self.unknown_released;
            let past = own_past(&self.unknown, released, &mut self.shared_pasts, &mut state.past);
            past.ended_through = past.ended_through.max(sequence);
            past.let_go_through = past.let_go_through.max(sequence);
            self.bytes += state.bytes();
        }
    }

    /// How the topic lets go of its oldest event to come within its limits; `None` if it is within them.
    pub(super) fn excess(&self, key: TopicKey) -> Option<LetGo> {
        let state = self.get(key)?;
        let (events, limits) = (state.events(), self.rules.limits(state.past.rule()));
        if limits.latest_only && events > 1 {
            return Some(LetGo::Superseded);
        }
        let is_beyond = limits.events_max.is_some_and(|max| events > max.get())
            || limits.bytes_max.is_some_and(|max| events > 1 && state.past.size() > max.get());
        is_beyond.then_some(LetGo::Event)
    }

    /// Takes the oldest entry out of the topic's list. The caller settles the topic.
    pub(super) fn pop(&mut self, key: TopicKey, how: LetGo) {
        let Some(state) = self.slots.get_mut(key) else { return };
        let before = state.bytes();
        let Some(sequence) = state.entries.pop() else { return };
        let released = self.unknown_released;
        let past = own_past(&self.unknown, released, &mut self.shared_pasts, &mut state.past);
        past.let_go_through = sequence;
        past.forget_oldest_size();
        match how {
            LetGo::Event => (past.evicted_through, past.evicted_at) = (sequence, self.stamp),
            LetGo::Superseded => {}
            LetGo::End => {
                past.evicted_end = sequence;
                past.ends_held -= 1;
            }
            LetGo::Mark => past.ends_held -= 1,
            LetGo::StreamEnd => {
                (past.evicted_through, past.evicted_at) = (sequence, self.stamp);
                past.ends_held -= 1;
            }
            LetGo::Released { is_end } => {
                past.released_through = sequence;
                past.ends_held -= u32::from(is_end);
            }
        }
        self.bytes = self.bytes + state.bytes() - before;
    }

    /// Notes that the topic lost everything up to an entry at some moment. It holds nothing of that.
    pub(super) fn note_evicted(&mut self, key: TopicKey, sequence: Sequence, at: EvictionStamp) {
        self.unbury(key);
        let Some(state) = self.slots.get_mut(key) else { return };
        if sequence > state.past.evicted_through {
            self.bytes -= state.bytes();
            let released = self.unknown_released;
            let past = own_past(&self.unknown, released, &mut self.shared_pasts, &mut state.past);
            (past.evicted_through, past.evicted_at) = (sequence, at.max(past.evicted_at));
            past.let_go_through = past.let_go_through.max(sequence);
            self.bytes += state.bytes();
            self.put_in_order(key);
            self.bury_event(key, sequence, at);
        }
        self.settle(key);
    }

    /// Begins an eviction: what it takes is newer than everything told so far.
    pub(super) fn begin_eviction(&mut self) {
        self.stamp = self.stamp.next();
        self.evicted = 0;
    }

    /// Counts an entry that is evicted from so many topics.
    pub(super) fn count_evicted(&mut self, topics: usize) {
        if self.evicted >= STAMP_ENTRIES {
            self.begin_eviction();
        }
        self.evicted += topics;
    }

    /// Puts the topics that lost something in their order.
    pub(super) fn finish_eviction(&mut self) {
        if self.dying.is_empty() {
            return;
        }
        for key in self.dying.drain(..) {
            if let Some(state) = self.slots.get(key) {
                self.deaths.insert((state.past.dead_at, key));
            }
        }
        self.dying.shrink_to(STAMP_ENTRIES);
    }
}

const DEATH_BYTES: usize = tree_entry_bytes::<(EvictionStamp, TopicKey)>();
const TOMBSTONE_BYTES: usize = tree_entry_bytes::<(Sequence, TopicKey)>();

/// The past of a topic that is about to have one of its own.
fn own_past<'a>(
    unknown: &Arc<Past>,
    unknown_released: Sequence,
    shared_pasts: &mut usize,
    past: &'a mut Arc<Past>,
) -> &'a mut Past {
    *shared_pasts -= usize::from(is_last_to_share(unknown, past));
    let is_own = past.is_own();
    let past = Arc::make_mut(past);
    if !is_own {
        past.released_through = unknown_released;
    }
    past
}

/// Returns whether a topic's past is an earlier loss of unknown topics that no other topic shares.
fn is_last_to_share(unknown: &Arc<Past>, past: &Arc<Past>) -> bool {
    !past.is_own() && !Arc::ptr_eq(past, unknown) && Arc::strong_count(past) == 1
}

/// Returns whether the topic in a slot comes before a name.
fn is_before(slots: &Slots, slot: u32, name: &str) -> bool {
    slots.at(slot).is_some_and(|(_, state)| state.name.as_str() < name)
}

/// Hashes with random keys, because names may be chosen by an attacker, and without the end mark that
/// `str` adds.
fn hash_of(hasher: &RandomState, name: &Topic) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(name.as_str().as_bytes());
    hasher.finish()
}

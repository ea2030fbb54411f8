//! Patterns: the groups of readers with equal patterns, and the groups that match a topic.
//!
//! A tree of segments finds the groups of a topic in time that depends on the topic's segments and on the
//! groups that match, not on how many patterns there are.

use std::hash::{BuildHasher as _, RandomState};
use std::num::NonZeroU32;
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::marks::Marks;
use super::split_table::SplitTable;
use crate::filter::Pattern;
use crate::watch::WatchList;

/// A group's number: never reused within a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey {
    slot: u32,
    version: NonZeroU32,
}

/// The readers of one pattern.
pub(super) struct Group {
    pub(super) watchers: Option<Arc<WatchList>>,
    pub(super) marks: Marks,
    /// Views that have the pattern.
    holders: u32,
    /// The node at which its pattern ends.
    node: u32,
}

impl Group {
    /// Views that have the pattern.
    pub(super) fn holders(&self) -> usize {
        self.holders as usize
    }
}

/// All patterns that readers have, each once.
#[derive(Default)]
pub(super) struct Patterns {
    groups: Vec<Slot>,
    vacant_groups: Vec<u32>,
    held: usize,
    /// Node 0 is the root, from the first pattern on.
    nodes: Vec<Node>,
    vacant_nodes: Vec<u32>,
    /// The nodes but the root, by parent and segment.
    children: SplitTable<u32>,
    hasher: RandomState,
    /// How often a group was added.
    additions: u32,
}

struct Slot {
    version: NonZeroU32,
    group: Option<Group>,
}

/// A shared beginning of patterns, up to one of their segments.
#[derive(Default)]
struct Node {
    parent: u32,
    segment: Box<str>,
    /// The node whose segment is `*`, which any segment of a topic matches.
    any: Option<NonZeroU32>,
    /// The group of the pattern that ends here.
    end: Option<GroupKey>,
    /// The group of the pattern that ends here but for a last `**`.
    rest: Option<GroupKey>,
    children: u32,
}

/// The groups that match a topic.
pub(super) type Matching = SmallVec<[GroupKey; 4]>;

const ANY: &str = "*";
const REST: &str = "**";
const ROOT: u32 = 0;

impl Patterns {
    /// Returns whether no reader has a pattern.
    pub(super) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Counts the groups that were added. Groups found before the latest addition may be too few; those
    /// removed since are no longer [found](Patterns::get). It stops at the largest number, from which on
    /// groups must be found anew each time.
    pub(super) fn additions(&self) -> u32 {
        self.additions
    }

    pub(super) fn get(&self, key: GroupKey) -> Option<&Group> {
        let slot = self.groups.get(key.slot as usize)?;
        slot.group.as_ref().filter(|_| slot.version == key.version)
    }

    pub(super) fn get_mut(&mut self, key: GroupKey) -> Option<&mut Group> {
        let slot = self.groups.get_mut(key.slot as usize)?;
        slot.group.as_mut().filter(|_| slot.version == key.version)
    }

    /// Counts a view that has the pattern.
    pub(super) fn hold(&mut self, pattern: &Pattern) -> GroupKey {
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        let (path, has_rest) = parts(pattern);
        let node = path.fold(ROOT, |node, segment| self.child_or_new(node, segment));
        let key = match *self.end_of(node, has_rest) {
            Some(key) => key,
            None => {
                let key = self.add_group(node);
                *self.end_of(node, has_rest) = Some(key);
                key
            }
        };
        if let Some(group) = self.get_mut(key) {
            group.holders += 1;
        }
        key
    }

    /// Takes back a [`Patterns::hold`].
    pub(super) fn release(&mut self, key: GroupKey) {
        let Some(group) = self.get_mut(key) else { return };
        group.holders -= 1;
        if group.holders > 0 {
            return;
        }
        let node = group.node;
        let slot = &mut self.groups[key.slot as usize];
        slot.group = None;
        self.held -= 1;
        // Out of versions: never used again, which costs one slot for four billion groups.
        if let Some(version) = slot.version.checked_add(1) {
            slot.version = version;
            self.vacant_groups.push(key.slot);
        }
        let ends = &mut self.nodes[node as usize];
        for end in [&mut ends.end, &mut ends.rest] {
            end.take_if(|end| *end == key);
        }
        self.prune(node);
    }

    /// Finds the groups whose patterns match a topic.
    pub(super) fn matching(&self, name: &str) -> Matching {
        let mut found = Matching::new();
        if self.is_empty() {
            return found;
        }
        let mut nodes: SmallVec<[u32; 8]> = smallvec![ROOT];
        let mut next = SmallVec::<[u32; 8]>::new();
        for segment in name.split('/') {
            for &node in &nodes {
                let at = &self.nodes[node as usize];
                found.extend(at.rest);
                next.extend(at.any.map(NonZeroU32::get));
                if at.children > 0 {
                    next.extend(self.child(node, segment));
                }
            }
            std::mem::swap(&mut nodes, &mut next);
            next.clear();
            if nodes.is_empty() {
                return found;
            }
        }
        found.extend(nodes.iter().filter_map(|&node| self.nodes[node as usize].end));
        found
    }

    fn add_group(&mut self, node: u32) -> GroupKey {
        self.held += 1;
        self.additions = self.additions.saturating_add(1);
        let group = Some(Group { watchers: None, marks: Marks::default(), holders: 0, node });
        if let Some(slot) = self.vacant_groups.pop() {
            let place = &mut self.groups[slot as usize];
            place.group = group;
            return GroupKey { slot, version: place.version };
        }
        let key = GroupKey { slot: self.groups.len() as u32, version: NonZeroU32::MIN };
        self.groups.push(Slot { version: key.version, group });
        key
    }

    fn end_of(&mut self, node: u32, has_rest: bool) -> &mut Option<GroupKey> {
        let node = &mut self.nodes[node as usize];
        if has_rest { &mut node.rest } else { &mut node.end }
    }

    fn hash(&self, parent: u32, segment: &str) -> u64 {
        // Random keys, because segments may be chosen by an attacker.
        self.hasher.hash_one((parent, segment))
    }

    /// The child for a segment of a topic, in which `*` is no wildcard.
    fn child(&self, parent: u32, segment: &str) -> Option<u32> {
        let is_it = |&node: &u32| {
            let node = &self.nodes[node as usize];
            node.parent == parent && *node.segment == *segment
        };
        self.children.find(self.hash(parent, segment), is_it).copied()
    }

    fn child_or_new(&mut self, parent: u32, segment: &str) -> u32 {
        let found = match segment {
            ANY => self.nodes[parent as usize].any.map(NonZeroU32::get),
            _ => self.child(parent, segment),
        };
        if let Some(found) = found {
            return found;
        }
        let node = Node { parent, segment: segment.into(), ..Node::default() };
        let key = match self.vacant_nodes.pop() {
            Some(key) => {
                self.nodes[key as usize] = node;
                key
            }
            None => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as u32
            }
        };
        if segment == ANY {
            self.nodes[parent as usize].any = NonZeroU32::new(key);
            return key;
        }
        self.nodes[parent as usize].children += 1;
        let hash = self.hash(parent, segment);
        let (nodes, hasher) = (&self.nodes, &self.hasher);
        self.children.insert(hash, key, |&node| hash_of(nodes, hasher, node));
        key
    }

    /// Removes a node that no pattern needs any more, and those above it.
    fn prune(&mut self, mut node: u32) {
        loop {
            let at = &mut self.nodes[node as usize];
            let is_needed = at.children > 0 || at.any.is_some() || at.end.is_some();
            if node == ROOT || is_needed || at.rest.is_some() {
                return;
            }
            let parent = at.parent;
            if *at.segment == *ANY {
                self.nodes[parent as usize].any = None;
            } else {
                let hash = self.hash(parent, &self.nodes[node as usize].segment);
                self.nodes[parent as usize].children -= 1;
                let (nodes, hasher) = (&self.nodes, &self.hasher);
                self.children.remove(
                    hash,
                    |&child| child == node,
                    |&node| hash_of(nodes, hasher, node),
                );
            }
            self.nodes[node as usize].segment = Box::default();
            self.vacant_nodes.push(node);
            node = parent;
        }
    }
}

fn hash_of(nodes: &[Node], hasher: &RandomState, node: u32) -> u64 {
    let node = &nodes[node as usize];
    hasher.hash_one((node.parent, &*node.segment))
}

/// The segments of a pattern without a last `**`, and whether it has one.
fn parts(pattern: &Pattern) -> (impl Iterator<Item = &str>, bool) {
    let text = pattern.as_str();
    let has_rest = text == REST || text.ends_with("/**");
    let path = text.split('/').take_while(|segment| *segment != REST);
    (path, has_rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::TopicFilter;

    fn pattern(text: &str) -> Pattern {
        match TopicFilter::pattern(text).unwrap() {
            TopicFilter::Pattern(pattern) => pattern,
            TopicFilter::Exact(_) => panic!("{text} has no wildcard"),
        }
    }

    const TEXTS: [&str; 12] = [
        "**", "*", "a/*", "a/**", "*/b", "*/*", "*/**", "a/*/c", "a/b/*", "a/b/**", "*/b/**", "/*",
    ];
    const NAMES: [&str; 10] = ["a", "b", "a/b", "a/b/c", "a/x/c", "a/", "/", "/b", "*", "a/*/c/d"];

    #[test]
    fn a_topic_finds_the_groups_whose_pattern_matches_it_and_no_other() {
        let mut patterns = Patterns::default();
        let mut held: Vec<(&str, GroupKey)> = Vec::new();
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..2_000 {
            let text = TEXTS[rng.usize(..TEXTS.len())];
            if rng.bool() {
                held.push((text, patterns.hold(&pattern(text))));
            } else if !held.is_empty() {
                patterns.release(held.swap_remove(rng.usize(..held.len())).1);
            }
            let name = NAMES[rng.usize(..NAMES.len())];
            let mut expected: Vec<_> =
                held.iter().filter(|(text, _)| pattern(text).matches(name)).collect();
            expected.sort_unstable();
            expected.dedup();
            let found = patterns.matching(name);
            assert_eq!(found.len(), expected.len(), "{name} among {held:?}");
            assert!(expected.iter().all(|(_, key)| found.contains(key)), "{name} among {held:?}");
        }
        held.drain(..).for_each(|(_, key)| patterns.release(key));
        assert!(patterns.is_empty());
        assert_eq!(patterns.nodes.len() - 1, patterns.vacant_nodes.len(), "nodes are left");
    }

    #[test]
    fn equal_patterns_are_one_group_and_a_number_is_not_used_again() {
        let mut patterns = Patterns::default();
        let first = patterns.hold(&pattern("a/*"));
        assert_eq!(patterns.hold(&pattern("a/*")), first);
        patterns.release(first);
        assert!(patterns.get(first).is_some());
        patterns.release(first);
        assert!(patterns.get(first).is_none() && patterns.matching("a/b").is_empty());
        let second = patterns.hold(&pattern("b/*"));
        assert_eq!(second.slot, first.slot);
        assert_ne!(second, first);
    }
}

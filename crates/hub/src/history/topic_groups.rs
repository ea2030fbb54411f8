//! The groups that match a topic: found once, not for each event.

use std::num::NonZeroU32;

use slab::Slab;

use super::group_list::GroupList;
use super::patterns::Patterns;

/// The patterns that readers have, and the groups of the topics that were published to.
#[derive(Default)]
pub(super) struct TopicGroups {
    pub(super) patterns: Patterns,
    lists: Slab<GroupList>,
    /// Bytes that the lists have allocated.
    heap_bytes: usize,
}

/// A topic's groups, as far as they have been found. A topic without groups has no list.
#[derive(Debug, Default)]
pub(super) struct KnownGroups {
    /// The count of [additions](Patterns::additions) when they were found; zero if they were not.
    as_of: u32,
    /// One more than the list's place.
    list: Option<NonZeroU32>,
}

/// The longest list that is kept for a topic. More patterns than this on one topic are found for each
/// event, which takes as long as telling their readers; kept for each topic, they could fill the memory.
const KEPT_MAX: usize = 16;

impl TopicGroups {
    /// The groups that match a topic. Some may have no readers any more.
    pub(super) fn of(&mut self, name: &str, known: &mut KnownGroups) -> GroupList {
        if self.patterns.is_empty() {
            return GroupList::default();
        }
        let additions = self.patterns.additions();
        if known.as_of != additions || additions == u32::MAX {
            self.forget(known);
            let found = GroupList::from(self.patterns.matching(name).as_slice());
            if found.len() > KEPT_MAX {
                return found;
            }
            known.as_of = additions;
            if !found.is_empty() {
                self.heap_bytes += found.heap_bytes();
                let list = self.lists.insert(found) as u32 + 1;
                known.list = NonZeroU32::new(list);
            }
        }
        known
            .list
            .map_or_else(GroupList::default, |list| self.lists[list.get() as usize - 1].clone())
    }

    /// Bytes that the lists take.
    pub(super) fn bytes(&self) -> usize {
        self.lists.capacity() * size_of::<Option<GroupList>>() + self.heap_bytes
    }

    /// Forgets what was found for a topic.
    pub(super) fn forget(&mut self, known: &mut KnownGroups) {
        if let Some(list) = std::mem::take(known).list {
            self.heap_bytes -= self.lists.remove(list.get() as usize - 1).heap_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::patterns::GroupKey;
    use super::*;
    use crate::filter::TopicFilter;

    fn hold(groups: &mut TopicGroups, text: &str) -> GroupKey {
        match TopicFilter::pattern(text).unwrap() {
            TopicFilter::Pattern(pattern) => groups.patterns.hold(&pattern),
            TopicFilter::Exact(_) => panic!("{text} has no wildcard"),
        }
    }

    #[test]
    fn a_topic_s_groups_are_found_again_only_after_a_pattern_was_added() {
        let (mut groups, mut known) = (TopicGroups::default(), KnownGroups::default());
        assert!(groups.of("a/b", &mut known).is_empty());
        let first = hold(&mut groups, "a/*");
        assert_eq!(*groups.of("a/b", &mut known), [first]);
        assert_eq!(groups.heap_bytes, 0, "one group stands in place");
        let second = hold(&mut groups, "**");
        let found = groups.of("a/b", &mut known);
        assert!(std::ptr::eq(&*found, &*groups.of("a/b", &mut known)), "a list is shared");
        let mut found = found.to_vec();
        found.sort_unstable();
        assert_eq!(found, [first, second]);
        assert_eq!(groups.lists.len(), 1);
        let taken = groups.bytes();
        groups.forget(&mut known);
        assert!(groups.lists.is_empty() && groups.heap_bytes == 0);
        assert_eq!(taken - groups.bytes(), 2 * size_of::<GroupKey>() + 2 * size_of::<usize>());
    }

    #[test]
    fn a_topic_that_no_pattern_matches_or_too_many_do_keeps_no_list() {
        let mut groups = TopicGroups::default();
        let (mut none, mut many) = (KnownGroups::default(), KnownGroups::default());
        let name = "a/b/c/d/e/f";
        for bits in 1..=KEPT_MAX + 1 {
            let segment = |(at, segment)| if bits >> at & 1 == 1 { "*" } else { segment };
            let segments: Vec<_> = name.split('/').enumerate().map(segment).collect();
            hold(&mut groups, &segments.join("/"));
            assert!(groups.of("b", &mut none).is_empty());
            assert_eq!(groups.of(name, &mut many).len(), bits);
            assert_eq!(groups.lists.len(), usize::from(bits <= KEPT_MAX));
        }
    }
}

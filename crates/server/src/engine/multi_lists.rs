//! Lists of the slots with several topics or with patterns: one list for each topic and each pattern.
//!
//! A slot stands in the list of each of its topics and patterns, its *sources*, so that an event touches
//! only the slots that are sent it. [`MultiLists::may_take`] decides whether a run may be sent to
//! such a slot at once.

use foldhash::HashMap;
use tidings_hub::Sequence;
use tidings_hub::engine::{GroupKey, TopicKey};

use crate::paged_slab::PagedSlab;

/// The lists of a shard.
#[derive(Debug, Default)]
pub(super) struct MultiLists {
    topics: HashMap<TopicKey, u32>,
    groups: HashMap<GroupKey, u32>,
    lists: PagedSlab<List>,
    members: PagedSlab<Member>,
}

/// The slots that have a source. Small, because each topic of each reader may have one.
#[derive(Debug)]
struct List {
    /// The newest entry of the source that the shard was told of.
    through: Sequence,
    /// For a pattern, whose entries are of several topics.
    newest: Option<Box<Newest>>,
    entries: Entries,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    Topic(TopicKey),
    Group(GroupKey),
}

/// The newest entries of a pattern that the shard was told of.
#[derive(Clone, Copy, Debug, Default)]
struct Newest {
    /// The topic of the newest entry.
    topic: TopicKey,
    /// The newest entry of another topic.
    of_others: Sequence,
}

/// A member in a list: which one, and which of its sources the list is of.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    member: u32,
    at: u32,
}

/// Most sources are of one slot alone if each reader has its own.
#[derive(Debug)]
enum Entries {
    One(Entry),
    #[expect(clippy::box_collection, reason = "half the size, in every list")]
    Many(Box<Vec<Entry>>),
}

/// A slot with several sources.
#[derive(Debug)]
struct Member {
    slot: u32,
    /// For each source its list, and its place in it.
    places: Box<[(u32, u32)]>,
}

/// A list of slots to which a topic's events go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ListKey(u32);

impl MultiLists {
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Adds a slot; returns its number among the members.
    pub(super) fn add(&mut self, topics: &[TopicKey], groups: &[GroupKey], slot: u32) -> u32 {
        let sources = topics.iter().map(|&topic| Source::Topic(topic));
        let sources = sources.chain(groups.iter().map(|&group| Source::Group(group)));
        let member = self.members.vacant_key() as u32;
        let places = sources.enumerate().map(|(at, source)| {
            let entry = Entry { member, at: at as u32 };
            let known = match source {
                Source::Topic(topic) => self.topics.get(&topic),
                Source::Group(group) => self.groups.get(&group),
            };
            if let Some(&list) = known {
                return (list, self.lists[list as usize].entries.push(entry));
            }
            let list = self.lists.insert(List::new(source, entry)) as u32;
            match source {
                Source::Topic(topic) => self.topics.insert(topic, list),
                Source::Group(group) => self.groups.insert(group, list),
            };
            (list, 0)
        });
        let places = places.collect();
        self.members.insert(Member { slot, places }) as u32
    }

    /// Removes a slot, with the sources that it was added with, by its number among the members.
    pub(super) fn remove(&mut self, topics: &[TopicKey], groups: &[GroupKey], member: u32) {
        let Some(member) = self.members.try_remove(member as usize) else { return };
        for (at, (list, place)) in member.places.into_iter().enumerate() {
            let entries = &mut self.lists[list as usize].entries;
            if let Some(moved) = entries.swap_remove(place) {
                self.members[moved.member as usize].places[moved.at as usize].1 = place;
            } else if entries.as_slice().is_empty() {
                self.lists.try_remove(list as usize);
                match topics.get(at) {
                    Some(topic) => self.topics.remove(topic),
                    None => self.groups.remove(&groups[at - topics.len()]),
                };
            }
        }
    }

    /// Notes an entry of a topic; `true` if there are slots that it goes to.
    pub(super) fn note(&mut self, topic: TopicKey, groups: &[GroupKey], newest: Sequence) -> bool {
        let mut is_read = false;
        for at in 0..=groups.len() {
            if let Some(ListKey(list)) = self.list(topic, groups, at) {
                self.lists[list as usize].note(topic, newest);
                is_read = true;
            }
        }
        is_read
    }

    /// The lists to which a topic's events go: number 0 is the topic's own, those of its groups follow.
    pub(super) fn list(&self, topic: TopicKey, groups: &[GroupKey], at: usize) -> Option<ListKey> {
        match at.checked_sub(1) {
            None => self.topics.get(&topic),
            Some(at) => self.groups.get(groups.get(at)?),
        }
        .map(|&list| ListKey(list))
    }

    pub(super) fn len(&self, ListKey(list): ListKey) -> usize {
        self.lists[list as usize].entries.as_slice().len()
    }

    /// The slot at a place of a list, and its number among the members.
    pub(super) fn slot(&self, ListKey(list): ListKey, place: usize) -> (u32, u32) {
        let Entry { member, .. } = self.lists[list as usize].entries.as_slice()[place];
        (self.members[member as usize].slot, member)
    }

    /// Returns whether a slot at the tail, whose cursor stands at `after`, has been sent everything of its
    /// view before a run of the topic that comes next in that topic. `own` is the topic's own list.
    ///
    /// All that its other sources have is at or before its cursor, as far as the shard was told; and the
    /// shard was told of everything before the run, in order, or else no slot is at the tail.
    pub(super) fn may_take(
        &self,
        member: u32,
        (topic, own): (TopicKey, Option<ListKey>),
        after: Sequence,
    ) -> bool {
        let places = &self.members[member as usize].places;
        let mut others = places.iter().filter(|(list, _)| own != Some(ListKey(*list)));
        others.all(|&(list, _)| self.lists[list as usize].beside(topic) <= after)
    }
}

impl List {
    fn new(source: Source, entry: Entry) -> Self {
        let newest = match source {
            Source::Topic(_) => None,
            Source::Group(_) => Some(Box::default()),
        };
        Self { through: Sequence::ZERO, newest, entries: Entries::One(entry) }
    }

    fn note(&mut self, topic: TopicKey, newest: Sequence) {
        if let Some(known) = self.newest.as_deref_mut().filter(|known| known.topic != topic) {
            *known = Newest { topic, of_others: self.through };
        }
        self.through = newest.max(self.through);
    }

    /// The newest entry of another topic than this one, of which it is not the own list.
    fn beside(&self, topic: TopicKey) -> Sequence {
        match &self.newest {
            Some(newest) if newest.topic == topic => newest.of_others,
            _ => self.through,
        }
    }
}

impl Entries {
    fn as_slice(&self) -> &[Entry] {
        match self {
            Self::One(entry) => std::slice::from_ref(entry),
            Self::Many(entries) => entries,
        }
    }

    /// Adds an entry; returns its place.
    fn push(&mut self, entry: Entry) -> u32 {
        match self {
            Self::One(first) => *self = Self::Many(Box::new(vec![*first, entry])),
            Self::Many(entries) => entries.push(entry),
        }
        (self.as_slice().len() - 1) as u32
    }

    /// Removes the entry at a place; returns the entry that moved there.
    fn swap_remove(&mut self, place: u32) -> Option<Entry> {
        match self {
            Self::One(_) => *self = Self::Many(Box::default()),
            Self::Many(entries) => {
                entries.swap_remove(place as usize);
                if entries.len() < entries.capacity() / 4 {
                    entries.shrink_to(entries.len() * 2);
                }
            }
        }
        self.as_slice().get(place as usize).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_takes_32_bytes() {
        assert_eq!(size_of::<List>(), 32);
    }
}

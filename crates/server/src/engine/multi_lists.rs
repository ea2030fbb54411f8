//! Lists of the slots with several topics or with patterns: one list for each topic and each pattern.
//!
//! A slot stands in the list of each of its topics and patterns, its *sources*, so that an event touches
//! only the slots that are sent it. [`MultiLists::may_take`] decides whether a run may be sent to
//! such a slot at once.

use foldhash::HashMap;
use tidings_hub::Sequence;
use tidings_hub::engine::{GroupKey, TopicKey};

use super::place::{Place, Placed, Places};
use crate::paged_slab::PagedSlab;

/// The lists of a shard.
#[derive(Debug, Default)]
pub(super) struct MultiLists {
    topics: HashMap<TopicKey, ListKey>,
    groups: HashMap<GroupKey, ListKey>,
    lists: PagedSlab<List>,
    members: PagedSlab<Member>,
}

/// The slots to which a source's events go.
///
/// Most topics of slots that have several are of one slot alone, and need no list: what a list would
/// have to say stands in the slot's [`Place`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListKey {
    /// One slot, of which the topic is this source.
    Alone { member: u32, at: u16 },
    /// The slots in a list.
    Shared(u32),
}

/// The slots that have a source.
#[derive(Debug)]
struct List {
    /// The newest entry of the source that the shard was told of.
    through: Sequence,
    /// For a pattern, whose entries are of several topics. In place, because each event asks for it.
    newest: Option<Newest>,
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

/// Most patterns are of one slot alone if each reader has its own.
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
    places: Places,
}

impl MultiLists {
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Adds a slot; returns its number among the members.
    pub(super) fn add(&mut self, topics: &[TopicKey], groups: &[GroupKey], slot: u32) -> u32 {
        let sources = topics.iter().map(|&topic| Source::Topic(topic));
        let sources = sources.chain(groups.iter().map(|&group| Source::Group(group)));
        let member = self.members.vacant_key() as u32;
        let places: Box<[Place]> = sources
            .enumerate()
            .map(|(at, source)| self.enter(source, Entry { member, at: at as u32 }))
            .collect();
        self.members.insert(Member { slot, places: places.into() }) as u32
    }

    /// Enters a slot among those of a source; returns its place there.
    fn enter(&mut self, source: Source, entry: Entry) -> Place {
        let known = match source {
            Source::Topic(topic) => self.topics.get(&topic),
            Source::Group(group) => self.groups.get(&group),
        };
        let (key, place) = match (known.copied(), u16::try_from(entry.at), source) {
            (Some(ListKey::Shared(list)), ..) => {
                let place = self.lists[list as usize].entries.push(entry);
                return Place::listed(list, place);
            }
            (Some(ListKey::Alone { member, at }), ..) => {
                let first = Entry { member, at: at.into() };
                let through = self.through(first);
                let list = self.lists.insert(List::new(source, through, first)) as u32;
                *self.place(first) = Place::listed(list, 0);
                let place = self.lists[list as usize].entries.push(entry);
                (ListKey::Shared(list), Place::listed(list, place))
            }
            (None, Ok(at), Source::Topic(_)) => {
                (ListKey::Alone { member: entry.member, at }, Place::alone(Sequence::ZERO))
            }
            (None, ..) => {
                let list = self.lists.insert(List::new(source, Sequence::ZERO, entry)) as u32;
                (ListKey::Shared(list), Place::listed(list, 0))
            }
        };
        match source {
            Source::Topic(topic) => self.topics.insert(topic, key),
            Source::Group(group) => self.groups.insert(group, key),
        };
        place
    }

    /// Removes a slot, with the sources that it was added with, by its number among the members.
    pub(super) fn remove(&mut self, topics: &[TopicKey], groups: &[GroupKey], member: u32) {
        let Some(member) = self.members.try_remove(member as usize) else { return };
        for (at, place) in member.places.as_slice().iter().enumerate() {
            if let Placed::Listed { list, place } = place.get() {
                let entries = &mut self.lists[list as usize].entries;
                if let Some(moved) = entries.swap_remove(place) {
                    *self.place(moved) = Place::listed(list, place);
                }
                if !self.lists[list as usize].entries.as_slice().is_empty() {
                    continue;
                }
                self.lists.try_remove(list as usize);
            }
            match topics.get(at) {
                Some(topic) => self.topics.remove(topic),
                None => self.groups.remove(&groups[at - topics.len()]),
            };
        }
    }

    fn place(&mut self, Entry { member, at }: Entry) -> &mut Place {
        &mut self.members[member as usize].places.as_mut_slice()[at as usize]
    }

    /// The newest entry that the shard was told of, of a topic that one slot alone reads.
    fn through(&self, Entry { member, at }: Entry) -> Sequence {
        match self.members[member as usize].places.as_slice()[at as usize].get() {
            Placed::Alone(through) => through,
            Placed::Listed { list, .. } => self.lists[list as usize].through,
        }
    }

    /// Notes an entry of a topic; `true` if there are slots that it goes to.
    pub(super) fn note(&mut self, topic: TopicKey, groups: &[GroupKey], newest: Sequence) -> bool {
        let mut is_read = false;
        for at in 0..=groups.len() {
            match self.list(topic, groups, at) {
                None => continue,
                Some(ListKey::Shared(list)) => self.lists[list as usize].note(topic, newest),
                Some(ListKey::Alone { member, at }) => {
                    let entry = Entry { member, at: at.into() };
                    let through = newest.max(self.through(entry));
                    *self.place(entry) = Place::alone(through);
                }
            }
            is_read = true;
        }
        is_read
    }

    /// The lists to which a topic's events go: number 0 is the topic's own, those of its groups follow.
    pub(super) fn list(&self, topic: TopicKey, groups: &[GroupKey], at: usize) -> Option<ListKey> {
        match at.checked_sub(1) {
            None => self.topics.get(&topic).copied(),
            Some(at) => self.groups.get(groups.get(at)?).copied(),
        }
    }

    pub(super) fn len(&self, list: ListKey) -> usize {
        match list {
            ListKey::Alone { .. } => 1,
            ListKey::Shared(list) => self.lists[list as usize].entries.as_slice().len(),
        }
    }

    /// The slot at a place of a list, and its number among the members.
    pub(super) fn slot(&self, list: ListKey, place: usize) -> (u32, u32) {
        let member = match list {
            ListKey::Alone { member, .. } => member,
            ListKey::Shared(list) => self.lists[list as usize].entries.as_slice()[place].member,
        };
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
        let places = self.members[member as usize].places.as_slice();
        places.iter().enumerate().all(|(at, place)| match (place.get(), own) {
            (Placed::Listed { list, .. }, Some(ListKey::Shared(own))) if list == own => true,
            (Placed::Alone(_), Some(ListKey::Alone { member: owner, at: own }))
                if owner == member && usize::from(own) == at =>
            {
                true
            }
            (Placed::Listed { list, .. }, _) => self.lists[list as usize].beside(topic) <= after,
            (Placed::Alone(through), _) => through <= after,
        })
    }
}

impl List {
    fn new(source: Source, through: Sequence, entry: Entry) -> Self {
        let newest = match source {
            Source::Topic(_) => None,
            Source::Group(_) => Some(Newest::default()),
        };
        Self { through, newest, entries: Entries::One(entry) }
    }

    fn note(&mut self, topic: TopicKey, newest: Sequence) {
        if let Some(known) = self.newest.as_mut().filter(|known| known.topic != topic) {
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
    use std::task::Waker;

    use tidings_hub::engine::Tap;
    use tidings_hub::{Hub, Start, Topic, TopicFilter, View};

    use super::*;

    /// The lists, and beside them what they should say.
    #[derive(Default)]
    struct Lists {
        lists: MultiLists,
        /// Members by their slots, with their topics.
        members: Vec<(u32, u32, Vec<TopicKey>)>,
        /// The newest entries noted, of the topics that have slots.
        noted: HashMap<TopicKey, Sequence>,
    }

    impl Lists {
        fn check(&self, topics: &[TopicKey], newest: u64) {
            for &topic in topics {
                let list = self.lists.list(topic, &[], 0);
                let mut slots: Vec<u32> = (0..list.map_or(0, |list| self.lists.len(list)))
                    .map(|place| self.lists.slot(list.expect("it has slots"), place).0)
                    .collect();
                slots.sort_unstable();
                let of_topic = self.members.iter().filter(|(.., own)| own.contains(&topic));
                let mut expected: Vec<u32> = of_topic.map(|(slot, ..)| *slot).collect();
                expected.sort_unstable();
                assert_eq!(slots, expected);
            }
            for (_, member, own) in &self.members {
                for topic in own {
                    let list = self.lists.list(*topic, &[], 0);
                    let others = own.iter().filter(|other| *other != topic);
                    let through = others.map(|other| self.noted[other]).max().unwrap_or_default();
                    for after in (0..=newest).filter_map(Sequence::new) {
                        let may_take = self.lists.may_take(*member, (*topic, list), after);
                        assert_eq!(may_take, through <= after);
                    }
                }
            }
        }
    }

    #[test]
    fn topics_of_one_slot_alone_and_of_several_are_listed_alike() {
        let hub = Hub::default();
        let tap = Tap::open(&hub, 8, Waker::noop().clone());
        let names = (0..5).map(|n| TopicFilter::Exact(Topic::new(n.to_string()).unwrap()));
        let topics = tap.subscribe(&View::new(names), Start::Tail).into_state().1;
        let topics = topics.topics().to_vec();
        let mut rng = fastrand::Rng::with_seed(16);
        for _ in 0..50 {
            let mut lists = Lists::default();
            for step in 1..40 {
                match rng.u32(0..3) {
                    0 if !lists.members.is_empty() => {
                        let at = rng.usize(0..lists.members.len());
                        let (_, member, own) = lists.members.swap_remove(at);
                        lists.lists.remove(&own, &[], member);
                        let members = &lists.members;
                        lists
                            .noted
                            .retain(|topic, _| members.iter().any(|(.., own)| own.contains(topic)));
                    }
                    1 => {
                        let topic = topics[rng.usize(0..topics.len())];
                        let newest = Sequence::new(step).unwrap();
                        let noted = lists.noted.get_mut(&topic).map(|noted| *noted = newest);
                        assert_eq!(lists.lists.note(topic, &[], newest), noted.is_some());
                    }
                    _ => {
                        let mut own = topics.clone();
                        rng.shuffle(&mut own);
                        own.truncate(rng.usize(2..=3));
                        let member = lists.lists.add(&own, &[], step as u32);
                        for topic in &own {
                            lists.noted.entry(*topic).or_default();
                        }
                        lists.members.push((step as u32, member, own));
                    }
                }
                lists.check(&topics, step);
            }
        }
    }

    #[test]
    fn what_a_source_takes_is_small() {
        assert_eq!(size_of::<List>(), 40);
        assert_eq!(size_of::<Member>(), 32);
        assert_eq!(size_of::<(TopicKey, ListKey)>(), 16);
        assert_eq!(size_of::<Place>(), 8);
    }
}

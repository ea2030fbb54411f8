//! The subscribers of each topic, in as little memory as possible.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use slab::Slab;

/// The topics that have subscribers, each with a dense list of them.
#[derive(Default)]
pub(crate) struct Topics {
    topics: Slab<Topic>,
    /// Keys of `topics` by name. The name itself is stored only there.
    by_name: HashTable<u32>,
    hasher: RandomState,
}

struct Topic {
    name: Box<[u8]>,
    subscribers: Vec<u32>,
}

/// The place of a subscriber: a topic, and an index in its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) topic: u32,
    position: u32,
}

impl Topics {
    /// Returns the key of a topic with subscribers.
    pub(crate) fn find(&self, name: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(name);
        self.by_name.find(hash, |&key| *self.topics[key as usize].name == *name).copied()
    }

    pub(crate) fn join(&mut self, name: &[u8], subscriber: u32) -> Place {
        let key = self.find(name).unwrap_or_else(|| self.add(name));
        let subscribers = &mut self.topics[key as usize].subscribers;
        subscribers.push(subscriber);
        Place { topic: key, position: narrow(subscribers.len() - 1) }
    }

    /// Removes a subscriber from its list. The last subscriber of the list takes its index; returns
    /// that subscriber and its new place.
    pub(crate) fn leave(&mut self, place: Place) -> Option<(u32, Place)> {
        let topic = &mut self.topics[place.topic as usize];
        topic.subscribers.swap_remove(place.position as usize);
        let moved = topic.subscribers.get(place.position as usize).map(|&moved| (moved, place));
        if topic.subscribers.is_empty() {
            self.remove(place.topic);
        }
        moved
    }

    /// Returns the subscribers of a topic.
    pub(crate) fn subscribers(&self, key: u32) -> &[u32] {
        self.topics.get(key as usize).map_or(&[], |topic| &topic.subscribers)
    }

    fn add(&mut self, name: &[u8]) -> u32 {
        let key = narrow(self.topics.insert(Topic { name: name.into(), subscribers: Vec::new() }));
        let hash = self.hasher.hash_one(name);
        let rehash = |&key: &u32| self.hasher.hash_one(&*self.topics[key as usize].name);
        self.by_name.insert_unique(hash, key, rehash);
        key
    }

    fn remove(&mut self, key: u32) {
        let topic = self.topics.remove(key as usize);
        let hash = self.hasher.hash_one(&*topic.name);
        if let Ok(entry) = self.by_name.find_entry(hash, |&other| other == key) {
            entry.remove();
        }
    }
}

/// Keys count sockets, of which a process has far fewer.
pub(crate) fn narrow(key: usize) -> u32 {
    u32::try_from(key).expect("a process has fewer sockets than that")
}

#[cfg(test)]
mod tests {
    use super::Topics;

    #[test]
    fn a_list_stays_dense_and_says_who_moved() {
        let mut topics = Topics::default();
        let places = [10, 11, 12].map(|subscriber| topics.join(b"t", subscriber));
        let key = topics.find(b"t").expect("it has subscribers");
        assert_eq!(topics.subscribers(key), [10, 11, 12]);
        assert_eq!(topics.leave(places[0]), Some((12, places[0])));
        assert_eq!(topics.subscribers(key), [12, 11]);
        assert_eq!(topics.leave(places[1]), None);
        assert_eq!(topics.subscribers(key), [12]);
    }

    #[test]
    fn a_topic_ends_with_its_last_subscriber() {
        let mut topics = Topics::default();
        let place = topics.join(b"t", 1);
        topics.join(b"other", 2);
        topics.leave(place);
        assert_eq!(topics.find(b"t"), None);
        assert!(topics.find(b"other").is_some());
        let again = topics.join(b"t", 3);
        assert_eq!(again, place, "its key is used again");
    }
}

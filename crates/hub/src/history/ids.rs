//! Where publisher-given IDs are: an index that holds no text.
//!
//! An event with an ID of its own has a place under the ID alone, for views with patterns, and one for
//! each of its topics, for views of exact topics. So the earliest event of a topic with an ID is found
//! at once, however many events of other topics have the same ID.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};

use super::TopicKey;
use super::cost::tree_entry_bytes;
use crate::cursor::Sequence;

/// The places of IDs, under hashes with random keys, because IDs may be chosen by an attacker. What is
/// found is compared with the event itself.
#[derive(Default)]
pub(super) struct IdIndex {
    places: BTreeSet<(u64, Sequence)>,
    hasher: RandomState,
}

impl IdIndex {
    pub(super) fn insert(&mut self, id: &str, topics: &[TopicKey], sequence: Sequence) {
        self.places.insert((self.hasher.hash_one(id), sequence));
        for &topic in topics {
            self.places.insert((self.hasher.hash_one((topic, id)), sequence));
        }
    }

    pub(super) fn remove(&mut self, id: &str, topics: &[TopicKey], sequence: Sequence) {
        self.places.remove(&(self.hasher.hash_one(id), sequence));
        for &topic in topics {
            self.places.remove(&(self.hasher.hash_one((topic, id)), sequence));
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.places.len() * tree_entry_bytes::<(u64, Sequence)>()
    }

    /// The places under an ID, or under an ID and a topic, from a sequence on.
    pub(super) fn from(
        &self,
        topic: Option<TopicKey>,
        id: &str,
        from: Sequence,
    ) -> impl Iterator<Item = Sequence> {
        let hash = match topic {
            Some(topic) => self.hasher.hash_one((topic, id)),
            None => self.hasher.hash_one(id),
        };
        self.places.range((hash, from)..=(hash, Sequence::MAX)).map(|(_, sequence)| *sequence)
    }
}

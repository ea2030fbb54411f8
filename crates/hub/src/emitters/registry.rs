//! The registry of emitters: how many streams each key has.

use std::collections::HashMap;
use std::hash::Hash;
use std::mem;
use std::sync::Arc;

use parking_lot::Mutex;

/// The number of streams of each key that has one. Cloning shares it.
#[derive(Debug)]
pub(super) struct Registry<K>(Arc<Mutex<HashMap<K, usize>>>);

impl<K> Clone for Registry<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> Default for Registry<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Clone + Eq + Hash> Registry<K> {
    /// Enters a stream of the key.
    pub(super) fn enter(&self, key: K) -> Seat<K> {
        *self.0.lock().entry(key.clone()).or_default() += 1;
        Seat { key, registry: self.clone(), has_left: false }
    }

    pub(super) fn keys(&self) -> Vec<K> {
        self.0.lock().keys().cloned().collect()
    }

    pub(super) fn streams(&self, key: &K) -> usize {
        self.0.lock().get(key).copied().unwrap_or(0)
    }
}

/// One stream in the registry, until it leaves or is dropped.
pub(super) struct Seat<K: Eq + Hash> {
    key: K,
    registry: Registry<K>,
    has_left: bool,
}

impl<K: Eq + Hash> Seat<K> {
    pub(super) fn key(&self) -> &K {
        &self.key
    }

    pub(super) fn leave(&mut self) {
        if mem::replace(&mut self.has_left, true) {
            return;
        }
        let mut streams = self.registry.0.lock();
        if let Some(count) = streams.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                streams.remove(&self.key);
            }
        }
    }
}

impl<K: Eq + Hash> Drop for Seat<K> {
    fn drop(&mut self) {
        self.leave();
    }
}

//! How many streams each address and each subject has open.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::num::NonZeroU32;

use parking_lot::Mutex;

use super::key::Key;

/// The number of open streams by address and by subject. There are at most as many entries as twice
/// the open streams.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<HashMap<Key, u32>>);

impl Counts {
    /// Takes a place, if there is one left.
    pub(super) fn enter(&self, key: Key, max: NonZeroU32) -> bool {
        let mut counts = self.0.lock();
        match counts.entry(key) {
            Entry::Occupied(mut count) if *count.get() < max.get() => {
                *count.get_mut() += 1;
                true
            }
            Entry::Occupied(_) => false,
            Entry::Vacant(vacant) => {
                vacant.insert(1);
                true
            }
        }
    }

    /// Gives a place back.
    pub(super) fn leave(&self, key: Key) {
        if let Entry::Occupied(mut count) = self.0.lock().entry(key) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}

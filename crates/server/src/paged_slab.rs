//! A slab in pages, which never moves its entries.

use std::ops::{Index, IndexMut};

/// Entries by numbers that are reused, in pages of equal size.
///
/// A slab that is one piece is copied whenever it has doubled: with a million subscribers that takes
/// milliseconds, and the memory that it leaves behind stays with the allocator for some seconds, as much as
/// the slab itself. Here only the first page grows that way.
#[derive(Debug)]
pub(crate) struct PagedSlab<T> {
    /// All but the last are full.
    pages: Vec<Vec<Entry<T>>>,
    /// The vacant entry that is used next, or the number after all entries.
    next: usize,
    len: usize,
}

#[derive(Debug)]
enum Entry<T> {
    /// The vacant entry that is used after this one.
    Vacant(usize),
    Occupied(T),
}

/// The entries of a page.
const PAGE: usize = 1024;

impl<T> Default for PagedSlab<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), next: 0, len: 0 }
    }
}

impl<T> PagedSlab<T> {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Numbers are below this.
    pub(crate) fn bound(&self) -> usize {
        self.pages.last().map_or(0, |last| (self.pages.len() - 1) * PAGE + last.len())
    }

    /// The number of the next entry.
    pub(crate) fn vacant_key(&self) -> usize {
        self.next
    }

    pub(crate) fn insert(&mut self, value: T) -> usize {
        let key = self.next;
        self.len += 1;
        if key < self.bound() {
            let entry = &mut self.pages[key / PAGE][key % PAGE];
            if let Entry::Vacant(next) = *entry {
                self.next = next;
            }
            *entry = Entry::Occupied(value);
            return key;
        }
        match self.pages.last_mut().filter(|last| last.len() < PAGE) {
            Some(last) => last.push(Entry::Occupied(value)),
            None => {
                // The first page grows with its entries: few slabs have more.
                let room = if self.pages.is_empty() { 1 } else { PAGE };
                let mut page = Vec::with_capacity(room);
                page.push(Entry::Occupied(value));
                self.pages.push(page);
            }
        }
        self.next = key + 1;
        key
    }

    /// Removes an entry, if it is there.
    pub(crate) fn try_remove(&mut self, key: usize) -> Option<T> {
        let entry = self.pages.get_mut(key / PAGE)?.get_mut(key % PAGE)?;
        if let Entry::Vacant(_) = entry {
            return None;
        }
        let removed = std::mem::replace(entry, Entry::Vacant(self.next));
        (self.next, self.len) = (key, self.len - 1);
        match removed {
            Entry::Occupied(value) => Some(value),
            Entry::Vacant(_) => None,
        }
    }

    pub(crate) fn get(&self, key: usize) -> Option<&T> {
        match self.pages.get(key / PAGE)?.get(key % PAGE)? {
            Entry::Occupied(value) => Some(value),
            Entry::Vacant(_) => None,
        }
    }

    pub(crate) fn get_mut(&mut self, key: usize) -> Option<&mut T> {
        match self.pages.get_mut(key / PAGE)?.get_mut(key % PAGE)? {
            Entry::Occupied(value) => Some(value),
            Entry::Vacant(_) => None,
        }
    }

    /// The entries with their numbers.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut T)> {
        self.pages.iter_mut().flatten().enumerate().filter_map(|(key, entry)| match entry {
            Entry::Occupied(value) => Some((key, value)),
            Entry::Vacant(_) => None,
        })
    }

    /// Takes all entries out.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> + use<T> {
        let Self { pages, .. } = std::mem::take(self);
        pages.into_iter().flatten().filter_map(|entry| match entry {
            Entry::Occupied(value) => Some(value),
            Entry::Vacant(_) => None,
        })
    }
}

/// # Panics
///
/// If there is no such entry.
impl<T> Index<usize> for PagedSlab<T> {
    type Output = T;

    fn index(&self, key: usize) -> &T {
        self.get(key).expect("the entry exists")
    }
}

/// # Panics
///
/// If there is no such entry.
impl<T> IndexMut<usize> for PagedSlab<T> {
    fn index_mut(&mut self, key: usize) -> &mut T {
        self.get_mut(key).expect("the entry exists")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn it_holds_what_was_put_in_and_not_taken_out_whatever_the_order() {
        let mut rng = fastrand::Rng::with_seed(5);
        let (mut slab, mut model) = (PagedSlab::default(), BTreeMap::new());
        for step in 0..30_000_u32 {
            // It grows first, and shrinks to nothing in the end.
            if rng.u32(0..30_000) > step {
                let next = slab.vacant_key();
                assert_eq!(slab.insert(step), next);
                assert_eq!(model.insert(next, step), None, "a number that is in use");
            } else {
                let key = rng.usize(0..slab.bound() + 2);
                assert_eq!(slab.try_remove(key), model.remove(&key));
            }
            assert_eq!((slab.len(), slab.is_empty()), (model.len(), model.is_empty()));
        }
        assert!(slab.bound() > 2 * PAGE && slab.bound() < 15_000, "numbers are reused");
        for key in 0..slab.bound() + PAGE {
            assert_eq!(slab.get(key), model.get(&key));
            assert_eq!(slab.get_mut(key), model.get_mut(&key));
        }
        assert!(slab.iter_mut().map(|(key, value)| (key, *value)).eq(model.clone()));
        assert!(slab.drain().eq(model.into_values()));
        assert!(slab.is_empty() && slab.bound() == 0 && slab.insert(7) == 0);
    }

    #[test]
    fn no_entry_moves_once_there_is_a_second_page() {
        let mut slab = PagedSlab::default();
        (0..=PAGE).for_each(|value| {
            slab.insert(value);
        });
        let places = |slab: &PagedSlab<usize>| {
            (0..=PAGE).map(|key| std::ptr::from_ref(&slab[key])).collect::<Vec<_>>()
        };
        let before = places(&slab);
        (0..10 * PAGE).for_each(|value| {
            slab.insert(value);
        });
        assert_eq!(places(&slab), before);
    }
}

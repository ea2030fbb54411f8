//! A hash table that grows in small steps: no operation rehashes a million names.

use hashbrown::HashTable;

/// Many small tables, of which one is split in two each time that all are full on average (linear
/// hashing): adding one costs the hashes of some hundred, however many there are.
///
/// Everything that is kept has a hash that the caller knows, as in [`HashTable`].
pub(super) struct SplitTable<T> {
    tables: Vec<HashTable<T>>,
    len: usize,
}

/// How many each table has, on average: splitting one takes some ten microseconds, and what a table
/// costs beside them is little.
const TABLE_LEN: usize = 256;

/// A table that is not larger is not worth giving back.
const BUCKETS_KEPT: usize = 16;

impl<T> Default for SplitTable<T> {
    fn default() -> Self {
        Self { tables: vec![HashTable::new()], len: 0 }
    }
}

impl<T> SplitTable<T> {
    pub(super) fn find(&self, hash: u64, is_it: impl FnMut(&T) -> bool) -> Option<&T> {
        self.tables[table_of(hash, self.tables.len())].find(hash, is_it)
    }

    /// Adds a value that is not in the table.
    pub(super) fn insert(&mut self, hash: u64, value: T, hash_of: impl Fn(&T) -> u64) {
        if self.len >= self.tables.len() * TABLE_LEN {
            self.split(&hash_of);
        }
        let at = table_of(hash, self.tables.len());
        self.tables[at].insert_unique(hash, value, hash_of);
        self.len += 1;
    }

    pub(super) fn remove(
        &mut self,
        hash: u64,
        is_it: impl FnMut(&T) -> bool,
        hash_of: impl Fn(&T) -> u64,
    ) -> Option<T> {
        let at = table_of(hash, self.tables.len());
        let table = &mut self.tables[at];
        let (value, _) = table.find_entry(hash, is_it).ok()?.remove();
        self.len -= 1;
        if table.num_buckets() > BUCKETS_KEPT.max(table.len() * 8) {
            table.shrink_to(table.len() * 2, hash_of);
        }
        Some(value)
    }

    /// Adds a table, and takes what belongs there from the one table in which all of it is.
    fn split(&mut self, hash_of: &impl Fn(&T) -> u64) {
        let new = self.tables.len();
        let from = new - (1 << new.ilog2());
        let hashed = std::mem::take(&mut self.tables[from]).into_iter();
        let hashed = hashed.map(|value| (hash_of(&value), value));
        let (moved, left): (Vec<_>, Vec<_>) =
            hashed.partition(|(hash, _)| table_of(*hash, new + 1) == new);
        let table = |hashed: Vec<(u64, T)>| {
            let mut table = HashTable::with_capacity(hashed.len());
            for (hash, value) in hashed {
                table.insert_unique(hash, value, hash_of);
            }
            table
        };
        self.tables[from] = table(left);
        self.tables.push(table(moved));
    }
}

/// Which of so many tables has what has this hash.
fn table_of(hash: u64, tables: usize) -> usize {
    // Bits that the tables themselves make no use of: they take the lowest and the topmost seven.
    let hash = (hash >> 32) as usize & 0x1ff_ffff;
    let all = tables.next_power_of_two();
    let at = hash & (all - 1);
    // Not split yet: still where one bit less says.
    if at < tables { at } else { at & (all / 2 - 1) }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Some hash; its quality is not what is tested.
    fn hash(number: &u64) -> u64 {
        number
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29)
            .wrapping_mul(0xd6e8_feb8_6659_fd93)
    }

    #[test]
    fn everything_is_found_at_every_size_until_it_is_removed() {
        const NUMBERS: u64 = 20_000;
        let mut table = SplitTable::default();
        for number in 0..NUMBERS {
            table.insert(hash(&number), number, hash);
            let earlier = number / 2;
            assert_eq!(table.find(hash(&earlier), |n| *n == earlier), Some(&earlier));
        }
        assert_eq!(table.tables.len(), NUMBERS as usize / TABLE_LEN + 1);
        for number in 0..NUMBERS {
            assert_eq!(table.find(hash(&number), |n| *n == number), Some(&number));
            if number % 3 == 0 {
                assert_eq!(table.remove(hash(&number), |n| *n == number, hash), Some(number));
                assert_eq!(table.remove(hash(&number), |n| *n == number, hash), None);
            }
        }
        for number in 0..NUMBERS {
            let found = table.find(hash(&number), |n| *n == number);
            assert_eq!(found.is_some(), number % 3 != 0);
        }
    }

    #[test]
    fn tables_give_their_memory_back_once_they_are_empty() {
        let mut table = SplitTable::default();
        (0..20_000).for_each(|number| table.insert(hash(&number), number, hash));
        let buckets = |table: &SplitTable<u64>| -> usize {
            table.tables.iter().map(HashTable::num_buckets).sum()
        };
        assert!(buckets(&table) >= 20_000);
        for number in 0..20_000 {
            assert!(table.remove(hash(&number), |n| *n == number, hash).is_some());
        }
        let left = buckets(&table);
        assert!(left <= table.tables.len() * BUCKETS_KEPT, "{left} buckets");
    }

    #[test]
    fn adding_one_hashes_some_hundred_anew_however_many_there_are() {
        let mut table = SplitTable::default();
        let hashes = Cell::new(0);
        for number in 0..200_000 {
            hashes.set(0);
            table.insert(hash(&number), number, |n| {
                hashes.set(hashes.get() + 1);
                hash(n)
            });
            assert!(hashes.get() < 8 * TABLE_LEN, "{} at {number}", hashes.get());
        }
    }
}

//! Topics in the order of their names, in a few bytes each, so that a pattern finds its topics.

/// The slots of topics, in the order of the topics' names, which the caller knows.
///
/// Short lists in a list: adding a slot moves a thousand bytes at most, and now and then the list of lists.
#[derive(Default)]
pub(super) struct NameOrder {
    /// None of them is empty.
    lists: Vec<Vec<u32>>,
}

/// Maximum length of a list.
const LIST_LEN: usize = 256;

impl NameOrder {
    /// Adds a slot, unless it is there. `is_before` says which slots come before it.
    pub(super) fn insert(&mut self, slot: u32, is_before: impl FnMut(u32) -> bool) {
        let (mut list, mut at) = self.place(is_before);
        if self.get(list, at) == Some(slot) {
            return;
        }
        if list == self.lists.len() {
            // Behind all others: at the end of the last list, if there is one.
            match self.lists.len().checked_sub(1) {
                Some(last) => (list, at) = (last, self.lists[last].len()),
                None => self.lists.push(Vec::with_capacity(LIST_LEN)),
            }
        }
        if self.lists[list].len() == LIST_LEN {
            let half = LIST_LEN / 2;
            let mut second = Vec::with_capacity(LIST_LEN);
            second.extend(self.lists[list].drain(half..));
            self.lists.insert(list + 1, second);
            if at > half {
                (list, at) = (list + 1, at - half);
            }
        }
        self.lists[list].insert(at, slot);
    }

    /// Removes a slot, if it is there.
    pub(super) fn remove(&mut self, slot: u32, is_before: impl FnMut(u32) -> bool) {
        let (list, at) = self.place(is_before);
        if self.get(list, at) != Some(slot) {
            return;
        }
        self.lists[list].remove(at);
        if self.lists[list].is_empty() {
            self.lists.remove(list);
        }
    }

    /// The slots in order, without those that `is_before` selects.
    pub(super) fn from(
        &self,
        is_before: impl FnMut(u32) -> bool,
    ) -> impl Iterator<Item = u32> + Clone {
        let (list, at) = self.place(is_before);
        let first = self.lists.get(list).map(|list| &list[at..]).unwrap_or_default();
        let rest = self.lists.get(list + 1..).unwrap_or_default();
        first.iter().chain(rest.iter().flatten()).copied()
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.lists.len() * LIST_LEN * size_of::<u32>()
            + self.lists.capacity() * size_of::<Vec<u32>>()
    }

    fn get(&self, list: usize, at: usize) -> Option<u32> {
        self.lists.get(list)?.get(at).copied()
    }

    fn place(&self, mut is_before: impl FnMut(u32) -> bool) -> (usize, usize) {
        let is_all_before = |list: &Vec<u32>| list.last().is_some_and(|&slot| is_before(slot));
        let list = self.lists.partition_point(is_all_before);
        let at = self.lists.get(list).map_or(0, |it| it.partition_point(|&slot| is_before(slot)));
        (list, at)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn slots_are_in_order_whatever_was_added_and_removed() {
        let mut rng = fastrand::Rng::with_seed(3);
        let (mut order, mut model) = (NameOrder::default(), BTreeSet::new());
        for step in 0..20_000 {
            let slot = rng.u32(..3_000);
            // It grows first, and shrinks to nothing in the end.
            if rng.usize(..20_000) > step {
                order.insert(slot, |other| other < slot);
                model.insert(slot);
            } else {
                order.remove(slot, |other| other < slot);
                model.remove(&slot);
            }
            if step % 500 == 0 {
                let from = rng.u32(..3_000);
                let found: Vec<_> = order.from(|other| other < from).collect();
                assert_eq!(found, model.range(from..).copied().collect::<Vec<_>>());
            }
        }
        for slot in 0..3_000 {
            order.remove(slot, |other| other < slot);
        }
        assert!(order.lists.is_empty());
        assert_eq!(order.from(|_| false).next(), None);
    }
}

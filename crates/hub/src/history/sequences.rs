//! The list of one topic's entries: small where it is short.

use std::collections::VecDeque;

use crate::cursor::Sequence;

/// Sequences in rising order, added at the end and taken from the front.
///
/// A topic of its own often holds one event or none, so that these take no memory of their own.
#[derive(Debug)]
pub(super) struct Sequences(List);

#[derive(Debug)]
enum List {
    /// One, or none where it is zero.
    One(Sequence),
    Few(Box<Few>),
    #[expect(clippy::box_collection, reason = "a quarter of the size, in every topic's state")]
    Many(Box<VecDeque<Sequence>>),
}

/// Some sequences beside their number, as many as fit a line of the processor's cache: a publish to a topic that
/// holds a few events fetches nothing else.
#[derive(Debug)]
struct Few {
    len: usize,
    sequences: [Sequence; FEW_MAX],
}

const FEW_MAX: usize = 64 / size_of::<Sequence>() - 1;

/// Below this a list's spare room is not worth giving back.
const SPARE_MIN: usize = 64;

impl Sequences {
    pub(super) const fn new() -> Self {
        Self(List::One(Sequence::ZERO))
    }

    pub(super) fn len(&self) -> usize {
        match &self.0 {
            List::One(Sequence::ZERO) => 0,
            List::One(_) => 1,
            List::Few(few) => few.len,
            List::Many(list) => list.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn get(&self, at: usize) -> Option<Sequence> {
        match &self.0 {
            List::One(one) => Some(*one).filter(|_| at < self.len()),
            List::Few(few) => few.as_slice().get(at).copied(),
            List::Many(list) => list.get(at).copied(),
        }
    }

    pub(super) fn first(&self) -> Option<Sequence> {
        self.get(0)
    }

    pub(super) fn last(&self) -> Option<Sequence> {
        self.get(self.len().checked_sub(1)?)
    }

    /// How many are at or before a place: where in the list the first one after it is.
    pub(super) fn through(&self, place: Sequence) -> usize {
        match &self.0 {
            List::One(one) => {
                if *one <= place {
                    self.len()
                } else {
                    0
                }
            }
            List::Few(few) => few.as_slice().partition_point(|&sequence| sequence <= place),
            List::Many(list) => list.partition_point(|&sequence| sequence <= place),
        }
    }

    /// Adds one that is above all others, and above zero.
    pub(super) fn push(&mut self, sequence: Sequence) {
        match &mut self.0 {
            List::One(none @ Sequence::ZERO) => *none = sequence,
            List::One(one) => {
                let mut few = Few { len: 0, sequences: [Sequence::ZERO; FEW_MAX] };
                few.push(*one);
                few.push(sequence);
                self.0 = List::Few(Box::new(few));
            }
            List::Few(few) if few.len < FEW_MAX => few.push(sequence),
            List::Few(few) => {
                let all = few.as_slice().iter().copied().chain([sequence]);
                self.0 = List::Many(Box::new(all.collect()));
            }
            List::Many(list) => list.push_back(sequence),
        }
    }

    /// Takes the lowest.
    pub(super) fn pop(&mut self) -> Option<Sequence> {
        let popped = match &mut self.0 {
            List::One(Sequence::ZERO) => return None,
            List::One(one) => return Some(std::mem::take(one)),
            List::Few(few) => few.pop(),
            List::Many(list) => {
                let popped = list.pop_front();
                if list.capacity() > SPARE_MIN && list.len() * 4 < list.capacity() {
                    list.shrink_to(list.len() * 2);
                }
                popped
            }
        };
        // Not before it is empty: a topic that is kept at one event would take and return memory for each.
        if self.is_empty() {
            *self = Self::new();
        }
        popped
    }

    /// Bytes that it has allocated.
    pub(super) fn heap_bytes(&self) -> usize {
        match &self.0 {
            List::One(_) => 0,
            List::Few(_) => size_of::<Few>(),
            List::Many(list) => {
                size_of::<VecDeque<Sequence>>() + list.capacity() * size_of::<Sequence>()
            }
        }
    }
}

impl Few {
    fn as_slice(&self) -> &[Sequence] {
        &self.sequences[..self.len]
    }

    /// Adds one, for which there must be room.
    fn push(&mut self, sequence: Sequence) {
        self.sequences[self.len] = sequence;
        self.len += 1;
    }

    fn pop(&mut self) -> Option<Sequence> {
        let first = self.as_slice().first().copied()?;
        self.sequences.copy_within(1..self.len, 0);
        self.len -= 1;
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_list_at_every_length_on_the_way_up_and_down() {
        let mut list = Sequences::new();
        let mut reference = VecDeque::new();
        let check = |list: &Sequences, reference: &VecDeque<u64>| {
            assert_eq!(list.len(), reference.len());
            assert_eq!(list.is_empty(), reference.is_empty());
            assert_eq!(list.first().map(Sequence::get), reference.front().copied());
            assert_eq!(list.last().map(Sequence::get), reference.back().copied());
            for place in 0..25 {
                let through = reference.iter().filter(|&&number| number <= place).count();
                assert_eq!(list.through(Sequence::new(place).unwrap()), through);
                let at = place as usize;
                assert_eq!(list.get(at).map(Sequence::get), reference.get(at).copied());
            }
        };
        check(&list, &reference);
        for turn in 0..10 {
            for number in [2, 3, 7, 9, 10, 11, 14, 15, 20, 23].into_iter().take(turn + 1) {
                list.push(Sequence::new(number).unwrap());
                reference.push_back(number);
                check(&list, &reference);
            }
            while let Some(first) = reference.pop_front() {
                assert_eq!(list.pop().map(Sequence::get), Some(first));
                check(&list, &reference);
            }
            assert_eq!(list.pop(), None);
        }
    }

    #[test]
    fn a_few_fill_a_line_with_their_number_and_the_next_one_makes_them_many() {
        assert_eq!(size_of::<Few>(), 64);
        assert_eq!(size_of::<Sequences>(), 16);
        let mut list = Sequences::new();
        let mut push = |number| {
            list.push(Sequence::new(number).unwrap());
            list.heap_bytes()
        };
        assert_eq!(push(1), 0);
        (2..=FEW_MAX as u64).for_each(|number| assert_eq!(push(number), 64));
        assert!(push(FEW_MAX as u64 + 1) > 64);
    }

    #[test]
    fn one_entry_takes_no_memory_and_an_emptied_list_gives_back_all_of_it() {
        let mut list = Sequences::new();
        list.push(Sequence::new(1).unwrap());
        assert_eq!(list.heap_bytes(), 0);
        for number in 2..=10_000 {
            list.push(Sequence::new(number).unwrap());
        }
        let full = list.heap_bytes();
        assert!(full >= 80_000);
        for _ in 0..9_000 {
            list.pop();
        }
        assert!(list.heap_bytes() < full / 3, "{} of {full}", list.heap_bytes());
        while list.pop().is_some() {}
        assert_eq!(list.heap_bytes(), 0);
    }
}

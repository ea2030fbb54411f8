//! Losses that concern every topic: the entries before the journal's oldest one, and damage.

use std::collections::VecDeque;

use super::EvictionStamp;
use crate::cursor::Sequence;

/// Entries that can no longer be read and whose topics are unknown.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// Everything up to this place is lost.
    floor: Sequence,
    floor_at: EvictionStamp,
    /// The latest such places, with when they were noted: what was lost before a reader was told of a gap is told.
    floors: VecDeque<(EvictionStamp, Sequence)>,
    /// The last entries of damaged parts, with when they were found.
    damaged: Vec<(Sequence, EvictionStamp)>,
    /// When the latest loss was found. Most readers have been told of it, and need not look at the others.
    newest_at: EvictionStamp,
}

/// Maximum number of damaged parts that are told apart. Beyond it, the two oldest are merged into one.
const DAMAGED_MAX: usize = 1000;
/// Number of earlier floors: each is a segment of a journal, or some of its events that became too old.
const FLOORS_MAX: usize = 256;

impl Losses {
    /// The place up to which everything is lost.
    pub(super) fn floor(&self) -> Sequence {
        self.floor
    }

    pub(super) fn raise_floor(&mut self, floor: Sequence, at: EvictionStamp) {
        (self.floor, self.floor_at, self.newest_at) = (floor, at, at);
        if self.floors.len() == FLOORS_MAX {
            self.floors.pop_front();
        }
        self.floors.push_back((at, floor));
    }

    /// Notes a damaged part that ends with an entry. Parts that are known are not told again.
    pub(super) fn damage(&mut self, last: Sequence, at: EvictionStamp) {
        if self.damaged.iter().any(|(known, _)| *known == last) {
            return;
        }
        if self.damaged.len() == DAMAGED_MAX
            && let Some((first, _)) = self.damaged.first().copied()
            && let Some(second) = self.damaged.get_mut(1)
        {
            second.0 = second.0.max(first);
            self.damaged.remove(0);
        }
        self.damaged.push((last, at));
        self.newest_at = at;
    }

    /// Returns whether something after a place is lost that was not told at a stamp. The floor counts only
    /// for a view of which entries after a place may have been dropped, as `is_dropped` says.
    pub(super) fn is_lost(
        &self,
        after: Sequence,
        told_at: EvictionStamp,
        is_dropped: impl FnOnce(Sequence) -> bool,
    ) -> bool {
        if self.newest_at <= told_at {
            return false;
        }
        self.damaged.iter().any(|(last, at)| *last > after && *at > told_at)
            || (self.floor > after && self.floor_at > told_at && {
                let told = self.floors.iter().rev().find(|(at, _)| *at <= told_at);
                is_dropped(told.map_or(after, |(_, floor)| after.max(*floor)))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_loss_is_told_once_to_those_before_it() {
        let sequence = |number| Sequence::new(number).unwrap();
        let stamps: Vec<_> =
            std::iter::successors(Some(EvictionStamp::default()), |s| Some(s.next()))
                .take(5)
                .collect();
        let mut losses = Losses::default();
        let is_lost = |losses: &Losses, after, told_at: usize| {
            losses.is_lost(sequence(after), stamps[told_at], |_| after != 7)
        };
        assert!(!is_lost(&losses, 0, 0));
        losses.raise_floor(sequence(10), stamps[1]);
        losses.damage(sequence(101), stamps[2]);
        losses.damage(sequence(9), stamps[3]);
        losses.damage(sequence(9), stamps[4]);
        assert!(is_lost(&losses, 0, 0) && !is_lost(&losses, 0, 3));
        assert!(is_lost(&losses, 50, 1) && !is_lost(&losses, 50, 2), "a later find is before it");
        assert!(!is_lost(&losses, 101, 0));
        losses.raise_floor(sequence(20), stamps[4]);
        assert!(is_lost(&losses, 12, 3) && !is_lost(&losses, 20, 3) && !is_lost(&losses, 7, 3));
    }

    #[test]
    fn many_damaged_parts_count_as_one() {
        let mut losses = Losses::default();
        let mut stamp = EvictionStamp::default();
        for number in 1..=3 * DAMAGED_MAX as u64 {
            stamp = stamp.next();
            losses.damage(Sequence::new(number).unwrap(), stamp);
        }
        assert_eq!(losses.damaged.len(), DAMAGED_MAX);
        assert!(losses.is_lost(Sequence::ZERO, EvictionStamp::default(), |_| false));
    }
}

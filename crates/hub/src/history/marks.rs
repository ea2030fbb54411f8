//! Watch marks: which shards have readers of a topic.

use smallvec::{SmallVec, smallvec};

/// A shard's number in its hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ShardIndex(pub(super) u32);

/// A change of a watch mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Set,
    Clear,
}

/// The shards that have readers of a topic, and how many each.
///
/// Most topics with readers have them on one shard.
pub(super) enum Marks {
    One(ShardIndex, u32),
    More(Box<SmallVec<[(ShardIndex, u32); 4]>>),
}

impl Default for Marks {
    fn default() -> Self {
        Self::One(ShardIndex(0), 0)
    }
}

impl Marks {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::One(_, 0))
    }

    pub(super) fn has(&self, shard: ShardIndex) -> bool {
        match self {
            Self::One(one, readers) => *one == shard && *readers > 0,
            Self::More(shards) => shards.iter().any(|(marked, _)| *marked == shard),
        }
    }

    /// Sets or clears one mark of a shard. Clearing a mark that is not set does nothing.
    pub(super) fn change(&mut self, shard: ShardIndex, change: Mark) {
        match (&mut *self, change) {
            (Self::One(one, readers), Mark::Set) if *readers == 0 || *one == shard => {
                (*one, *readers) = (shard, *readers + 1);
            }
            (Self::One(one, readers), Mark::Set) => {
                *self = Self::More(Box::new(smallvec![(*one, *readers), (shard, 1)]));
            }
            (Self::One(one, readers), Mark::Clear) => {
                *readers -= u32::from(*one == shard && *readers > 0);
            }
            (Self::More(shards), change) => {
                let at = shards.iter().position(|(marked, _)| *marked == shard);
                match (change, at) {
                    (Mark::Set, Some(at)) => shards[at].1 += 1,
                    (Mark::Set, None) => shards.push((shard, 1)),
                    (Mark::Clear, Some(at)) if shards[at].1 > 1 => shards[at].1 -= 1,
                    (Mark::Clear, Some(at)) => drop(shards.swap_remove(at)),
                    (Mark::Clear, None) => {}
                }
                if let [(one, readers)] = shards[..] {
                    *self = Self::One(one, readers);
                }
            }
        }
    }
}

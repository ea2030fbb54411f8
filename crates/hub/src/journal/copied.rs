//! Entries that are copied from another store, with the sequences that they have there.

use super::{Entry, Lost};
use crate::cursor::{Epoch, Sequence};
use crate::draft::IdempotencyKey;
use crate::time::Time;

/// The store that a journal is a copy of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyOf {
    /// The epoch of the store's entries. A copy of another epoch is begun anew.
    pub epoch: Epoch,
    /// The place before the oldest entry of the store. A copy that does not reach it is begun anew there:
    /// what follows its newest entry is gone.
    pub oldest: Sequence,
}

impl CopyOf {
    /// A copy of a store of an epoch, which has the entries after a place.
    #[must_use]
    pub fn new(epoch: Epoch, oldest: Sequence) -> Self {
        Self { epoch, oldest }
    }
}

/// A step of another store, such as a message: its entries, and the place that is reached with them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Copied {
    /// The place before its entries.
    pub after: Sequence,
    /// The entries, with their idempotency keys.
    pub entries: Vec<(Entry, Option<IdempotencyKey>)>,
    /// Entries that cannot be known, up to and including those of this step.
    pub lost: Vec<Lost>,
    /// The end of the step.
    pub end: CopiedTo,
}

/// The end of a step. After it, a copy has everything up to there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopiedTo {
    /// The place that is reached, after all of the step's entries.
    pub through: Sequence,
    /// When the store took the step.
    pub time: Time,
    /// Two numbers that are handed back when the copy is opened again.
    pub digest: (u64, u64),
}

impl Copied {
    /// A step without entries.
    #[must_use]
    pub fn new(after: Sequence, end: CopiedTo) -> Self {
        Self { after, entries: Vec::new(), lost: Vec::new(), end }
    }
}

impl CopiedTo {
    /// A place that is reached.
    #[must_use]
    pub fn new(through: Sequence, time: Time, digest: (u64, u64)) -> Self {
        Self { through, time, digest }
    }
}

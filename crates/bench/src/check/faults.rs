//! The faults of a run.

use serde::Serialize;

use crate::words::grouped;

/// The kinds of faults, and the number of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Faults {
    /// Deliveries that were due and never arrived.
    pub(crate) lost: u64,
    /// Deliveries that had arrived before.
    pub(crate) doubled: u64,
    /// Deliveries that arrived after a later one.
    pub(crate) out_of_order: u64,
    /// Deliveries to subscribers of another topic or of another run.
    pub(crate) misdelivered: u64,
    /// Events that differ from what was published.
    pub(crate) corrupt: u64,
    /// Event streams that ended before the run did.
    pub(crate) closed: u64,
}

impl Faults {
    pub(crate) fn total(&self) -> u64 {
        let Self { lost, doubled, out_of_order, misdelivered, corrupt, closed } = *self;
        lost + doubled + out_of_order + misdelivered + corrupt + closed
    }

    /// Lists the kinds of faults that occurred, in words.
    pub(crate) fn in_words(&self) -> Vec<String> {
        let Self { lost, doubled, out_of_order, misdelivered, corrupt, closed } = *self;
        let kinds = [
            (lost, "lost"),
            (doubled, "doubled"),
            (out_of_order, "out of order"),
            (misdelivered, "misdelivered"),
            (corrupt, "corrupt"),
            (closed, if closed == 1 { "stream closed" } else { "streams closed" }),
        ];
        let there = kinds.into_iter().filter(|(count, _)| *count > 0);
        there.map(|(count, kind)| format!("{} {kind}", grouped(count))).collect()
    }
}

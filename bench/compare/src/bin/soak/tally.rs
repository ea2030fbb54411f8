//! Counts of the work of clients, and of faults.

use std::collections::BTreeMap;

/// Counts of a load, or of all loads.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Work by its name: runs of a scenario, events read by a kind of client.
    pub(crate) work: BTreeMap<String, u64>,
    /// Faults by what they are.
    pub(crate) faults: BTreeMap<String, u64>,
}

impl Tally {
    pub(crate) fn work(&mut self, name: &str, count: u64) {
        *self.work.entry(name.to_owned()).or_default() += count;
    }

    pub(crate) fn fault(&mut self, name: String) {
        self.faults(name, 1);
    }

    pub(crate) fn faults(&mut self, name: String, count: u64) {
        if count > 0 {
            *self.faults.entry(name).or_default() += count;
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        for (name, count) in other.work {
            *self.work.entry(name).or_default() += count;
        }
        for (name, count) in other.faults {
            self.faults(name, count);
        }
    }
}

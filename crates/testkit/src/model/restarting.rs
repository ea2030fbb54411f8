//! Restarts: the hub of a schedule is closed, and another one is opened on the same journal.

use fastrand::Rng;

use super::driver::open;
use super::schedule::{Readers, Schedule};

impl Schedule {
    /// Decides when the hub of a seed is restarted. Seeds that have failed before these restarts have none.
    pub(super) fn restarts_of(seed: u64, is_kept: bool) -> Option<Rng> {
        (is_kept && seed % 5 < 2).then(|| Rng::with_seed(seed ^ 0x0e_57a7))
    }

    /// Closes the hub now and then, and opens another one, to which its readers come back.
    pub(super) fn restart<R: Readers>(&mut self, readers: &mut R) {
        let (Some(rng), Some((journal, _))) = (&mut self.restarts, &self.kept) else { return };
        if rng.u32(0..50) > 0 {
            return;
        }
        // Fewer than the journal keeps at least, as a hub's memory has in the other steps.
        let most = if rng.bool() { 40 } else { 150 };
        let newest = rng.u64(0..most);
        let journal = journal.clone().beginning_with(newest);
        if !readers.leave_all(self) {
            self.restarts = None;
            return;
        }
        self.feed_all();
        let (hub, driver) = open(self.hub.config().clone(), &journal, self.now);
        (self.hub, self.kept) = (hub, Some((journal, driver)));
        self.drive();
        self.restart_streams();
        self.counts.add("restarts", 1);
    }
}

//! Changes of the limits of topics while the hub is in use.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Hub, Inner};
use crate::retention::Retention;
use crate::time::Time;

impl Hub {
    /// Changes the limits of topics: [`Retention::topic_events_max`], [`Retention::age_max`] and
    /// [`Retention::rules`]. [`Retention::bytes_max`] stays what it was.
    ///
    /// When it returns, no topic holds an event beyond its new limits, and readers that missed one are told of a gap. A
    /// looser limit is about what is published from then on: an event that was let go of need not come back.
    /// Publishing goes on meanwhile.
    pub fn limit_topics(&self, retention: &Retention) {
        let Inner { journal, clock, reads, .. } = &*self.inner;
        self.inner.every_age_max.store(retention.every_age_millis(), Ordering::Release);
        journal.retain(&retention.all_rules());
        let (time, uptime) = (clock.time(), clock.uptime() as i64);
        let appended_at = |at: Time| uptime - time.unix_millis() as i64 + at.unix_millis() as i64;
        let change = self.write().begin_rule_change(retention, appended_at);
        let mut next = Some(0);
        while let Some(from) = next {
            next = self.write().change_some_rules(from);
        }
        self.write().finish_rule_change(change);
        while self.write().expire(uptime) {}
        reads.forget_pages();
    }
}

impl Inner {
    /// The age after which no topic holds an event any more, if there is one.
    pub(super) fn every_age_max(&self) -> Option<Duration> {
        let age_max = self.every_age_max.load(Ordering::Acquire);
        (age_max != u64::MAX).then(|| Duration::from_millis(age_max))
    }
}

//! Limits on age, where topics have different ones.

use std::time::Duration;

use super::ages::Ages;
use super::retention::Retention;
use super::rules::RuleNumber;
use crate::cursor::Sequence;

/// The limits on age that topics have, each once.
#[derive(Debug)]
pub(super) struct AgeLimits {
    limits: Vec<AgeLimit>,
    /// The limit of topics without a rule, and of those of each rule.
    of_rules: Vec<Option<usize>>,
    /// The limit by which every topic has let go of an event.
    last: Option<usize>,
}

#[derive(Debug)]
pub(super) struct AgeLimit {
    pub(super) age_max: Duration,
    pub(super) ages: Ages,
    /// The topics with this limit have let go of everything up to here.
    pub(super) done_through: Sequence,
}

impl AgeLimits {
    pub(super) fn new(retention: &Retention) -> Self {
        let mut limits: Vec<AgeLimit> = Vec::new();
        let mut limit_of = |age_max: Option<Duration>| {
            let age_max = age_max?;
            let known = limits.iter().position(|limit| limit.age_max == age_max);
            Some(known.unwrap_or_else(|| {
                let (ages, done_through) = (Ages::default(), Sequence::ZERO);
                limits.push(AgeLimit { age_max, ages, done_through });
                limits.len() - 1
            }))
        };
        let of_rules = retention.rules.iter().map(|rule| rule.limits.age_max);
        let of_rules = [retention.age_max].into_iter().chain(of_rules).map(&mut limit_of).collect();
        let last = limit_of(retention.every_age_max());
        Self { limits, of_rules, last }
    }

    pub(super) fn of(&self, rule: Option<RuleNumber>) -> Option<usize> {
        self.of_rules.get(RuleNumber::index(rule)).copied().flatten()
    }

    /// The limit by which every topic has let go of an event, if there is one.
    pub(super) fn last(&self) -> Option<usize> {
        self.last
    }

    pub(super) fn len(&self) -> usize {
        self.limits.len()
    }

    pub(super) fn get_mut(&mut self, limit: usize) -> &mut AgeLimit {
        &mut self.limits[limit]
    }

    /// Notes that entries from `first` on are appended at `time`.
    pub(super) fn note(&mut self, first: Sequence, time: i64) {
        for AgeLimit { age_max, ages, .. } in &mut self.limits {
            ages.note(first, time, *age_max);
        }
    }

    /// Bytes allocated.
    pub(super) fn bytes(&self) -> usize {
        self.limits.iter().map(|limit| limit.ages.bytes()).sum()
    }
}

impl AgeLimit {
    /// The newest entry that is older than the limit, with everything before it.
    pub(super) fn through(&mut self, now: i64, tail: Sequence) -> Sequence {
        self.ages.through(now, tail, self.age_max)
    }
}

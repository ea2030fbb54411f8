//! Limits on age, where topics have different ones.

use std::time::Duration;

use super::ages::Ages;
use super::rules::{RuleNumber, Rules};
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
    pub(super) fn new(rules: &Rules) -> Self {
        let mut limits = Self { limits: Vec::new(), of_rules: Vec::new(), last: None };
        limits.change(rules, |_| Ages::default());
        limits
    }

    /// Changes to the limits that rules have. `ages` makes the ages of what is held for a limit that is new.
    pub(super) fn change(&mut self, rules: &Rules, ages: impl Fn(Duration) -> Ages) {
        let mut known = std::mem::take(&mut self.limits);
        let mut limits: Vec<AgeLimit> = Vec::new();
        let mut limit_of = |age_max: Option<Duration>| {
            let age_max = age_max?;
            let is_it = |limit: &AgeLimit| limit.age_max == age_max;
            Some(limits.iter().position(is_it).unwrap_or_else(|| {
                let new =
                    || AgeLimit { age_max, ages: ages(age_max), done_through: Sequence::ZERO };
                let at = known.iter().position(is_it);
                limits.push(at.map_or_else(new, |at| known.swap_remove(at)));
                limits.len() - 1
            }))
        };
        self.of_rules = rules.age_limits().map(&mut limit_of).collect();
        self.last = limit_of(rules.every_age_max());
        self.limits = limits;
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

    pub(super) fn get(&self, limit: usize) -> &AgeLimit {
        &self.limits[limit]
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

//! The rules of topics: which limits a topic has.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::retention::{Retention, RetentionRule, TopicLimits};

/// The rules of a retention. A topic looks for its rule when it becomes known, and when they change.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// Those in force, and those that some topics still have, by their numbers.
    rules: Vec<Option<RetentionRule>>,
    /// Those in force, in their order.
    in_force: Vec<RuleNumber>,
    /// The limits of topics that no rule matches.
    default: TopicLimits,
    /// How often they have changed.
    changes: u64,
}

/// A number of a rule, counted from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RuleNumber(NonZeroU32);

impl RuleNumber {
    fn of(at: usize) -> Option<Self> {
        NonZeroU32::new(u32::try_from(at).ok()?.checked_add(1)?).map(Self)
    }

    /// The place among the rules, behind the limits of topics without a rule.
    pub(super) fn index(rule: Option<Self>) -> usize {
        rule.map_or(0, |Self(number)| number.get() as usize)
    }
}

impl Rules {
    pub(super) fn new(retention: &Retention) -> Self {
        let mut rules = Self::default();
        rules.change(retention);
        rules
    }

    /// Puts others in force, and returns the number of the change. A rule that stays keeps its number.
    pub(super) fn change(&mut self, retention: &Retention) -> u64 {
        let mut in_force = Vec::new();
        for rule in &retention.rules {
            let known = self.rules.iter().position(|known| known.as_ref() == Some(rule));
            let at = known.unwrap_or_else(|| {
                let vacant = self.rules.iter().position(Option::is_none);
                let at = vacant.unwrap_or(self.rules.len());
                self.rules.resize(self.rules.len().max(at + 1), None);
                self.rules[at] = Some(rule.clone());
                at
            });
            in_force.extend(RuleNumber::of(at));
        }
        self.in_force = in_force;
        self.default = retention.default_limits();
        self.changes += 1;
        self.changes
    }

    /// Forgets the rules that are not in force: no topic has one of them since a change. `false` if there was a later
    /// change.
    pub(super) fn finish_change(&mut self, change: u64) -> bool {
        if change != self.changes {
            return false;
        }
        for (at, rule) in self.rules.iter_mut().enumerate() {
            if !RuleNumber::of(at).is_some_and(|number| self.in_force.contains(&number)) {
                *rule = None;
            }
        }
        while self.rules.pop_if(|last| last.is_none()).is_some() {}
        true
    }

    /// How often they have changed.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Returns whether no topic has a rule.
    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Returns whether a topic may have a limit by which it lets go of its oldest event when a new one
    /// comes.
    pub(super) fn is_limiting(&self) -> bool {
        self.default.events_max.is_some() || !self.is_empty()
    }

    /// Returns whether the readers of some topic skip events when they are behind.
    pub(super) fn is_conflating(&self) -> bool {
        self.rules.iter().flatten().any(|rule| rule.limits.conflate)
    }

    /// Finds the rule of a topic: the first that matches it.
    pub(super) fn find(&self, topic: &str) -> Option<RuleNumber> {
        let rule = |number| self.rules[RuleNumber::index(Some(number)) - 1].as_ref();
        let matches = |number| rule(number).is_some_and(|rule| rule.filter.matches(topic));
        self.in_force.iter().copied().find(|&number| matches(number))
    }

    pub(super) fn limits(&self, rule: Option<RuleNumber>) -> &TopicLimits {
        let at = RuleNumber::index(rule).checked_sub(1);
        let rule = at.and_then(|at| self.rules.get(at)?.as_ref());
        rule.map_or(&self.default, |rule| &rule.limits)
    }

    /// The limits on age of topics without a rule, and of those of each rule, by their numbers.
    pub(super) fn age_limits(&self) -> impl Iterator<Item = Option<Duration>> {
        let of_rules = self.rules.iter().map(|rule| rule.as_ref()?.limits.age_max);
        [self.default.age_max].into_iter().chain(of_rules)
    }

    /// The age after which no topic holds an event any more; `None` if some topic has no such age.
    pub(super) fn every_age_max(&self) -> Option<Duration> {
        let of_rules = self.rules.iter().flatten().map(|rule| rule.limits.age_max);
        of_rules.fold(self.default.age_max, |most, age_max| Some(most?.max(age_max?)))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::filter::TopicFilter;

    #[test]
    fn the_first_rule_that_matches_a_topic_decides_and_replaces_the_default() {
        let limits =
            |events| TopicLimits::default().with_events_max(NonZeroUsize::new(events).unwrap());
        let rule = |pattern, events| {
            RetentionRule::new(TopicFilter::pattern(pattern).unwrap(), limits(events))
        };
        let retention = Retention {
            topic_events_max: NonZeroUsize::new(9),
            rules: vec![rule("a/b", 1), rule("a/*", 2), rule("a/**", 3)],
            ..Retention::default()
        };
        let rules = Rules::new(&retention);
        for (topic, events) in [("a/b", 1), ("a/c", 2), ("a/b/c", 3), ("a", 3), ("b", 9)] {
            let found = rules.limits(rules.find(topic));
            // A pattern that ends in `**` may or may not stand for nothing.
            if topic != "a" {
                assert_eq!(*found, limits(events), "{topic}");
            }
        }
    }

    #[test]
    fn rules_that_stay_keep_their_numbers_and_others_stay_until_no_topic_has_them() {
        let rule = |pattern, events| {
            let limits = TopicLimits::default().with_events_max(NonZeroUsize::new(events).unwrap());
            RetentionRule::new(TopicFilter::pattern(pattern).unwrap(), limits)
        };
        let retention = |rules| Retention { rules, ..Retention::default() };
        let mut rules = Rules::new(&retention(vec![rule("a/*", 1), rule("b/*", 2)]));
        let (a, b) = (rules.find("a/1"), rules.find("b/1"));
        let change = rules.change(&retention(vec![rule("c/*", 3), rule("b/*", 2)]));
        assert_eq!((rules.find("a/1"), rules.find("b/1")), (None, b));
        assert_eq!(*rules.limits(a), rule("a/*", 1).limits);
        let later = rules.change(&retention(vec![rule("c/*", 3)]));
        assert!(!rules.finish_change(change) && rules.finish_change(later));
        assert_eq!(*rules.limits(a), TopicLimits::default());
        assert_eq!(*rules.limits(rules.find("c/1")), rule("c/*", 3).limits);
        let last = rules.change(&Retention::default());
        assert!(!rules.is_empty() && rules.finish_change(last) && rules.is_empty());
    }
}

//! The rules of topics: which limits a topic has.

use std::num::NonZeroU32;

use super::retention::{Retention, RetentionRule, TopicLimits};

/// The rules of a retention. A topic looks for its rule once, when it becomes known.
#[derive(Debug, Default)]
pub(super) struct Rules {
    rules: Vec<RetentionRule>,
    /// The limits of topics that no rule matches.
    default: TopicLimits,
}

/// A rule's place among the rules, counted from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RuleNumber(NonZeroU32);

impl RuleNumber {
    /// The place among the rules, behind the limits of topics without a rule.
    pub(super) fn index(rule: Option<Self>) -> usize {
        rule.map_or(0, |Self(number)| number.get() as usize)
    }
}

impl Rules {
    pub(super) fn new(retention: &Retention) -> Self {
        Self { rules: retention.rules.clone(), default: retention.default_limits() }
    }

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
        self.rules.iter().any(|rule| rule.limits.conflate)
    }

    /// Finds the rule of a topic: the first that matches it.
    pub(super) fn find(&self, topic: &str) -> Option<RuleNumber> {
        let at = self.rules.iter().position(|rule| rule.filter.matches(topic))?;
        NonZeroU32::new(u32::try_from(at).ok()?.checked_add(1)?).map(RuleNumber)
    }

    pub(super) fn limits(&self, rule: Option<RuleNumber>) -> &TopicLimits {
        match RuleNumber::index(rule).checked_sub(1) {
            Some(at) => &self.rules[at].limits,
            None => &self.default,
        }
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
}

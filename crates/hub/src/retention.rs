//! Retention: the limits of a history.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::filter::TopicFilter;
use crate::time::millis;

/// The limits of a history. Events beyond them are evicted, the oldest first.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Retention {
    /// Maximum size of the history: events, lists, topics and names. The newest events are always held.
    pub bytes_max: usize,
    /// Maximum number of events of each topic; `None` for no limit but that on bytes.
    pub topic_events_max: Option<NonZeroUsize>,
    /// Maximum age of an event; `None` for no limit.
    pub age_max: Option<Duration>,
    /// Rules of topics. The first rule that matches a topic replaces the two limits above for it.
    pub rules: Vec<RetentionRule>,
}

/// The limits of the topics that a filter matches.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetentionRule {
    /// The topics that it is about.
    pub filter: TopicFilter,
    /// The limits of each of them.
    pub limits: TopicLimits,
}

impl RetentionRule {
    /// The limits of each topic that a filter matches.
    #[must_use]
    pub fn new(filter: TopicFilter, limits: TopicLimits) -> Self {
        Self { filter, limits }
    }
}

/// The limits of one topic's events, whatever other topics do. By default there are none but the size of
/// the whole history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicLimits {
    /// Maximum number of events.
    pub events_max: Option<NonZeroUsize>,
    /// Maximum size of the events: data, type, ID, topics, and 64 bytes for each event. The newest event
    /// is always held.
    pub bytes_max: Option<NonZeroUsize>,
    /// Maximum age of an event.
    pub age_max: Option<Duration>,
    /// Whether the newest event alone is held. Readers do not miss the events that it supersedes, so they
    /// are told of no gap.
    pub latest_only: bool,
    /// Whether a reader that has fallen behind skips the events that are not the newest. They stay held,
    /// and a skipped event is no gap.
    pub conflate: bool,
}

impl TopicLimits {
    /// Sets the maximum number of events.
    #[must_use]
    pub fn with_events_max(mut self, events_max: NonZeroUsize) -> Self {
        self.events_max = Some(events_max);
        self
    }

    /// Sets the maximum size of the events.
    #[must_use]
    pub fn with_bytes_max(mut self, bytes_max: NonZeroUsize) -> Self {
        self.bytes_max = Some(bytes_max);
        self
    }

    /// Sets the maximum age of an event.
    #[must_use]
    pub fn with_age_max(mut self, age_max: Duration) -> Self {
        self.age_max = Some(age_max);
        self
    }

    /// Holds the newest event alone.
    #[must_use]
    pub fn latest_only(mut self) -> Self {
        self.latest_only = true;
        self
    }

    /// Lets readers that have fallen behind skip all events but the newest.
    #[must_use]
    pub fn conflated(mut self) -> Self {
        self.conflate = true;
        self
    }
}

impl Default for Retention {
    /// 256 MiB: about a million events of 100 bytes, and room beside it on the smallest machines.
    fn default() -> Self {
        let (topic_events_max, age_max, rules) = (None, None, Vec::new());
        Self { bytes_max: 256 * 1024 * 1024, topic_events_max, age_max, rules }
    }
}

impl Retention {
    /// The limits of topics that no rule matches.
    pub(crate) fn default_limits(&self) -> TopicLimits {
        let Self { topic_events_max: events_max, age_max, .. } = *self;
        TopicLimits { events_max, age_max, ..TopicLimits::default() }
    }

    /// The rules, and after them one for the topics that none of them matches, if those have limits.
    pub(crate) fn all_rules(&self) -> Vec<RetentionRule> {
        let default = self.default_limits();
        let all = TopicFilter::pattern("**").expect("it is a pattern");
        let last = (default != TopicLimits::default()).then(|| RetentionRule::new(all, default));
        self.rules.iter().cloned().chain(last).collect()
    }

    /// The age after which no topic holds an event any more, in milliseconds; the largest number if some topic has no
    /// such age.
    pub(crate) fn every_age_millis(&self) -> u64 {
        let of_rules = self.rules.iter().map(|rule| rule.limits.age_max);
        let most = of_rules.fold(self.age_max, |most, age_max| Some(most?.max(age_max?)));
        most.map_or(u64::MAX, millis)
    }

    /// The idempotency keys of a journal in memory may take a quarter of the budget.
    pub(crate) fn keys_bytes_max(&self) -> usize {
        self.bytes_max / 4
    }

    /// The state of streams may take half of the budget.
    pub(crate) fn streams_bytes_max(&self) -> usize {
        self.bytes_max / 2
    }

    /// Maximum bytes of the blocks that wait for one shard: a sixteenth more than the budget.
    #[cfg(feature = "engine")]
    pub(crate) fn hints_bytes_max(&self) -> usize {
        self.bytes_max / 16
    }

    /// Maximum bytes of evicted events that are kept for readers which have stopped in them: an eighth more
    /// than the budget, for each shard and for all bodies together.
    #[cfg(feature = "engine")]
    pub(crate) fn rests_bytes_max(&self) -> usize {
        self.bytes_max / 8
    }
}

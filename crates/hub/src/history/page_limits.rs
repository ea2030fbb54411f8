//! The limits of topics on a page of the journal, for views with patterns, whose topics are not counted.

use std::collections::HashMap;
use std::time::Duration;

use super::rules::Rules;
use super::tellings::Moment;
use crate::cursor::Sequence;
use crate::journal::{Beyond, Entry};
use crate::time::Time;
use crate::topic::Topic;

/// The events of a page that are beyond limits of their topics.
#[derive(Debug, Default)]
pub(super) struct PageLimits {
    beyond: HashMap<Topic, (Sequence, Moment)>,
    /// The latest of the entries by which events came to be beyond a limit.
    since: Sequence,
}

impl PageLimits {
    /// Finds the events of a page that are too old at a time, beside those that the journal has found.
    pub(super) fn new(
        (entries, found): (&[Entry], Vec<Beyond>),
        rules: &Rules,
        time: Time,
    ) -> Self {
        let since = found.iter().map(|found| found.since).max().unwrap_or_default();
        let by_topic = |Beyond { topic, event, since }| (topic, (event, Moment::Entry(since)));
        let mut beyond: HashMap<_, _> = found.into_iter().map(by_topic).collect();
        // Without rules, what is too old is beneath the floor.
        if !rules.is_empty() && rules.age_limits().any(|age_max| age_max.is_some()) {
            let mut age_limits: HashMap<&Topic, Option<Duration>> = HashMap::new();
            for entry in entries {
                for topic in entry.topics.as_slice() {
                    let age_max = *age_limits
                        .entry(topic)
                        .or_insert_with(|| rules.limits(rules.find(topic.as_str())).age_max);
                    let Some(age_max) = age_max else { continue };
                    let is_later = |(event, _): &(Sequence, Moment)| *event < entry.sequence;
                    if entry.time < time.saturating_sub(age_max)
                        && beyond.get(topic).is_none_or(is_later)
                    {
                        let moment = Moment::Time(entry.time.saturating_add(age_max));
                        beyond.insert(topic.clone(), (entry.sequence, moment));
                    }
                }
            }
        }
        Self { beyond, since }
    }

    /// The moment at which an event of a topic came to be beyond a limit, or at which a later one of them did.
    pub(super) fn moment(&self, topic: &Topic, event: Sequence) -> Option<Moment> {
        let (last, moment) = self.beyond.get(topic)?;
        (event <= *last).then_some(*moment)
    }

    /// The latest of the entries by which events came to be beyond a limit.
    pub(super) fn since(&self) -> Sequence {
        self.since
    }

    /// Bytes allocated.
    pub(super) fn bytes(&self) -> usize {
        let names = self.beyond.keys().map(Topic::heap_bytes).sum::<usize>();
        names + self.beyond.capacity() * size_of::<(Topic, (Sequence, Moment))>()
    }
}

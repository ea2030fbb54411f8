//! The rules of topics in a stepped journal.

use std::collections::BTreeSet;

use tidings_hub::journal::{Beyond, Content, Entry, JournalPage, Newest};
use tidings_hub::{Sequence, Time, Topic, TopicLimits};

use super::State;

impl State {
    pub(super) fn is_about_newest(&self, topic: &Topic) -> bool {
        let rule = self.rules.iter().find(|rule| rule.filter.matches(topic.as_str()));
        rule.is_some_and(|rule| rule.limits.latest_only || rule.limits.conflate)
    }

    /// The newest event of a topic, as far as the hub has been fed.
    pub(super) fn newest_of(&self, topic: &Topic) -> Option<Newest> {
        let mut fed = self.entries.range(..=self.fed).rev().map(|(_, entry)| entry);
        let event = fed.find(|entry| {
            matches!(entry.content, Content::Event(_)) && entry.topics.as_slice().contains(topic)
        });
        event.map(|entry| Newest::new(topic.clone(), entry.sequence))
    }

    /// The newest event of a topic that is beyond its limits.
    pub(super) fn beyond(
        &self,
        topic: &Topic,
        limits: &TopicLimits,
        (through, before): (Sequence, Option<Time>),
    ) -> Option<Sequence> {
        let mut of_topic = self.entries.range(..=through).rev().map(|(_, entry)| entry);
        let (mut events, mut bytes) = (0, 0);
        let mut is_beyond = |entry: &Entry| {
            if !entry.topics.as_slice().contains(topic) {
                return false;
            }
            events += usize::from(matches!(entry.content, Content::Event(_)));
            bytes += size_of(entry);
            before.is_some_and(|before| entry.time < before)
                || limits.events_max.is_some_and(|max| events > max.get())
                || limits.bytes_max.is_some_and(|max| events > 1 && bytes > max.get())
        };
        let beyond =
            of_topic.find(|entry| is_beyond(entry) && matches!(entry.content, Content::Event(_)));
        beyond.map(|entry| entry.sequence)
    }

    /// The newest events of a page's topics that are beyond limits on events and bytes, as far as the hub has been fed.
    pub(super) fn beyond_on_page(&self, page: &JournalPage) -> Vec<Beyond> {
        let topics = page.entries.iter().flat_map(|entry| entry.topics.as_slice());
        let distinct: BTreeSet<&Topic> = topics.collect();
        let found = distinct.into_iter().filter_map(|topic| {
            let rule = self.rules.iter().find(|rule| rule.filter.matches(topic.as_str()))?;
            let event = self.beyond(topic, &rule.limits, (self.fed, None))?;
            // The first entry of the topic up to which the event is beyond them.
            let of_topic = |entry: &&Entry| entry.topics.as_slice().contains(topic);
            let mut since = self.entries.range(event..=self.fed).map(|(_, entry)| entry);
            let is_beyond = |entry: &&Entry| {
                let then = self.beyond(topic, &rule.limits, (entry.sequence, None));
                of_topic(entry) && then >= Some(event)
            };
            let since = since.find(is_beyond)?.sequence;
            Some(Beyond::new(topic.clone(), event, since))
        });
        found.collect()
    }
}

/// The size of an entry, as a limit on bytes counts it.
fn size_of(entry: &Entry) -> usize {
    let names = entry.topics.as_slice().iter().map(|topic| topic.as_str().len()).sum::<usize>();
    let text = match &entry.content {
        Content::Event(event) => {
            let id = event.id().map_or(0, |id| id.as_str().len());
            let event_type = Some(event.event_type()).filter(|it| !it.is_message());
            event.data().len() + id + event_type.map_or(0, |it| it.as_str().len())
        }
        _ => 0,
    };
    64 + names + text
}

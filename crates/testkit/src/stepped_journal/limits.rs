//! The rules of topics in a stepped journal.

use std::collections::BTreeSet;

use tidings_hub::journal::{Content, Counted, Entry, JournalPage, Newest, PageCount};
use tidings_hub::{Event, Sequence, Topic, TopicLimits};

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

    /// Counts a topic's events after a place, back from another one.
    pub(super) fn count(
        &self,
        topic: &Topic,
        limits: &TopicLimits,
        (after, through): (Sequence, Sequence),
    ) -> Counted {
        let mut counted = Counted::default();
        let through = through.min(self.tail);
        let entries = self.entries.range(after.next()..=through.max(after.next())).rev();
        for (sequence, entry) in entries.filter(|(sequence, _)| **sequence <= through) {
            let Content::Event(event) = &entry.content else { continue };
            if !entry.topics.as_slice().contains(topic) {
                continue;
            }
            let size = size_of(entry, event);
            let is_beyond = limits.events_max.is_some_and(|max| counted.events >= max.get())
                || limits
                    .bytes_max
                    .is_some_and(|max| counted.events > 0 && counted.bytes + size > max.get());
            if is_beyond {
                counted.beyond = Some(*sequence);
                break;
            }
            (counted.events, counted.bytes) = (counted.events + 1, counted.bytes + size);
            counted.next.insert(0, (*sequence, size));
            counted.next.truncate(NEXT_MAX);
        }
        counted
    }

    /// Counts the events of a page's topics with limits, up to a place.
    pub(super) fn count_on_page(
        &self,
        page: &JournalPage,
        through: Sequence,
    ) -> Vec<(Topic, PageCount)> {
        let topics = page.entries.iter().flat_map(|entry| entry.topics.as_slice());
        let distinct: BTreeSet<&Topic> = topics.collect();
        let Some(first) = page.entries.first() else { return Vec::new() };
        let counted = distinct.into_iter().filter_map(|topic| {
            let rule = self.rules.iter().find(|rule| rule.filter.matches(topic.as_str()))?;
            rule.limits.events_max.or(rule.limits.bytes_max)?;
            let range = (first.sequence.before(), through);
            let counted = self.count(topic, &rule.limits, range);
            let all = self.count(topic, &TopicLimits::default(), (Sequence::ZERO, through));
            // Some are known to be within their limits, and not how far.
            let (events, bytes) = (all.events + 2, all.bytes + 200);
            let is_within = rule.limits.events_max.is_none_or(|max| events <= max.get())
                && rule.limits.bytes_max.is_none_or(|max| bytes <= max.get());
            let count = match is_within {
                true => PageCount::AtMost { events, bytes },
                false => PageCount::Exact(counted),
            };
            Some((topic.clone(), count))
        });
        counted.collect()
    }
}

/// The number of events of which the places are kept: few, so that topics are counted again.
const NEXT_MAX: usize = 5;

/// The size of an event, as a limit on bytes counts it.
fn size_of(entry: &Entry, event: &Event) -> usize {
    let names = entry.topics.as_slice().iter().map(|topic| topic.as_str().len()).sum::<usize>();
    let id = event.id().map_or(0, |id| id.as_str().len());
    let event_type = Some(event.event_type()).filter(|it| !it.is_message());
    64 + names + event.data().len() + id + event_type.map_or(0, |it| it.as_str().len())
}

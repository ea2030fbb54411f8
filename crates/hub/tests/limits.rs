//! Limits of topics that change while the hub is in use.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::num::NonZeroUsize;
use std::time::Duration;

use tidings_hub::{HubConfig, Retention, RetentionRule, Start, Topic, TopicFilter, TopicLimits};
use tidings_testkit::stepped::{SteppedHub, ready};

fn number(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

fn events(max: usize) -> TopicLimits {
    TopicLimits::default().with_events_max(number(max))
}

fn retention(rules: &[(&str, TopicLimits)]) -> Retention {
    let mut retention = Retention::default();
    let rule = |(pattern, limits): &(&str, TopicLimits)| {
        RetentionRule::new(TopicFilter::pattern(pattern).unwrap(), limits.clone())
    };
    retention.rules = rules.iter().map(rule).collect();
    retention
}

/// Publishes numbers to a topic; the answer is their IDs.
fn publish(stepped: &SteppedHub, topic: &str, numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|number| stepped.publish_id(topic, &number.to_string())).collect()
}

/// The data of a topic's events from a place on, `gap` first if a reader is told of one.
fn read(stepped: &SteppedHub, topic: &str, start: Start) -> Vec<String> {
    let page = ready(stepped.hub.page(Topic::new(topic).unwrap(), start, usize::MAX));
    let gap = page.gap.iter().map(|_| "gap".to_owned());
    gap.chain(page.events.iter().map(|held| held.event.data().to_owned())).collect()
}

fn after(id: &str) -> Start {
    Start::After(id.into())
}

#[test]
fn a_stricter_limit_holds_at_once_and_a_looser_one_from_then_on() {
    let stepped = SteppedHub::new(HubConfig::default());
    let ids = publish(&stepped, "a/1", 0..10);
    publish(&stepped, "b", 0..10);
    let limit = |limits| stepped.hub.limit_topics(&retention(&[("a/*", limits)]));

    limit(events(3));
    assert_eq!(read(&stepped, "a/1", after(&ids[1])), ["gap", "7", "8", "9"]);
    assert_eq!(read(&stepped, "a/1", after(&ids[6])), ["7", "8", "9"]);
    assert_eq!(read(&stepped, "b", Start::Oldest).len(), 10);

    limit(events(5));
    assert_eq!(read(&stepped, "a/1", Start::Oldest), ["7", "8", "9"]);
    publish(&stepped, "a/1", 10..14);
    assert_eq!(read(&stepped, "a/1", Start::Oldest), ["9", "10", "11", "12", "13"]);

    // None of those that it supersedes is missed.
    limit(TopicLimits::default().latest_only());
    assert_eq!(read(&stepped, "a/1", after(&ids[9])), ["13"]);
    stepped.hub.limit_topics(&Retention::default());
    publish(&stepped, "a/1", 14..30);
    assert_eq!(read(&stepped, "a/1", Start::Oldest).len(), 17);
}

#[test]
fn limits_of_topics_without_a_rule_change_too() {
    let stepped = SteppedHub::new(HubConfig::default());
    for topic in ["a", "b"] {
        publish(&stepped, topic, 0..10);
    }
    let mut retention = retention(&[("b", events(7))]);
    retention.topic_events_max = Some(number(4));
    stepped.hub.limit_topics(&retention);
    let held = ["a", "b"].map(|topic| read(&stepped, topic, Start::Oldest).len());
    assert_eq!(held, [4, 7]);
    retention.rules.clear();
    stepped.hub.limit_topics(&retention);
    assert_eq!(read(&stepped, "b", Start::Oldest), ["6", "7", "8", "9"]);
}

#[test]
fn a_limit_on_bytes_counts_what_was_published_before_it() {
    let config = HubConfig::default();
    let bytes = TopicLimits::default().with_bytes_max(number(5 * (64 + 1 + 1) + 3));
    let (before, changed) = (SteppedHub::new(config.clone()), SteppedHub::new(config));
    before.hub.limit_topics(&retention(&[("a", bytes.clone())]));
    for stepped in [&before, &changed] {
        publish(stepped, "a", 0..10);
    }
    changed.hub.limit_topics(&retention(&[("a", bytes)]));
    for stepped in [&before, &changed] {
        assert_eq!(read(stepped, "a", Start::Oldest), ["5", "6", "7", "8", "9"]);
        publish(stepped, "a", 100..101);
        assert_eq!(read(stepped, "a", Start::Oldest), ["6", "7", "8", "9", "100"]);
        // Larger than four of them: as much is let go of.
        stepped.publish("a", &"x".repeat(200));
        assert_eq!(read(stepped, "a", Start::Oldest), ["100".to_owned(), "x".repeat(200)]);
    }
}

#[test]
fn a_limit_on_age_counts_from_when_events_were_published() {
    let mut stepped = SteppedHub::new(HubConfig::default());
    let age = |secs| TopicLimits::default().with_age_max(Duration::from_secs(secs));
    for number in 0..10 {
        for topic in ["a", "b"] {
            stepped.publish(topic, &number.to_string());
        }
        stepped.step(Duration::from_secs(10));
    }
    stepped.hub.limit_topics(&retention(&[("a", age(45))]));
    assert_eq!(read(&stepped, "a", Start::Oldest), ["6", "7", "8", "9"]);
    assert_eq!(read(&stepped, "b", Start::Oldest).len(), 10);
    stepped.step(Duration::from_secs(10));
    assert_eq!(read(&stepped, "a", Start::Oldest), ["7", "8", "9"]);
    // Another topic comes to a limit that has been applied for long.
    stepped.hub.limit_topics(&retention(&[("*", age(45))]));
    assert_eq!(read(&stepped, "b", Start::Oldest), ["7", "8", "9"]);
    stepped.step(Duration::from_secs(10));
    for topic in ["a", "b"] {
        assert_eq!(read(&stepped, topic, Start::Oldest), ["8", "9"]);
    }
    // Every topic has a limit on age, and no rule.
    let mut every = Retention::default();
    every.age_max = Some(Duration::from_secs(35));
    stepped.hub.limit_topics(&every);
    assert_eq!(read(&stepped, "a", Start::Oldest), ["9"]);
}

//! Rules of topics: each topic has limits of its own, whatever other topics do.

use std::num::NonZeroUsize;
use std::time::Duration;

use tidings_proto::Event;

use super::{Fixture, by_count};
use crate::cursor::Sequence;
use crate::draft::Topics;
use crate::filter::TopicFilter;
use crate::history::sizes::ENTRY_BYTES;
use crate::history::{OwnEnds, ReadMax, ReadPosition, Steps};
use crate::journal::Content;
use crate::retention::{Retention, RetentionRule, TopicLimits};
use crate::topic::Topic;

fn events(max: usize) -> TopicLimits {
    TopicLimits::default().with_events_max(NonZeroUsize::new(max).unwrap())
}

fn bytes(max: usize) -> TopicLimits {
    TopicLimits::default().with_bytes_max(NonZeroUsize::new(max).unwrap())
}

fn age(seconds: u64) -> TopicLimits {
    TopicLimits::default().with_age_max(Duration::from_secs(seconds))
}

fn latest() -> TopicLimits {
    TopicLimits::default().latest_only()
}

fn with_rules(rules: &[(&str, TopicLimits)], retention: Retention) -> Fixture {
    let rule = |(pattern, limits): &(&str, TopicLimits)| {
        RetentionRule::new(TopicFilter::pattern(pattern).unwrap(), limits.clone())
    };
    Fixture::new(Retention { rules: rules.iter().map(rule).collect(), ..retention })
}

#[test]
fn each_topic_follows_its_own_rule_and_others_do_not_use_it_up() {
    let rules = [("a", events(2)), ("b/*", events(3)), ("c", TopicLimits::default())];
    let mut history = with_rules(&rules, by_count(1));
    for _ in 0..100 {
        ["a", "b/1", "b/2", "c", "d"].into_iter().for_each(|topic| history.publish(topic));
    }
    for (topic, held) in [("a", 2), ("b/1", 3), ("b/2", 3), ("c", 100), ("d", 1)] {
        assert_eq!(history.held(&[topic]).len(), held, "{topic}");
    }
    assert!(history.is_lost(&["a"], 0) && !history.is_lost(&["c"], 0));
    (0..1000).for_each(|_| history.publish("d"));
    assert_eq!(history.held(&["a"]).len(), 2);
    assert_eq!(history.counted(), history.history.bytes());
}

#[test]
fn a_superseded_event_is_no_gap_to_any_view() {
    let mut history = with_rules(&[("now/*", latest())], Retention::default());
    (0..5).for_each(|_| history.publish("now/a"));
    history.publish("now/b");
    history.publish("log");
    assert_eq!(history.held(&["now/a"]), [5]);
    assert_eq!(history.held(&["**"]), [5, 6, 7]);
    for view in [&["now/a"][..], &["now/a", "log"], &["now/*"], &["**"], &["now/*", "log"]] {
        for after in 0..=7 {
            assert!(!history.is_lost(view, after), "{view:?} after {after}");
        }
    }
    assert_eq!(history.history.events(), 3);
    assert_eq!(history.counted(), history.history.bytes());
}

#[test]
fn an_event_that_is_superseded_in_one_topic_and_lost_in_another_is_lost_to_that_one_s_readers() {
    let mut history = with_rules(&[("now", latest()), ("log", events(2))], Retention::default());
    history.push(&["now", "log"], Event::new("both"));
    history.publish("now");
    assert_eq!(history.held(&["now"]), [2]);
    assert_eq!(history.held(&["now", "log"]), [1, 2]);
    history.publish("log");
    history.publish("log");
    assert_eq!(history.held(&["log"]), [3, 4]);
    for (view, is_lost) in [
        (&["now"][..], false),
        (&["log"], true),
        (&["now", "log"], true),
        (&["now", "other"], false),
        (&["**"], true),
    ] {
        assert_eq!(history.is_lost(view, 0), is_lost, "{view:?}");
    }
    assert_eq!(history.counted(), history.history.bytes());
}

/// Looks for a loss that the reader of a view has not been told of. It is told then.
fn is_told(history: &mut Fixture, topics: &[&str], place: &mut ReadPosition) -> bool {
    let view = history.view(topics);
    let is_lost = history.history.look_for_loss(&view, place, &mut Steps::default());
    place.told_at = history.history.stamp();
    history.history.release(&view);
    is_lost.unwrap()
}

#[test]
fn an_event_evicted_in_one_topic_and_superseded_later_in_another_is_lost_to_readers_of_both_then() {
    const VIEWS: [&[&str]; 8] = [
        &["log"],
        &["log", "other"],
        &["last", "other"],
        &["now/1", "other"],
        &["now/1", "log"],
        &["now/*", "log"],
        &["last", "log"],
        &["**"],
    ];
    let rules = [("now/1", latest()), ("last", latest()), ("log", events(1))];
    let mut history = with_rules(&rules, Retention::default());
    let mut places = VIEWS.map(|_| ReadPosition::default());
    history.push(&["now/1", "last", "log"], Event::new("all"));
    for (topic, told) in [
        ("other", &[][..]),
        ("log", &["log", "log other"]),
        ("now/1", &["now/1 log", "now/* log"]),
        ("last", &["last log", "**"]),
        ("other", &[]),
    ] {
        history.publish(topic);
        for (view, place) in VIEWS.iter().zip(&mut places) {
            let is_expected = told.contains(&&*view.join(" "));
            assert_eq!(is_told(&mut history, view, place), is_expected, "{view:?} after {topic}");
        }
    }
    assert_eq!(history.counted(), history.history.bytes());
}

#[test]
fn losses_by_a_newer_event_of_another_topic_take_bounded_memory_and_are_all_told() {
    let mut history = with_rules(&[("now/*", latest()), ("log", events(1))], Retention::default());
    let mut readers = Vec::new();
    for number in 0..3000 {
        let topic = format!("now/{number}");
        let mut place = ReadPosition { after: history.history.tail(), ..ReadPosition::default() };
        history.push(&[&topic, "log"], Event::new("x"));
        history.publish("log");
        assert!(!is_told(&mut history, &[&topic, "log"], &mut place));
        history.publish(&topic);
        readers.push((topic, place));
    }
    assert!(history.history.late_losses.bytes() < 150_000);
    for (topic, mut place) in readers {
        assert!(!is_told(&mut history, &[&topic, "other"], &mut place.clone()), "{topic}");
        assert!(is_told(&mut history, &[&topic, "log"], &mut place), "{topic}");
        assert!(!is_told(&mut history, &[&topic, "log"], &mut place), "{topic}");
    }
    assert_eq!(history.counted(), history.history.bytes());
}

#[test]
fn the_latest_event_is_lost_when_it_goes_for_another_reason() {
    let mut history =
        with_rules(&[("now", latest().with_age_max(Duration::from_secs(5)))], by_count(9));
    history.publish("now");
    history.time = 2_000;
    history.publish("now");
    assert!(!history.history.expire(6_000));
    assert_eq!(history.held(&["now"]), [2]);
    assert!(!history.is_lost(&["now"], 0));
    assert!(!history.history.expire(8_000));
    assert_eq!(history.held(&["now"]), [] as [u64; 0]);
    assert!(history.is_lost(&["now"], 1) && !history.is_lost(&["now"], 2));
}

#[test]
fn the_end_of_a_topic_s_streams_supersedes_nothing() {
    let mut history = with_rules(&[("now", latest())], Retention::default());
    history.publish("now");
    let mut end = history.entry(history.history.tail().next(), &["now"], Event::new(""));
    end.content = Content::Close;
    history.append(&[end]);
    assert_eq!(read(&mut history, &["now"], 0), [1]);
    (0..3).for_each(|_| history.publish("now"));
    assert_eq!(read(&mut history, &["now"], 0), [5]);
    assert_eq!(history.counted(), history.history.bytes());
}

#[test]
fn a_limit_on_bytes_counts_the_events_of_the_topic_alone_and_the_newest_stays() {
    let each = ENTRY_BYTES + 100 + "a".len();
    let mut history = with_rules(&[("a", bytes(3 * each))], Retention::default());
    for _ in 0..10 {
        history.publish("a");
        history.publish("b");
    }
    assert_eq!(history.held(&["a"]).len(), 3);
    assert_eq!(history.held(&["b"]).len(), 10);
    history.push(&["a"], Event::new("x".repeat(101)));
    assert_eq!(history.held(&["a"]).len(), 2, "one byte too many");
    history.push(&["a"], Event::new("x".repeat(10_000)));
    assert_eq!(history.held(&["a"]), [22]);
    assert!(history.is_lost(&["a"], 20) && !history.is_lost(&["a"], 21));
    assert_eq!(history.counted(), history.history.bytes());
}

#[test]
fn topics_let_go_of_their_events_at_their_own_ages() {
    let rules = [("short/*", age(10)), ("long", age(100)), ("for-ever", TopicLimits::default())];
    let retention = Retention { age_max: Some(Duration::from_secs(50)), ..Retention::default() };
    let mut history = with_rules(&rules, retention);
    for second in 0..200 {
        history.time = second * 1000;
        ["short/1", "long", "for-ever", "other"].into_iter().for_each(|t| history.publish(t));
        history.push(&["short/2", "long"], Event::new("both"));
        while history.history.expire(history.time as i64) {}
    }
    for (topic, held) in [("short/1", 11), ("short/2", 11), ("for-ever", 200)] {
        assert_eq!(history.held(&[topic]).len(), held, "{topic}");
    }
    // Two events a second, and at most a thousandth of the age more.
    assert_eq!(history.held(&["long"]).len(), 202);
    assert_eq!(history.held(&["other"]).len(), 51);
    assert!(history.is_lost(&["short/2"], 0) && !history.is_lost(&["for-ever"], 0));
    assert_eq!(history.counted(), history.history.bytes());
    while history.history.expire(10_000_000) {}
    assert_eq!(history.held(&["**"]).len(), 200);
}

#[test]
fn a_look_at_ages_is_bounded_whatever_has_expired() {
    let mut history = with_rules(&[("a/*", age(1))], Retention::default());
    for number in 0..5000 {
        history.publish(&format!("a/{}", number % 7));
    }
    let mut looks = 1;
    while history.history.expire(10_000) {
        looks += 1;
    }
    assert!((4..8).contains(&looks), "{looks}");
    assert_eq!(history.held(&["**"]), [] as [u64; 0]);
}

/// The events that a reader of a view is sent from a place on.
fn read(history: &mut Fixture, topics: &[&str], after: u64) -> Vec<u64> {
    let view = history.view(topics);
    let (after, told_at) = (Sequence::new(after).unwrap(), history.history.stamp());
    let mut place = ReadPosition { after, told_at, ends: OwnEnds::NONE };
    let mut max = ReadMax { bytes: usize::MAX, entries: usize::MAX, steps: Steps::default() };
    let mut read = Vec::new();
    history.history.read(&view, &mut place, &mut max, |held| read.push(held.sequence().get()));
    history.history.release(&view);
    read
}

#[test]
fn a_reader_that_is_behind_skips_what_has_a_newer_event_where_its_topics_ask_for_that() {
    let conflated = TopicLimits::default().conflated();
    let mut history = with_rules(&[("tick/*", conflated)], Retention::default());
    history.push(&["tick/a"], Event::new("1"));
    history.push(&["tick/b"], Event::new("2"));
    history.push(&["log"], Event::new("3"));
    history.push(&["tick/a", "log"], Event::new("4"));
    history.push(&["tick/a"], Event::new("5"));
    for (view, after, expected) in [
        (&["tick/a"][..], 0, &[5][..]),
        (&["tick/a"], 4, &[5]),
        (&["tick/b"], 0, &[2]),
        (&["tick/a", "tick/b"], 0, &[2, 5]),
        (&["tick/*"], 0, &[2, 5]),
        // A topic that does not ask for it has every event.
        (&["log"], 0, &[3, 4]),
        (&["**"], 0, &[2, 3, 4, 5]),
    ] {
        assert_eq!(read(&mut history, view, after), expected, "{view:?} after {after}");
        assert!(!history.is_lost(view, after), "{view:?}");
    }
    // An end of the topic's streams is no newer event.
    let topics = Topics::new([Topic::new("tick/b").unwrap()]).unwrap();
    let mut end = history.entry(history.history.tail().next(), &["tick/b"], Event::new(""));
    (end.topics, end.content) = (topics, Content::Close);
    history.append(&[end]);
    assert_eq!(read(&mut history, &["tick/*"], 0), [2, 5]);
}

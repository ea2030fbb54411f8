//! Looking for events that a view has lost.

use tidings_proto::Event;

use super::{Fixture, by_count};
use crate::filter::TopicFilter;
use crate::history::{ReadPosition, Steps};

/// Every place of every view, compared with lists that forget nothing, and one step at a time.
#[test]
fn an_event_is_lost_to_a_view_if_none_of_its_topics_holds_it() {
    const TOPICS: [&str; 4] = ["a", "b", "c/1", "c/2"];
    const VIEWS: [&[&str]; 6] =
        [&["a"], &["a", "b"], &["b", "c/1", "c/2"], &["c/*"], &["a", "c/*"], &["**"]];
    let mut history = Fixture::new(by_count(2));
    // For each topic the events there have been.
    let mut published: [Vec<u64>; 4] = Default::default();
    let mut state = 1u64;
    for sequence in 1..=120 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let chosen = (state >> 40) % 15 + 1;
        let chosen = (0..4).filter(|topic| chosen >> topic & 1 == 1).collect::<Vec<_>>();
        chosen.iter().for_each(|&topic| published[topic].push(sequence));
        let topics: Vec<_> = chosen.iter().map(|&topic| TOPICS[topic]).collect();
        history.push(&topics, Event::new("x"));
        for view in VIEWS {
            let in_view = |topic: &usize| {
                let filter = |text: &&str| TopicFilter::pattern(text).unwrap();
                view.iter().map(filter).any(|filter| filter.matches(TOPICS[*topic]))
            };
            let topics: Vec<_> = (0..4).filter(in_view).collect();
            let is_held = |event: &u64| {
                topics
                    .iter()
                    .any(|&topic| published[topic].iter().rev().take(2).any(|e| e == event))
            };
            let events = topics.iter().flat_map(|&topic| &published[topic]);
            let newest_lost = events.filter(|event| !is_held(event)).max().copied().unwrap_or(0);
            for after in [0, newest_lost.saturating_sub(1), newest_lost, sequence] {
                let is_lost = history.is_lost(view, after);
                assert_eq!(is_lost, after < newest_lost, "{view:?} after {after} at {sequence}");
            }
        }
    }
}

/// A view of several topics looked at every event that others of its topics had evicted, with the history
/// locked, and a view with patterns at every topic as well.
#[test]
fn a_look_for_losses_takes_a_bounded_number_of_steps_however_much_is_partly_evicted() {
    const EVENTS: usize = 5000;
    let mut history = Fixture::new(by_count(1));
    history.push(&["x/1", "y/1"], Event::new("held by y/1"));
    for number in 0..EVENTS {
        history.push(&["hot", &format!("cold/{number}")], Event::new("x"));
    }
    history.publish("x/1");
    for filters in [&["x/1", "y/1"][..], &["x/*", "y/*"]] {
        let view = history.view(filters);
        let (mut place, mut looks) = (ReadPosition::default(), 1);
        let is_lost = loop {
            let mut steps = Steps::new(500);
            let found = history.history.look_for_loss(&view, &mut place, &mut steps);
            if let Some(is_lost) = found {
                break is_lost;
            }
            looks += 1;
        };
        assert!(!is_lost, "{filters:?}");
        assert!(looks >= EVENTS * 2 / 500, "{looks} looks for {filters:?}");
        // All of that counts as told.
        let mut steps = Steps::default();
        assert_eq!(history.history.look_for_loss(&view, &mut place, &mut steps), Some(false));
        assert!(steps.taken() < 10, "{} steps for {filters:?}", steps.taken());
        history.history.release(&view);
    }
    assert_eq!(history.counted(), history.history.bytes());
}

/// Readers look at everything of one eviction at once, so that it has to be bounded.
#[test]
fn what_a_large_batch_evicts_is_looked_at_in_parts() {
    let mut history = Fixture::new(by_count(1));
    for number in 0..5000 {
        history.publish(&format!("topic/{number}"));
    }
    let before = history.history.stamp();
    let topics: Vec<_> = (0..5000).map(|number| format!("topic/{number}")).collect();
    history.push_all(topics.chunks(100).map(|names| names.iter().map(String::as_str).collect()));
    let view = history.view(&["none/*"]);
    let mut place = ReadPosition { told_at: before, ..ReadPosition::default() };
    let mut looks = 1;
    while history.history.look_for_loss(&view, &mut place, &mut Steps::new(1)).is_none() {
        looks += 1;
    }
    assert_eq!(looks, 5);
    history.history.release(&view);
}

//! Looking for events that a view has lost.

use std::collections::BTreeSet;

use fastrand::Rng;
use tidings_proto::Event;

use super::{Fixture, by_count};
use crate::cursor::Sequence;
use crate::filter::TopicFilter;
use crate::history::{Passed, ReadPosition, Resolved, Steps};

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

/// A reader that looks for losses now and then, a step at a time, and what it has been told.
struct Reader {
    view: Resolved,
    /// The topics of its view.
    topics: Vec<usize>,
    position: ReadPosition,
    told: BTreeSet<u64>,
}

impl Reader {
    /// Takes one look, and compares its answer with the events that the view has lost.
    fn look(&mut self, history: &Fixture, published: &[Vec<u64>]) {
        let found =
            history.history.look_for_loss(&self.view, &mut self.position, &mut Steps::new(1));
        let Some(is_lost) = found else { return };
        let held: BTreeSet<u64> = self
            .topics
            .iter()
            .flat_map(|&topic| published[topic].iter().rev().take(2).copied())
            .collect();
        let events = self.topics.iter().flat_map(|&topic| &published[topic]).copied();
        let after = self.position.after.get();
        let lost: BTreeSet<u64> =
            events.filter(|event| *event > after && !held.contains(event)).collect();
        let untold: Vec<_> = lost.difference(&self.told).collect();
        assert_eq!(is_lost, !untold.is_empty(), "{untold:?} after {after}");
        if is_lost {
            self.told.extend(lost);
            let (view, position) = (&self.view, &mut self.position);
            let mut pass = || history.history.pass_lost(view, position, &mut Steps::new(1));
            while pass() == Passed::Looking {}
        }
    }
}

/// Looks pause while events are published and evicted, one by one and in batches of which one eviction has
/// several stamps. Each loss is told once.
#[test]
fn each_loss_is_told_once_however_looks_and_evictions_are_mixed() {
    const TOPICS: [&str; 5] = ["a", "b", "c/1", "c/2", "d"];
    const VIEWS: [(&[&str], &[usize]); 5] = [
        (&["a", "b"], &[0, 1]),
        (&["b", "c/1", "d"], &[1, 2, 4]),
        (&["c/*"], &[2, 3]),
        (&["a", "c/*"], &[0, 2, 3]),
        (&["**"], &[0, 1, 2, 3, 4]),
    ];
    for seed in 0..8 {
        let mut rng = Rng::with_seed(seed);
        let mut history = Fixture::new(by_count(2));
        let mut published: [Vec<u64>; 5] = Default::default();
        let mut readers = Vec::new();
        for (filters, topics) in VIEWS {
            for _ in 0..3 {
                let view = history.view(filters);
                let (topics, position) = (topics.to_vec(), ReadPosition::default());
                readers.push(Reader { view, topics, position, told: BTreeSet::new() });
            }
        }
        for _ in 0..300 {
            let count = if rng.u32(0..60) == 0 { 600 } else { rng.usize(1..4) };
            let mut batch = Vec::new();
            for number in 0..count as u64 {
                let sequence = history.history.tail().get() + 1 + number;
                let chosen = rng.u32(1..32);
                let chosen: Vec<_> = (0..5).filter(|topic| chosen >> topic & 1 == 1).collect();
                chosen.iter().for_each(|&topic: &usize| published[topic].push(sequence));
                batch.push(chosen.iter().map(|&topic| TOPICS[topic]).collect());
            }
            history.push_all(batch.into_iter());
            for reader in &mut readers {
                for _ in 0..rng.usize(0..8) {
                    reader.look(&history, &published);
                }
                if rng.u32(0..10) == 0 {
                    // It has read up to somewhere, or to the tail.
                    let (after, tail) = (reader.position.after.get(), history.history.tail().get());
                    let place = if rng.bool() { tail } else { rng.u64(after..=tail) };
                    reader.position.after = Sequence::new(place).unwrap();
                }
            }
        }
        readers.iter().for_each(|reader| history.history.release(&reader.view));
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
    let view = history.view(&["*/none"]);
    let mut place = ReadPosition { told_at: before, ..ReadPosition::default() };
    let mut looks = 1;
    while history.history.look_for_loss(&view, &mut place, &mut Steps::new(1)).is_none() {
        looks += 1;
    }
    assert_eq!(looks, 5);
    history.history.release(&view);
}

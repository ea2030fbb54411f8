//! Retention and gaps, one rule at a time.

mod counting;
mod losses;
mod rules;
mod steps;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tidings_proto::{Event, EventId};

use super::{
    Appended, Block, BlockBuilder, Held, History, IdSearch, ReadMax, ReadPosition, Resolved, Steps,
    Stop,
};
use crate::cursor::{Epoch, Sequence};
use crate::draft::Topics;
use crate::filter::TopicFilter;
use crate::journal::{Content, Entry};
use crate::retention::Retention;
use crate::time::Time;
use crate::topic::Topic;
use crate::view::View;

struct Fixture {
    history: History,
    time: u64,
}

impl Fixture {
    fn new(retention: Retention) -> Self {
        Self { history: History::new(Epoch::random(), Sequence::ZERO, retention), time: 0 }
    }

    fn push(&mut self, topics: &[&str], event: Event) {
        let entry = self.entry(self.history.tail().next(), topics, event);
        self.append(&[entry]);
    }

    /// Pushes small events in one batch: one for each list of topics.
    fn push_all<'a>(&mut self, topics: impl Iterator<Item = Vec<&'a str>>) {
        let first = self.history.tail().next().get();
        let sequences = (first..).map(|number| Sequence::new(number).unwrap());
        let entries: Vec<_> = sequences
            .zip(topics)
            .map(|(sequence, topics)| self.entry(sequence, &topics, Event::new("x")))
            .collect();
        self.append(&entries);
    }

    fn entry(&self, sequence: Sequence, topics: &[&str], event: Event) -> Entry {
        let topics = topics.iter().map(|name| Topic::new(name).unwrap());
        Entry {
            sequence,
            time: Time::from_unix_millis(self.time),
            topics: Topics::new(topics).unwrap(),
            private: false,
            via: None,
            content: Content::Event(event),
        }
    }

    fn append(&mut self, entries: &[Entry]) {
        let mut builder = BlockBuilder::default();
        entries.iter().for_each(|entry| builder.push(entry, self.history.epoch()));
        self.history.note_time(entries[0].sequence, self.time as i64);
        self.history.append(entries, &mut builder, &mut Appended::default());
    }

    fn publish(&mut self, topic: &str) {
        self.push(&[topic], Event::new("x".repeat(100)));
    }

    fn view(&mut self, topics: &[&str]) -> Resolved {
        let filters = topics.iter().map(|name| TopicFilter::pattern(name).unwrap());
        self.history.resolve(&View::new(filters))
    }

    fn held(&mut self, topics: &[&str]) -> Vec<u64> {
        let view = self.view(topics);
        let told_at = self.history.stamp();
        let mut place = ReadPosition { told_at, ..ReadPosition::default() };
        let mut held = Vec::new();
        let mut stop = Stop::Full;
        while stop == Stop::Full {
            let mut max =
                ReadMax { bytes: usize::MAX, entries: usize::MAX, steps: Steps::default() };
            let visit = |h: Held<'_>| held.push(h.sequence().get());
            stop = self.history.read(&view, &mut place, &mut max, visit);
        }
        assert_eq!(stop, Stop::Tail);
        self.history.release(&view);
        held
    }

    fn is_lost(&mut self, topics: &[&str], after: u64) -> bool {
        let view = self.view(topics);
        let mut place =
            ReadPosition { after: Sequence::new(after).unwrap(), ..ReadPosition::default() };
        let mut look = || self.history.look_for_loss(&view, &mut place, &mut Steps::new(1));
        let is_lost = loop {
            if let Some(is_lost) = look() {
                break is_lost;
            }
        };
        self.history.release(&view);
        is_lost
    }

    fn find_id(&self, id: &str, topics: &[&str]) -> Option<u64> {
        let view = View::new(topics.iter().map(|name| TopicFilter::pattern(name).unwrap()));
        let mut after = Sequence::ZERO;
        loop {
            // One step at a time, which must find the same.
            match self.history.find_id(id, &view, after, &mut Steps::new(1)) {
                IdSearch::Found(sequence) => return Some(sequence.get()),
                IdSearch::Unknown => return None,
                IdSearch::More(through) => after = through,
            }
        }
    }

    /// Bytes that everything costs, blocks counted anew.
    fn counted(&self) -> usize {
        let blocks: usize = self.history.blocks.iter().map(|state| state.block.cost()).sum();
        blocks + self.history.bytes() - self.history.bytes
    }
}

fn by_count(events: usize) -> Retention {
    Retention { topic_events_max: NonZeroUsize::new(events), ..Retention::default() }
}

fn by_bytes(bytes_max: usize) -> Retention {
    Retention { bytes_max, ..Retention::default() }
}

#[test]
fn each_topic_keeps_its_newest_events() {
    let mut history = Fixture::new(by_count(2));
    ["a", "a", "b", "a"].into_iter().for_each(|topic| history.publish(topic));
    assert_eq!(history.held(&["a"]), [2, 4]);
    assert_eq!(history.held(&["b"]), [3]);
    assert_eq!(history.held(&["**"]), [2, 3, 4]);
    assert!(history.is_lost(&["a"], 0));
    assert!(!history.is_lost(&["a"], 1), "what was read before its eviction is not lost");
    assert!(!history.is_lost(&["b"], 0));
}

#[test]
fn an_event_of_two_topics_is_lost_to_those_who_read_only_the_one_that_let_go_of_it() {
    let mut history = Fixture::new(by_count(1));
    history.push(&["a", "b"], Event::new("both"));
    history.publish("a");
    assert_eq!(history.held(&["a"]), [2]);
    assert_eq!(history.held(&["a", "b"]), [1, 2]);
    for (view, is_lost) in [
        (&["a"][..], true),
        (&["b"], false),
        (&["a", "b"], false),
        (&["a", "c"], true),
        (&["**"], false),
        (&["*", "c/*"], false),
    ] {
        assert_eq!(history.is_lost(view, 0), is_lost, "{view:?}");
    }
    history.publish("b");
    for view in [&["a", "b"][..], &["**"], &["b"], &["b", "c"]] {
        assert!(history.is_lost(view, 0), "{view:?}");
        assert!(!history.is_lost(view, 1), "{view:?}");
    }
}

#[test]
fn the_byte_budget_is_kept_and_charges_what_there_is() {
    let mut history = Fixture::new(by_bytes(50_000));
    for number in 0..3000 {
        let id = EventId::new(format!("id-{number}")).unwrap();
        let event = Event::new("x".repeat(number % 300));
        let event = if number % 3 == 0 { event.with_id(id) } else { event };
        history.push(&[["a", "b", "c"][number % 3]], event);
        assert!(history.history.bytes() <= 50_000, "{} at {number}", history.history.bytes());
        assert_eq!(history.counted(), history.history.bytes(), "at {number}");
    }
    let held = history.held(&["**"]);
    assert!(held.len() > 100, "{} events in 50 kB", held.len());
    assert_eq!(held.last(), Some(&3000));
    assert!(held.windows(2).all(|pair| pair[1] == pair[0] + 1));
}

#[test]
fn an_event_of_100_bytes_costs_about_200_and_with_a_topic_of_its_own_about_300() {
    let mut history = Fixture::new(Retention::default());
    (0..10_000).for_each(|_| history.publish("a"));
    let each = history.history.bytes() / 10_000;
    assert!((190..220).contains(&each), "{each} bytes");

    let mut history = Fixture::new(Retention::default());
    (0..10_000).for_each(|number| history.publish(&format!("topic/{number}")));
    let each = history.history.bytes() / 10_000;
    assert!((250..320).contains(&each), "{each} bytes");
}

#[test]
fn the_newest_event_stays_however_large_it_is() {
    let mut history = Fixture::new(by_bytes(1000));
    history.push(&["a"], Event::new("x".repeat(5000)));
    assert_eq!(history.held(&["a"]), [1]);
    history.push(&["a"], Event::new("y".repeat(5000)));
    assert_eq!(history.held(&["a"]), [2]);
}

#[test]
fn events_are_let_go_of_at_their_age_and_not_before() {
    let age_max = Some(Duration::from_secs(10));
    let mut history = Fixture::new(Retention { age_max, ..Retention::default() });
    for second in 0..20 {
        history.time = second * 1000;
        history.publish("a");
    }
    let expire = |history: &mut Fixture, time| {
        assert!(!history.history.expire(time));
        history.held(&["a"]).first().copied()
    };
    assert_eq!(expire(&mut history, 10_000), Some(1));
    assert_eq!(expire(&mut history, 10_001), Some(2));
    assert_eq!(expire(&mut history, 25_500), Some(17));
    assert_eq!(expire(&mut history, 60_000), None);
    assert!(history.is_lost(&["a"], 19));
    assert!(!history.is_lost(&["a"], 20));
    assert_eq!(history.counted(), history.history.bytes());
}

#[test]
fn small_blocks_are_joined_and_mostly_dead_ones_rewritten() {
    let mut history = Fixture::new(by_count(1));
    for number in 0..10_000 {
        history.publish(&format!("topic/{}", number % 500));
    }
    let blocks = history.history.blocks.len();
    assert!(blocks < 200, "{blocks} blocks for 500 events");
    assert_eq!(history.held(&["**"]).len(), 500);
    assert_eq!(history.counted(), history.history.bytes());
}

#[test]
fn events_that_nobody_else_has_fill_blocks() {
    let mut history = Fixture::new(Retention::default());
    (0..10_000).for_each(|_| history.publish("a"));
    let blocks = &history.history.blocks;
    let bytes: usize = blocks.iter().map(|state| state.block.bytes()).sum();
    assert_eq!(blocks.len(), bytes.div_ceil(Block::BYTES_MAX));
    assert_eq!(history.counted(), history.history.bytes());
}

#[test]
fn a_block_that_somebody_else_has_never_changes() {
    let mut history = Fixture::new(Retention::default());
    let mut taken: Vec<(Arc<Block>, usize)> = Vec::new();
    for number in 0..3000 {
        history.publish("a");
        // Now the last one is shared, now it is not, for longer and shorter.
        if number % 7 < 3 {
            let last = &history.history.blocks.back().unwrap().block;
            taken.push((Arc::clone(last), last.len()));
        }
        if number % 500 == 0 {
            taken.clear();
        }
        assert!(taken.iter().all(|(block, len)| block.len() == *len));
    }
    let sequences = (1..=3000).collect::<Vec<_>>();
    assert_eq!(history.held(&["a"]), sequences);
    assert_eq!(history.held(&["**"]), sequences);
    assert_eq!(history.counted(), history.history.bytes());
    let blocks = history.history.blocks.len();
    assert!(blocks < 100, "{blocks} blocks");
}

#[test]
fn the_earliest_held_event_of_an_id_is_the_one_that_is_found() {
    let mut history = Fixture::new(by_count(2));
    let event = || Event::new("x").with_id(EventId::new("7").unwrap());
    history.push(&["a"], event());
    history.push(&["a"], event());
    assert_eq!(history.find_id("7", &["**"]), Some(1));
    history.publish("a");
    assert_eq!(history.find_id("7", &["**"]), Some(2));
    history.publish("a");
    assert_eq!(history.find_id("7", &["**"]), None);
}

#[test]
fn topics_that_hold_nothing_are_forgotten_when_they_take_too_much() {
    let mut history = Fixture::new(by_bytes(100_000));
    for number in 0..5000 {
        history.publish(&format!("topic/{number}"));
        let bytes = history.history.bytes();
        assert!(bytes <= 100_000, "{bytes} at {number}");
    }
    assert!(history.history.topic_count() < 500, "{} topics", history.history.topic_count());
    assert!(history.is_lost(&["topic/0"], 0), "a topic that was forgotten lost its event");
    let newest_lost = history.history.topics.forgotten_through().get();
    for topic in ["topic/4999", "never/seen"] {
        assert!(!history.is_lost(&[topic], newest_lost), "{topic}");
    }
}

#[test]
fn reading_topics_without_events_costs_history_nothing() {
    let mut history = Fixture::new(Retention::default());
    let views: Vec<_> = (0..100).map(|n| history.view(&[&*format!("topic/{n}")])).collect();
    assert_eq!(history.history.bytes(), 0);
    assert_eq!(history.history.topic_count(), 100);
    views.iter().for_each(|view| history.history.release(view));
    assert_eq!(history.history.topic_count(), 0);
}

/// Publishers that number the events of each topic from 1 gave the events of other topics the same IDs:
/// a reader that came back with its last ID was placed by one of those, and got everything again.
#[test]
fn an_id_is_looked_up_among_the_events_of_the_view() {
    let mut history = Fixture::new(by_count(2));
    let with_id = |id: u64| Event::new("x").with_id(EventId::new(id.to_string()).unwrap());
    for id in 1..=3 {
        history.push(&["a"], with_id(id));
        history.push(&["b/1"], with_id(id));
        history.push(&["b/2", "c"], with_id(id));
    }
    // Each topic holds its second and third event.
    for (view, second, third) in [
        (&["a"][..], 4, 7),
        (&["b/1"], 5, 8),
        (&["b/2"], 6, 9),
        (&["c", "b/1"], 5, 8),
        (&["b/*"], 5, 8),
        (&["c", "b/2"], 6, 9),
        (&["c/**", "c"], 6, 9),
        (&["**"], 4, 7),
    ] {
        assert_eq!(history.find_id("1", view), None, "{view:?}");
        assert_eq!(history.find_id("2", view), Some(second), "{view:?}");
        assert_eq!(history.find_id("3", view), Some(third), "{view:?}");
    }
    assert_eq!(history.find_id("2", &["d"]), None);
    assert_eq!(history.find_id("2", &["d/*"]), None);
    // Held by one topic alone, it is an event of views with that topic alone.
    history.push(&["c"], with_id(4));
    history.push(&["c"], with_id(5));
    assert_eq!(history.find_id("3", &["b/2"]), Some(9));
    assert_eq!(history.find_id("3", &["c"]), None);
    assert_eq!(history.find_id("3", &["c", "d"]), None);
}

#[test]
fn topics_with_events_are_listed_some_at_a_time_and_ends_are_no_events() {
    let mut history = Fixture::new(Retention::default());
    for number in 0..3000 {
        history.publish(&format!("topic/{number}"));
    }
    let (mut next, mut looks, mut found) = (Some(0), 0, 0);
    while let Some(from) = next {
        let before = found;
        next = history.history.topics_held(from, |_, events, _| found += events);
        assert!(found - before <= 1024);
        looks += 1;
    }
    assert_eq!((looks, found), (3, 3000));
}

//! One hub, real threads: publishers and readers of every kind at once.
//!
//! Nothing is lost, doubled or out of order, at any speed. Where history is too small for slow readers,
//! they are told of every loss.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::thread;

use tidings_hub::{Draft, Event, Hub, HubConfig, Topic, TopicFilter, View};

use crate::stepped::ready;

/// How many threads publish, each to a topic of its own.
pub const PUBLISHERS: usize = 4;
const EVENTS: u64 = 2_000;
/// The topic and data of the last event; every view includes it.
const END: &str = "end";

/// A thread that reads: it subscribes, waits for the others, and reads to the end.
pub type Reading = Box<dyn FnOnce(&Hub, &Barrier) + Send>;

/// Whether readers may be told of gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gaps {
    /// History holds everything.
    None,
    /// History is too small for slow readers.
    Some,
}

/// The events that one reader has seen, by publisher.
#[derive(Debug)]
pub struct Tally {
    /// The reader's name, for messages.
    pub name: &'static str,
    gaps: Gaps,
    next: BTreeMap<String, u64>,
    /// A gap was told, and these publishers have not been heard of since.
    told: Vec<String>,
    /// Whether the reader has read to the end.
    pub ended: bool,
}

impl Tally {
    /// Creates the tally of a reader of some publishers.
    #[must_use]
    pub fn new(name: &'static str, gaps: Gaps, topics: &[usize]) -> Self {
        let next = topics.iter().map(|publisher| (publisher.to_string(), 0)).collect();
        Self { name, gaps, next, told: Vec::new(), ended: false }
    }

    /// The reader was sent an event with this data.
    ///
    /// # Panics
    ///
    /// If it is not what comes next.
    pub fn event(&mut self, data: &str) {
        assert!(!self.ended, "{}: {data} after the end", self.name);
        if data == END {
            self.ended = true;
            let missing = self
                .next
                .iter()
                .find(|(publisher, next)| **next != EVENTS && !self.told.contains(publisher));
            assert_eq!(missing, None, "{}: lost", self.name);
            return;
        }
        let (publisher, number) = data.split_once(':').unwrap();
        let number: u64 = number.parse().unwrap();
        let next = self.next.get_mut(publisher).expect("of the view");
        let told = self.told.iter().position(|other| other == publisher);
        match told {
            Some(told) => drop(self.told.swap_remove(told)),
            None => assert!(number <= *next, "{}: lost {next} to {number}", self.name),
        }
        assert!(number >= *next, "{}: {number} again or too late, not {next}", self.name);
        *next = number + 1;
    }

    /// The reader was told of a gap.
    ///
    /// # Panics
    ///
    /// If there can be none.
    pub fn gap(&mut self) {
        assert!(self.gaps == Gaps::Some, "{}: a gap where everything is held", self.name);
        self.told = self.next.keys().cloned().collect();
    }
}

/// The view of some publishers, and of the end.
///
/// # Panics
///
/// Never: the names are topics.
#[must_use]
pub fn view(publishers: &[usize]) -> View {
    let topics = publishers.iter().map(|&publisher| topic(publisher));
    View::new(topics.chain([Topic::new(END).unwrap()]).map(TopicFilter::from))
}

/// The view of everything, by patterns that match the same events.
///
/// # Panics
///
/// Never: the patterns are well-formed.
#[must_use]
pub fn everything() -> View {
    View::new(["p/*", "**"].map(|pattern| TopicFilter::pattern(pattern).unwrap()))
}

fn topic(publisher: usize) -> Topic {
    Topic::new(format!("p/{publisher}")).unwrap()
}

fn publish(hub: &Hub, publisher: usize) {
    let draft = |number| Draft::new(topic(publisher), Event::new(format!("{publisher}:{number}")));
    let mut number = 0;
    while number < EVENTS {
        // Alone and in batches of many sizes.
        let batch = (1 + number % 7).min(EVENTS - number);
        let drafts = (number..number + batch).map(draft).collect();
        ready(hub.publish_all(drafts)).unwrap();
        number += batch;
    }
}

/// Publishes from several threads to readers on others.
///
/// `late` subscribes before anything is published, and what it returns reads after everything was: a
/// small history has always lost something by then.
///
/// # Panics
///
/// If a reader misses something, or gaps were told where everything is held.
pub fn run(
    config: HubConfig,
    gaps: Gaps,
    readings: Vec<Reading>,
    late: impl FnOnce(&Hub) -> Box<dyn FnOnce()>,
) {
    let hub = Hub::new(config);
    let read_late = late(&hub);
    // Everybody has subscribed before anything is published.
    let begin = Barrier::new(PUBLISHERS + readings.len());
    thread::scope(|scope| {
        let (hub, begin) = (&hub, &begin);
        for reading in readings {
            scope.spawn(move || reading(hub, begin));
        }
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|publisher| {
                scope.spawn(move || {
                    begin.wait();
                    publish(hub, publisher);
                })
            })
            .collect();
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        let end = Draft::new(Topic::new(END).unwrap(), Event::new(END));
        ready(hub.publish(end)).unwrap();
    });
    read_late();
    assert_eq!(hub.stats().gaps > 0, gaps == Gaps::Some);
    assert_eq!(hub.stats().subscribers, 0, "somebody is still registered");
}

//! One hub, real threads: publishers and readers of every kind at once.
//!
//! Nothing is lost, doubled or out of order, whoever is faster; and where history is too small for the
//! slower ones, nothing is missing that was not told.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Barrier};
use std::task::Wake;
use std::thread::{self, Thread};

use futures_core::Stream as _;
use tidings_hub::{
    Client, Draft, Event, Hub, HubConfig, Received, Start, Subscriber, Topic, TopicFilter, View,
};
use tidings_proto::{Decoder, Item};
use tidings_testkit::shard::{FakeShard, Sent};

const PUBLISHERS: usize = 4;
const EVENTS: u64 = 2_000;
/// What ends the reading; every view has its topic.
const END: &str = "end";

/// Whether readers may be told of gaps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gaps {
    None,
    Some,
}

/// What one reader has seen of each publisher.
struct Tally {
    name: &'static str,
    gaps: Gaps,
    next: BTreeMap<String, u64>,
    /// A gap was told, and these publishers have not been heard of since.
    told: Vec<String>,
    ended: bool,
}

impl Tally {
    fn new(name: &'static str, gaps: Gaps, topics: &[usize]) -> Self {
        let next = topics.iter().map(|publisher| (publisher.to_string(), 0)).collect();
        Self { name, gaps, next, told: Vec::new(), ended: false }
    }

    fn event(&mut self, data: &str) {
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

    fn gap(&mut self) {
        assert!(self.gaps == Gaps::Some, "{}: a gap where everything is held", self.name);
        self.told = self.next.keys().cloned().collect();
    }
}

fn topic(publisher: usize) -> Topic {
    Topic::new(format!("p/{publisher}")).unwrap()
}

/// The view of some publishers, and of the end.
fn view(publishers: &[usize]) -> View {
    let topics = publishers.iter().map(|&publisher| topic(publisher));
    View::new(topics.chain([Topic::new(END).unwrap()]).map(TopicFilter::from))
}

fn publish(hub: &Hub, publisher: usize) {
    let draft = |number| Draft::new(topic(publisher), Event::new(format!("{publisher}:{number}")));
    let mut number = 0;
    while number < EVENTS {
        // Alone and in batches of many sizes.
        let batch = (1 + number % 7).min(EVENTS - number);
        let drafts = (number..number + batch).map(draft).collect();
        smol::block_on(hub.publish_all(drafts).unwrap()).unwrap();
        number += batch;
    }
}

fn subscriber(hub: &Hub, begin: &Barrier, view: View, tally: Tally) {
    let subscriber = hub.subscribe(view, Start::Tail);
    begin.wait();
    read(subscriber, tally);
}

fn read(mut subscriber: Subscriber, mut tally: Tally) {
    smol::block_on(async {
        let mut last = None;
        while !tally.ended {
            match subscriber.next().await.unwrap() {
                Received::Event(found) => {
                    assert!(last < Some(found.sequence), "{}: out of order", tally.name);
                    last = Some(found.sequence);
                    tally.event(found.event.data());
                }
                Received::Gap(_) => tally.gap(),
                _ => unreachable!("there is nothing else to receive"),
            }
        }
    });
}

/// Reads the text, and leaves after some pieces to come back with its last event ID.
fn body(hub: &Hub, begin: &Barrier, view: View, mut tally: Tally) {
    let mut start = Start::from(hub.subscribe(view.clone(), Start::Tail).cursor());
    let mut pieces = 1;
    begin.wait();
    while !tally.ended {
        let mut body =
            hub.subscribe(view.clone(), start).into_body().for_client(Client::EventSource);
        let mut decoder = Decoder::new();
        for _ in 0..pieces {
            let next = poll_fn(|cx| Pin::new(&mut body).poll_next(cx));
            let Some(piece) = (!tally.ended).then(|| smol::block_on(next).unwrap()) else { break };
            let mut piece = &piece[..];
            while let Some(item) = decoder.decode(&mut piece).unwrap() {
                match item {
                    Item::Event(event) if event.event_type == "gap" => tally.gap(),
                    Item::Event(event) => tally.event(event.data),
                    _ => {}
                }
            }
        }
        start = Start::resume(Some(decoder.last_event_id()));
        pieces = pieces % 5 + 1;
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Slots of a shard, whose tap is so small that it overflows.
fn shard(hub: &Hub, begin: &Barrier, views: Vec<(View, Tally)>) {
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut shard = FakeShard::new(hub, 4, waker);
    let mut slots: Vec<_> =
        views.into_iter().map(|(view, tally)| (shard.add(&view, Start::Tail), tally)).collect();
    begin.wait();
    loop {
        shard.turn(|_| true);
        for (slot, tally) in &mut slots {
            for sent in shard.take_sent(*slot) {
                match sent {
                    Sent::Chunk(chunk) => tally.event(&data_of(&chunk)),
                    Sent::Gap(_) => tally.gap(),
                    Sent::End => panic!("nobody ended a topic"),
                }
            }
        }
        if slots.iter().all(|(_, tally)| tally.ended) {
            return;
        }
        thread::park();
    }
}

fn data_of(chunk: &[u8]) -> String {
    let text = std::str::from_utf8(chunk).unwrap();
    let data = text.lines().find_map(|line| line.strip_prefix("data: "));
    data.unwrap().to_owned()
}

fn run(config: HubConfig, gaps: Gaps) {
    let hub = Hub::new(config);
    let tally = |name, topics: &[usize]| (view(topics), Tally::new(name, gaps, topics));
    let all = [0, 1, 2, 3];
    let everything = || {
        let filters = ["p/*", "**"].map(|pattern| TopicFilter::pattern(pattern).unwrap());
        (View::new(filters), Tally::new("patterns", gaps, &all))
    };

    type Reading = Box<dyn FnOnce(&Hub, &Barrier) + Send>;
    let mut readings: Vec<Reading> = Vec::new();
    for (view, tally) in
        [tally("one topic", &[0]), tally("two topics", &[1, 2]), tally("all", &all), everything()]
    {
        readings.push(Box::new(|hub, begin| subscriber(hub, begin, view, tally)));
    }
    for (view, tally) in [tally("one topic's text", &[3]), everything()] {
        readings.push(Box::new(|hub, begin| body(hub, begin, view, tally)));
    }
    let slots =
        vec![tally("a slot of one topic", &[0]), tally("a slot of all", &all), everything()];
    readings.push(Box::new(|hub, begin| shard(hub, begin, slots)));

    let (everything, asleep) = everything();
    let sleeper = hub.subscribe(everything, Start::Tail);

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
        smol::block_on(hub.publish(end).unwrap()).unwrap();
    });
    // One has slept through all of it, so that a small history has always lost something.
    read(sleeper, asleep);
    assert_eq!(hub.stats().gaps > 0, gaps == Gaps::Some);
    assert_eq!(hub.stats().subscribers, 0, "somebody is still registered");
}

#[test]
fn t42_threads_lose_double_and_reorder_nothing() {
    run(HubConfig::default(), Gaps::None);
}

#[test]
fn t42_threads_are_told_of_whatever_a_small_history_loses() {
    let mut config = HubConfig::default();
    config.retention.bytes_max = 30_000;
    run(config, Gaps::Some);
}

//! Measures one more pattern beside many others, and for how long others wait for the history's lock.
//!
//! Each act is timed on one thread. It locks the history for no longer than it takes, so the longest act
//! bounds the time for which the lock is held. The whole sequence of acts is done several times, and of
//! each act the shortest time counts: interruptions by other work then do not show.
//!
//! Beside the acts, another thread publishes and measures how long that takes: where an act locks the
//! history several times, the others wait for less than the act takes.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tidings_hub::{Draft, Event, Hub, HubConfig, Start, Subscriber, Topic, TopicFilter, View};

/// Topics and patterns: few, and many.
const SIZES: [(usize, usize); 2] = [(10, 10), (100_000, 10_000)];
/// How often the sequence of acts is repeated.
const PASSES: usize = 5;
/// Acts of each kind.
const ACTS: usize = 500;
/// The patterns of a view that has as many as a stream may have.
const PATTERNS_OF_A_VIEW: usize = 100;

/// Something that is done to the hub, with a number that makes it differ from the others.
#[derive(Clone, Copy)]
enum Act {
    Publish,
    /// Subscribes to a pattern of its own, which no other reader has.
    Subscribe,
    /// The same with a pattern that begins with a wildcard and matches nothing that is held.
    SubscribeWild,
    SubscribeMany,
    /// Publishes after a pattern was added, so that the topic's groups are found anew.
    PublishAfter,
}

const ALL: [(Act, &str); 5] = [
    (Act::Publish, "publish an event"),
    (Act::Subscribe, "subscribe to one more pattern"),
    (Act::PublishAfter, "publish the topic's first event after that"),
    (Act::SubscribeWild, "subscribe to one that begins with a wildcard and matches nothing"),
    (Act::SubscribeMany, "subscribe to 100 more patterns at once"),
];

fn topic(number: usize) -> Topic {
    Topic::new(format!("u/{number}/1")).expect("a topic")
}

fn pattern(text: String) -> TopicFilter {
    TopicFilter::pattern(&text).expect("a pattern")
}

fn publish(hub: &Hub, topic: Topic) {
    drop(black_box(hub.publish(Draft::new(topic, Event::new("x".repeat(100))))));
}

/// A hub that knows so many topics, and readers of so many patterns.
fn filled(topics: usize, patterns: usize) -> (Hub, Vec<Subscriber>) {
    let mut config = HubConfig::default();
    config.retention.bytes_max = 1 << 30;
    let hub = Hub::new(config);
    (0..topics).for_each(|number| publish(&hub, topic(number)));
    let subscribe = |number| hub.subscribe(pattern(format!("u/{number}/*")), Start::Tail);
    let readers = (0..patterns).map(subscribe).collect();
    (hub, readers)
}

/// Does one act; returns the reader that it made, which is to be dropped outside the measured time.
fn act(hub: &Hub, act: Act, number: usize, topics: usize) -> Option<Subscriber> {
    let view: View = match act {
        Act::Publish | Act::PublishAfter => {
            publish(hub, topic(number % topics));
            return None;
        }
        Act::Subscribe => pattern(format!("u/*/{number}")).into(),
        Act::SubscribeWild => pattern(format!("*/{number}/none")).into(),
        Act::SubscribeMany => {
            let text = |at| pattern(format!("u/{at}/*/{number}"));
            View::new((0..PATTERNS_OF_A_VIEW).map(text))
        }
    };
    Some(hub.subscribe(view, Start::Tail))
}

/// Times each act on a fresh hub.
fn pass(topics: usize, patterns: usize, kind: Act) -> Vec<Duration> {
    let (hub, readers) = filled(topics, patterns);
    let times = (0..ACTS).map(|number| {
        if let Act::PublishAfter = kind {
            drop(act(&hub, Act::Subscribe, number, topics));
        }
        let began = Instant::now();
        let made = act(&hub, kind, number, topics);
        let took = began.elapsed();
        drop(made);
        took
    });
    let times = times.collect();
    drop(readers);
    times
}

/// The times that publishing takes while another thread does the acts.
fn beside(topics: usize, patterns: usize, kind: Act) -> Vec<Duration> {
    let (hub, readers) = filled(topics, patterns);
    let is_over = Arc::new(AtomicBool::new(false));
    let acting = thread::spawn({
        let (hub, is_over) = (hub.clone(), Arc::clone(&is_over));
        move || {
            for number in 0..ACTS {
                if let Act::PublishAfter = kind {
                    drop(act(&hub, Act::Subscribe, number, topics));
                }
                drop(act(&hub, kind, number, topics));
            }
            is_over.store(true, Ordering::Relaxed);
        }
    });
    let mut times = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let began = Instant::now();
        publish(&hub, Topic::from_static("meanwhile"));
        times.push(began.elapsed());
    }
    acting.join().expect("the acts do not panic");
    drop(readers);
    times
}

fn micros(times: &mut [Duration], part: f64) -> f64 {
    times.sort_unstable();
    let place = (times.len() as f64 * part) as usize;
    times[place.min(times.len() - 1)].as_secs_f64() * 1e6
}

fn main() {
    println!(
        "| topics | patterns | act | p50, µs | p99, µs | longest, µs | publishing beside it: p99, µs |\n\
         | ---: | ---: | --- | ---: | ---: | ---: | ---: |"
    );
    for (topics, patterns) in SIZES {
        for (kind, title) in ALL {
            let mut shortest = pass(topics, patterns, kind);
            for _ in 1..PASSES {
                let again = pass(topics, patterns, kind);
                shortest.iter_mut().zip(again).for_each(|(least, time)| *least = time.min(*least));
            }
            let [p50, p99, most] = [0.5, 0.99, 1.0].map(|part| micros(&mut shortest, part));
            let meanwhile = micros(&mut beside(topics, patterns, kind), 0.99);
            println!(
                "| {topics} | {patterns} | {title} | {p50:.1} | {p99:.1} | {most:.1} | {meanwhile:.1} |"
            );
        }
    }
}

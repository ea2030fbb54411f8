//! The memory that a hub takes, counted by the allocator in bytes asked for: alike on every machine.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::num::NonZeroUsize;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use allocation_counter::{AllocationInfo, measure};
use futures_core::Stream;
use tidings_hub::engine::Tap;
use tidings_hub::{Body, Draft, Event, Hub, HubConfig, Start, Topic, TopicFilter, View};
use tidings_testkit::stepped::ready;

/// Enough that what a hub has once does not show.
const TOPICS: usize = 15_000;

fn topics(prefix: &str) -> Vec<Topic> {
    (0..TOPICS).map(|number| Topic::new(format!("{prefix}{number:05}")).unwrap()).collect()
}

fn publish(hub: &Hub, topic: &Topic) {
    let draft = Draft::new(topic.clone(), Event::new("x".repeat(100)));
    ready(pin!(hub.publish(draft))).unwrap();
}

fn each(bytes: AllocationInfo) -> usize {
    usize::try_from(bytes.bytes_current).unwrap() / TOPICS
}

#[test]
fn a_reader_of_its_own_topic_costs_the_hub_at_most_100_bytes_and_a_long_name() {
    for (prefix, bytes_max) in
        [("topic/", 100), ("https://example.com/notifications/", 100 + 2 * size_of::<usize>() + 39)]
    {
        let hub = Hub::default();
        let tap = Tap::open(&hub, 1, Waker::noop().clone());
        let mut readers = Vec::with_capacity(TOPICS);
        let names = topics(prefix).into_iter().map(|topic| topic.as_str().to_owned());
        let names: Vec<_> = names.collect();
        let taken = measure(|| {
            for name in &names {
                let view = Topic::new(name).unwrap().into();
                readers.push(tap.subscribe(&view, Start::Tail));
            }
        });
        assert!(each(taken) <= bytes_max, "{} bytes each", each(taken));
        let left = measure(|| drop(readers));
        assert_eq!(hub.stats().topics, 0);
        assert!(left.bytes_current <= 0);
    }
}

#[test]
fn what_history_is_charged_for_is_what_it_takes() {
    for prefix in ["topic/", "https://example.com/notifications/"] {
        let mut config = HubConfig::default();
        config.retention.topic_events_max = NonZeroUsize::new(2);
        let hub = Hub::new(config);
        // The third time each topic lets go of its first event.
        for time in 1..=3 {
            let before = hub.stats().history_bytes as i64;
            let taken = measure(|| topics(prefix).iter().for_each(|topic| publish(&hub, topic)));
            let charged = hub.stats().history_bytes as i64 - before;
            let difference = (taken.bytes_current - charged).abs() / TOPICS as i64;
            assert!(
                difference <= 8,
                "{} taken, {charged} charged, time {time}",
                taken.bytes_current
            );
        }
    }
}

#[test]
fn publishing_one_event_allocates_for_what_it_leaves_and_for_nothing_else() {
    const EVENTS: u64 = 1000;
    /// The topic's list, blocks, lists of hints, each of which grows now and then, and joining blocks.
    const NOW_AND_THEN: u64 = 150;

    // A shard that looks at its hints at once, or one whose hints wait: then each has a block.
    for (is_busy, each) in [(false, 0), (true, 2)] {
        let hub = Hub::default();
        let tap = Tap::open(&hub, 4096, Waker::noop().clone());
        let topic = Topic::new("a").unwrap();
        let _reader = tap.subscribe(&topic.clone().into(), Start::Tail);
        let drafts = (0..EVENTS).map(|_| Draft::new(topic.clone(), Event::new("x".repeat(100))));
        let drafts: Vec<_> = drafts.collect();
        let mut hints = Vec::new();
        let taken = measure(|| {
            for draft in drafts {
                ready(pin!(hub.publish(draft))).unwrap();
                if !is_busy {
                    tap.drain(&mut hints);
                    hints.clear();
                }
            }
        });
        let allocations = taken.count_total;
        assert!(allocations <= EVENTS * each + NOW_AND_THEN, "{allocations} for {EVENTS} events");
    }
}

/// Polls a stream until it waits.
fn poll(body: &mut Body) -> usize {
    let mut cx = Context::from_waker(Waker::noop());
    let mut bytes = 0;
    while let Poll::Ready(Some(piece)) = Pin::new(&mut *body).poll_next(&mut cx) {
        bytes += piece.len();
    }
    bytes
}

#[test]
fn a_stream_of_its_own_topic_costs_the_hub_at_most_350_bytes() {
    let hub = Hub::default();
    let mut bodies = Vec::with_capacity(TOPICS);
    let names: Vec<_> = (0..TOPICS).map(|number| format!("topic/{number:05}")).collect();
    let taken = measure(|| {
        for name in &names {
            let body = hub.subscribe(Topic::new(name).unwrap(), Start::Tail).into_body();
            let mut body = body.into_response().into_body();
            poll(&mut body);
            bodies.push(body);
        }
    });
    let each = each(taken) + size_of::<Body>();
    assert!(each <= 350, "{each} bytes each");
}

#[test]
fn a_stream_at_the_tail_holds_no_buffer() {
    let hub = Hub::default();
    let topic = Topic::new("a").unwrap();
    for filters in [&["a"][..], &["a", "b"], &["*"]] {
        let view = View::new(filters.iter().map(|filter| TopicFilter::pattern(filter).unwrap()));
        let mut body = hub.subscribe(view, Start::Tail).into_body();
        poll(&mut body);
        (0..1000).for_each(|_| publish(&hub, &topic));
        let taken = measure(|| assert!(poll(&mut body) > 100_000));
        assert_eq!(taken.bytes_current, 0, "{filters:?}");
    }
}

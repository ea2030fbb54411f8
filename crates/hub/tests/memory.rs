//! The memory that a hub takes, counted by the allocator in bytes asked for: alike on every machine.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::num::NonZeroUsize;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use allocation_counter::{AllocationInfo, measure};
use futures_core::Stream;
use tidings_hub::engine::{Drained, Tap};
use tidings_hub::{
    Body, Draft, Event, EventId, Hub, HubConfig, IdempotencyKey, Retention, Start, Topic,
    TopicFilter, Topics, View,
};
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

/// The newest block is always held, and topics come before it: more than that the history may not take
/// beyond its budget.
const OVERSHOOT_MAX: usize = 1024 * 1024;

const BUDGET: usize = 8 * 1024 * 1024;

/// Publishes drafts to a hub with a budget of 8 MiB, and checks what was allocated at most and is left.
#[track_caller]
fn check_budget(what: &str, drafts: impl Iterator<Item = Vec<Draft>>) {
    check_retention(what, Retention::default(), drafts);
}

#[track_caller]
fn check_retention(what: &str, retention: Retention, mut drafts: impl Iterator<Item = Vec<Draft>>) {
    let mut config = HubConfig::default();
    config.retention = retention;
    config.retention.bytes_max = BUDGET;
    let hub = Hub::new(config);
    let (mut charged_max, mut taken_max) = (0, 0);
    let mut taken = 0;
    loop {
        let mut is_over = false;
        // The drafts are made here as well, because the history keeps parts of them.
        let published = measure(|| match drafts.next() {
            Some(drafts) => drop(hub.publish_all(drafts)),
            None => is_over = true,
        });
        if is_over {
            break;
        }
        taken += published.bytes_current;
        taken_max = taken_max.max(taken);
        charged_max = charged_max.max(hub.stats().history_bytes);
    }
    let (taken_max, limit) = (usize::try_from(taken_max).unwrap(), BUDGET + OVERSHOOT_MAX);
    assert!(charged_max <= limit, "{what}: {charged_max} charged");
    let charged_for = charged_max + charged_max / 20;
    assert!(taken_max <= charged_for, "{what}: {taken_max} taken, {charged_max} charged");
    assert!(charged_max > BUDGET / 2, "{what}: {charged_max} charged");
}

/// A block of small events with many new topics each brought 55 MB beyond the budget with it.
#[test]
fn the_budget_holds_for_the_names_of_new_topics_in_the_newest_block() {
    let drafts = |batch: usize, batches: usize| {
        (0..batches).map(move |number| {
            let draft = |event: usize| {
                let names = (0..20).map(|at| format!("{number}/{event}/{at}/{}", "n".repeat(500)));
                let topics = Topics::new(names.map(|name| Topic::new(name).unwrap())).unwrap();
                Draft::new(topics, Event::new("x"))
            };
            (0..batch).map(draft).collect()
        })
    };
    check_budget("one by one", drafts(1, 1500));
    check_budget("in batches", drafts(50, 50));
}

/// They were outside the budget: 55 MB for 150,000.
#[test]
fn the_budget_holds_for_idempotency_keys() {
    let topic = Topic::new("a").unwrap();
    check_budget(
        "keys",
        (0..40_000).map(|number| {
            let key = IdempotencyKey::new(&format!("{number}{}", "k".repeat(200))).unwrap();
            vec![Draft::new(topic.clone(), Event::new("x".repeat(200))).with_idempotency_key(key)]
        }),
    );
}

#[test]
fn the_budget_holds_for_publisher_given_ids() {
    let topics: Vec<_> = (0..50).map(|number| Topic::new(number.to_string()).unwrap()).collect();
    check_budget(
        "IDs",
        (0..40_000).map(|number: usize| {
            let id = EventId::new(format!("{number}{}", "i".repeat(90))).unwrap();
            let topics = Topics::new(topics[number % 40..].iter().take(5).cloned()).unwrap();
            vec![Draft::new(topics, Event::new("x".repeat(100)).with_id(id))]
        }),
    );
}

/// Each event was in 99 topics that evicted it at once, and in one that kept it. The list of the topics
/// that had evicted it was not counted in the budget.
#[test]
fn the_budget_holds_for_events_that_most_of_their_topics_have_evicted() {
    let mut retention = Retention::default();
    retention.topic_events_max = NonZeroUsize::new(1);
    let name = |text: &str| Topic::new(format!("{text}{}", "n".repeat(1024 - text.len()))).unwrap();
    let hot: Vec<_> = (0..99).map(|number| name(&format!("hot/{number}/"))).collect();
    let drafts = (0..4000).map(|number| {
        let topics = hot.iter().cloned().chain([name(&format!("cold/{number}/"))]);
        let id = EventId::new(format!("{number}{}", "i".repeat(90))).unwrap();
        let key = IdempotencyKey::new(&format!("{number}{}", "k".repeat(200))).unwrap();
        let event = Event::new("x").with_id(id);
        vec![Draft::new(Topics::new(topics).unwrap(), event).with_idempotency_key(key)]
    });
    check_retention("partly evicted", retention, drafts);
}

/// Topics came and went, and the memory that they left behind was not charged: their slots, the table of
/// their names, and for each topic the loss of the topics that were forgotten before it came.
#[test]
fn the_budget_holds_for_topics_that_have_been() {
    let small = (0..100_000).map(|number: usize| {
        vec![Draft::new(Topic::new(number.to_string()).unwrap(), Event::new("x"))]
    });
    let topic = Topic::new("large").unwrap();
    let large = (0..16_000).map(|_| vec![Draft::new(topic.clone(), Event::new("x".repeat(1024)))]);
    check_budget("small topics, large events", small.chain(large));
}

/// A shard that was slow kept up to 4,096 large events that the history had evicted.
#[test]
fn events_that_wait_for_a_shard_take_at_most_a_sixteenth_more_than_the_budget() {
    const EVENT: usize = 100_000;
    let mut config = HubConfig::default();
    config.retention.bytes_max = BUDGET;
    let hub = Hub::new(config);
    let tap = Tap::open(&hub, 4096, Waker::noop().clone());
    let topic = Topic::new("a").unwrap();
    let _reader = tap.subscribe(&topic.clone().into(), Start::Tail);
    let mut taken_max = 0;
    let mut taken = 0;
    for _ in 0..300 {
        let published = measure(|| {
            let draft = Draft::new(topic.clone(), Event::new("x".repeat(EVENT)));
            ready(pin!(hub.publish(draft))).unwrap();
        });
        taken += published.bytes_current;
        taken_max = taken_max.max(taken);
    }
    let taken_max = usize::try_from(taken_max).unwrap();
    assert!(taken_max <= BUDGET + BUDGET / 16 + 2 * EVENT, "{taken_max} taken");
    assert_eq!(tap.drain(&mut Vec::new(), &mut Vec::new()), Drained::Dropped);
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
                    tap.drain(&mut hints, &mut Vec::new());
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

/// The piece that a body has given is its server's; the next one is made when it is asked for.
#[test]
fn bodies_that_are_not_asked_hold_nothing_however_much_is_published() {
    const BODIES: usize = 1000;
    let mut config = HubConfig::default();
    config.retention.bytes_max = 1024 * 1024;
    let hub = Hub::new(config);
    let topic = Topic::new("a").unwrap();
    let mut bodies: Vec<_> =
        (0..BODIES).map(|_| hub.subscribe(topic.clone(), Start::Tail).into_body()).collect();
    bodies.iter_mut().for_each(|body| assert!(poll(body) > 0));
    publish(&hub, &topic);
    let taken = measure(|| (0..20_000).for_each(|_| publish(&hub, &topic)));
    let history = i64::try_from(hub.stats().history_bytes).unwrap();
    assert!(taken.bytes_current <= history, "{} bytes", taken.bytes_current);
    let taken = measure(|| drop(bodies));
    assert!(taken.bytes_current <= 0);
}

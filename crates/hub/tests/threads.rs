//! Subscribers and bodies on real threads, beside publishers on others.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Barrier;

use futures_core::Stream as _;
use tidings_hub::{Client, Found, Hub, HubConfig, Start, Subscriber, View};
use tidings_proto::{Decoder, Item};
use tidings_testkit::threads::{Gaps, Reading, Tally, everything, view};

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
                Found::Event(found) => {
                    assert!(last < Some(found.sequence), "{}: out of order", tally.name);
                    last = Some(found.sequence);
                    tally.event(found.event.data());
                }
                Found::Gap(_) => tally.gap(),
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

fn run(config: HubConfig, gaps: Gaps) {
    let all = [0, 1, 2, 3];
    let tally = |name, topics: &[usize]| (view(topics), Tally::new(name, gaps, topics));
    let everything = || (everything(), Tally::new("patterns", gaps, &all));
    let mut readings: Vec<Reading> = Vec::new();
    for (view, tally) in
        [tally("one topic", &[0]), tally("two topics", &[1, 2]), tally("all", &all), everything()]
    {
        readings.push(Box::new(|hub, begin| subscriber(hub, begin, view, tally)));
    }
    for (view, tally) in [tally("one topic's text", &[3]), everything()] {
        readings.push(Box::new(|hub, begin| body(hub, begin, view, tally)));
    }
    tidings_testkit::threads::run(config, gaps, readings, |hub| {
        let (view, tally) = everything();
        let asleep = hub.subscribe(view, Start::Tail);
        Box::new(|| read(asleep, tally))
    });
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

//! The rest of an event that was cut: what it costs, and that it goes on where it was cut.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use allocation_counter::measure;
use tidings_hub::engine::Tap;
use tidings_hub::{Draft, Event, Hub, HubConfig, Start, Topic};
use tidings_testkit::stepped::ready;

use super::{FakeSocket, Wire, dechunk, shard_config};
use crate::engine::gathered::Framing;
use crate::engine::reason::Reason;
use crate::engine::shard::Shard;
use crate::engine::slot::{Adopted, Subscription};
use crate::engine::stream_spec::StreamSpec;

struct Readers {
    hub: Hub,
    shard: Shard<FakeSocket, ()>,
    wires: Vec<(usize, Framing, Rc<RefCell<Wire>>)>,
}

impl Readers {
    /// Readers of the topic `a` at its tail, every other one over HTTP/1.0.
    fn new(count: usize, config: HubConfig) -> Self {
        let hub = Hub::new(config);
        let tap = Arc::new(Tap::open(&hub, 100, Waker::noop().clone()));
        let config = shard_config(Duration::from_secs(3600));
        let mut shard = Shard::new(config, Arc::clone(&tap));
        let wires = (0..count).map(|number| {
            let framing = if number % 2 == 0 { Framing::Chunked } else { Framing::Close };
            // What the test itself keeps is not to be counted later.
            let written = Vec::with_capacity(12_000);
            let wire = Wire { room: 10_000, written, ..Wire::default() };
            let wire = Rc::new(RefCell::new(wire));
            let key = shard.add(Adopted {
                socket: FakeSocket(Rc::clone(&wire)),
                head: Vec::new(),
                discarded: 0,
                subscription: Subscription {
                    reader: tap.subscribe(&topic().into(), Start::Tail),
                    framing,
                    spec: StreamSpec::default(),
                    permit: (),
                },
            });
            (key, framing, wire)
        });
        let wires = wires.collect();
        let mut readers = Self { hub, shard, wires };
        readers.turns();
        readers
    }

    fn publish(&self, data: String) {
        let published = self.hub.publish(Draft::new(topic(), Event::new(data)));
        ready(pin!(published)).unwrap();
    }

    fn turns(&mut self) {
        while self.shard.turn(100) {}
    }

    /// Lets all sockets take so many bytes more.
    fn make_room(&mut self, room: usize) {
        for (key, _, wire) in &self.wires {
            wire.borrow_mut().room += room;
            self.shard.handle_writable(*key);
        }
        self.turns();
    }

    /// The text that each reader was sent.
    fn texts(&self) -> impl Iterator<Item = String> {
        self.wires.iter().map(|(_, framing, wire)| {
            let written = &wire.borrow().written;
            let text = match framing {
                Framing::Chunked => dechunk(written, true),
                Framing::Close => written.clone(),
            };
            String::from_utf8(text).unwrap()
        })
    }
}

fn topic() -> Topic {
    Topic::new("a").unwrap()
}

/// Each slow reader used to hold a copy of its own: 1,000 of them took 1 GB.
#[test]
fn a_large_event_is_held_once_for_all_readers_that_are_slow() {
    const READERS: usize = 1000;
    const EVENT_BYTES: usize = 1_000_000;
    let mut readers = Readers::new(READERS, HubConfig::default());
    let read_at_once = measure(|| {
        readers.publish("x".repeat(EVENT_BYTES));
        readers.turns();
    });
    // A sweep's readers, and those that read from history.
    readers.make_room(1000);
    let per_reader = (read_at_once.bytes_current - 2 * EVENT_BYTES as i64) / READERS as i64;
    assert!(per_reader < 1000, "{per_reader} bytes for each reader");
}

#[test]
fn a_large_event_that_history_has_let_go_of_is_written_to_its_end_wherever_it_is_cut() {
    let mut config = HubConfig::default();
    config.retention.topic_events_max = NonZeroUsize::new(1);
    let rooms = [1, 7, 1023, 4096, 40_000];
    for (room, is_ended) in rooms.into_iter().flat_map(|room| [(room, false), (room, true)]) {
        let mut readers = Readers::new(4, config.clone());
        let data: String = (0..20_000).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
        readers.publish(data.clone());
        readers.turns();
        readers.publish("the next".to_owned());
        for _ in 0..(5_000 / room).max(1) {
            readers.make_room(room);
        }
        // The end of the stream comes behind the rest, or behind what follows it.
        if !is_ended {
            readers.make_room(100_000);
        }
        readers.shard.drain(Duration::ZERO);
        readers.turns();
        readers.make_room(100_000);
        for (text, (_, _, wire)) in readers.texts().zip(&readers.wires) {
            assert!(wire.borrow().is_finished, "a stream without its end");
            assert!(text.contains(&format!("data: {data}\n\n")), "cut short by rooms of {room}");
            assert!(is_ended || text.contains("data: the next\n\n"), "the next one is lost");
        }
    }
}

/// Readers that had each stopped in another event kept these events after history had evicted them:
/// 1,000 readers kept 1 GB of events of 1 MB.
#[test]
fn rests_of_evicted_events_take_at_most_an_eighth_more_than_the_budget() {
    const READERS: usize = 150;
    const EVENT_BYTES: usize = 20_000;
    const BUDGET: usize = 40 * EVENT_BYTES;
    let mut config = HubConfig::default();
    config.retention.bytes_max = BUDGET;
    let mut readers = Readers::new(READERS, config);
    let set_room = |readers: &Readers, at: usize, room: usize| {
        let mut wire = readers.wires[at].2.borrow_mut();
        wire.room = room;
        wire.written.clear();
    };
    let mut kept = 0;
    for at in 0..READERS {
        // One more reader stops in each event; the others take everything.
        (at..READERS).for_each(|reader| set_room(&readers, reader, usize::MAX));
        set_room(&readers, at, 1000);
        readers.publish("x".repeat(EVENT_BYTES));
        readers.turns();
        readers.shard.set_now(Duration::from_secs(2 * (at as u64 + 1)));
        readers.turns();
        let stopped = readers.wires[..=at].iter();
        kept = stopped.filter(|(_, _, wire)| !wire.borrow().is_closed).count() * EVENT_BYTES;
        // Those of the last 5 s have not stopped yet.
        assert!(kept <= BUDGET + BUDGET / 8 + 4 * EVENT_BYTES, "{kept} bytes at {at}");
    }
    assert!(kept > BUDGET, "{kept} bytes are few");
    let reasons = readers.shard.take_end_reasons();
    assert!(!reasons.is_empty() && reasons.iter().all(|reason| *reason == Reason::ClientStalled));
    // The readers that stopped last stay, and are sent the rest.
    set_room(&readers, READERS - 1, 0);
    readers.make_room(2 * EVENT_BYTES);
    assert!(readers.wires[READERS - 1].2.borrow().written.len() > EVENT_BYTES - 1000);
}

/// An event that is a small part of its block would make the whole block live on.
#[test]
fn the_rest_of_a_small_part_of_a_block_is_copied() {
    const READERS: usize = 100;
    let mut config = HubConfig::default();
    config.retention.topic_events_max = NonZeroUsize::new(1);
    let mut readers = Readers::new(READERS, config);
    let other = Topic::new("other").unwrap();
    let batch = (0..12).map(|number| {
        let topic = if number == 6 { topic() } else { other.clone() };
        Draft::new(topic, Event::new("x".repeat(5000)))
    });
    drop(readers.hub.publish_all(batch.collect()));
    for (_, _, wire) in &readers.wires {
        wire.borrow_mut().room = 100;
    }
    let taken = measure(|| readers.turns());
    assert!(taken.bytes_current > READERS as i64 * 4000, "{} bytes", taken.bytes_current);
}

//! A shard on a thread of its own, beside publishers on others; its tap is so small that it overflows.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Barrier};
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use tidings_hub::engine::Tap;
use tidings_hub::{Hub, HubConfig, Start, View};
use tidings_proto::{Decoder, Item};
use tidings_testkit::threads::{Gaps, Tally, everything, run, view};

use super::super::gathered::Framing;
use super::super::shard::Shard;
use super::super::slot::{Adopted, Subscription};
use super::super::socket::Socket;
use super::super::stream_spec::StreamSpec;
use super::shard_config;

/// A socket that takes everything.
#[derive(Debug)]
struct Sink(Rc<RefCell<Vec<u8>>>);

impl Socket for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn finish(&mut self) {}
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

struct Slot {
    written: Rc<RefCell<Vec<u8>>>,
    decoder: Decoder,
    tally: Tally,
}

impl Slot {
    fn check(&mut self) {
        let written = std::mem::take(&mut *self.written.borrow_mut());
        let mut input = &written[..];
        while let Some(item) = self.decoder.decode(&mut input).unwrap() {
            match item {
                Item::Event(event) if event.event_type == "gap" => self.tally.gap(),
                Item::Event(event) => self.tally.event(event.data),
                _ => {}
            }
        }
    }
}

/// A shard with a slot for each view.
fn shard(hub: &Hub, waker: Waker, views: Vec<(View, Tally)>) -> (Shard<Sink, ()>, Vec<Slot>) {
    let tap = Arc::new(Tap::open(hub, 4, waker));
    let config = shard_config(Duration::from_secs(3600));
    let mut shard = Shard::new(config, Arc::clone(&tap));
    let slot = |(view, tally)| {
        let written = Rc::default();
        shard.add(Adopted {
            socket: Sink(Rc::clone(&written)),
            head: Vec::new(),
            discarded: 0,
            subscription: Subscription {
                reader: tap.subscribe(&view, Start::Tail),
                framing: Framing::Close,
                spec: StreamSpec::default(),
                permit: (),
            },
        });
        Slot { written, decoder: Decoder::new(), tally }
    };
    let slots = views.into_iter().map(slot).collect();
    (shard, slots)
}

fn read(hub: &Hub, begin: &Barrier, views: Vec<(View, Tally)>) {
    let waker = Arc::new(Unpark(thread::current())).into();
    let (mut shard, mut slots) = shard(hub, waker, views);
    begin.wait();
    loop {
        while shard.turn(16) {}
        slots.iter_mut().for_each(Slot::check);
        if slots.iter().all(|slot| slot.tally.ended) {
            return;
        }
        thread::park();
    }
}

fn check(config: HubConfig, gaps: Gaps) {
    let all = [0, 1, 2, 3];
    let views = move || {
        let tally = |name, topics: &[usize]| Tally::new(name, gaps, topics);
        vec![
            (view(&[0]), tally("a slot of one topic", &[0])),
            (view(&all), tally("a slot of all", &all)),
            (everything(), tally("a slot of patterns", &all)),
        ]
    };
    run(config, gaps, vec![Box::new(move |hub, begin| read(hub, begin, views()))], |hub| {
        let (mut shard, mut slots) = shard(hub, Waker::noop().clone(), views());
        Box::new(move || {
            while shard.turn(16) {}
            slots.iter_mut().for_each(Slot::check);
            assert!(slots.iter().all(|slot| slot.tally.ended), "a slot asleep");
        })
    });
}

#[test]
fn t42_a_shard_beside_publishers_loses_doubles_and_reorders_nothing() {
    check(HubConfig::default(), Gaps::None);
}

#[test]
fn t42_a_shard_beside_publishers_tells_whatever_a_small_history_loses() {
    let mut config = HubConfig::default();
    config.retention.bytes_max = 30_000;
    check(config, Gaps::Some);
}

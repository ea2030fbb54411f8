//! Instructions per stream, counted by Valgrind. The counts do not depend on other work on the
//! machine.
//!
//! Install with `cargo install gungraun-runner --version 0.20.0`, then run `cargo bench --bench
//! instructions`. It fails if a count exceeds the recorded one by a tenth. After making a count
//! smaller, or larger for a reason, record the new count. Another compiler has other counts.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Waker};

use gungraun::{
    Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main,
};
use tidings_benchmarks::{Found, PACKET_BYTES, Workload, decode, full, model, tiny};
use tidings_hub::engine::{Hint, Reader, Tap};
use tidings_hub::{Draft, Event, Hub, HubConfig, Start, Topic};
use tidings_proto::{encode, encoded_len};

#[library_benchmark]
#[bench::model(args = (model()), config = recorded(2_133_539))]
#[bench::tiny(args = (tiny()), config = recorded(20_607_864))]
#[bench::full(args = (full()), config = recorded(8_982_771))]
fn decode_whole(workload: Workload) -> (Found, Workload) {
    (decode([black_box(workload.stream.as_slice())]), workload)
}

#[library_benchmark]
#[bench::model(args = (model()), config = recorded(2_710_476))]
#[bench::tiny(args = (tiny()), config = recorded(21_099_535))]
#[bench::full(args = (full()), config = recorded(9_329_995))]
fn decode_packets(workload: Workload) -> (Found, Workload) {
    (decode(black_box(workload.stream.chunks(PACKET_BYTES))), workload)
}

#[library_benchmark]
#[bench::model(args = (with_buffer(model())), config = recorded(1_247_592))]
#[bench::tiny(args = (with_buffer(tiny())), config = recorded(13_515_091))]
#[bench::full(args = (with_buffer(full())), config = recorded(3_569_171))]
fn encode_all((workload, mut out): (Workload, Vec<u8>)) -> (Workload, Vec<u8>) {
    for event in black_box(&workload.events) {
        encode(event, &mut out);
    }
    (workload, out)
}

#[library_benchmark]
#[bench::model(args = (model()), config = recorded(896_980))]
#[bench::full(args = (full()), config = recorded(2_194_916))]
fn len_of_all(workload: Workload) -> (usize, Workload) {
    (black_box(&workload.events).iter().map(encoded_len).sum(), workload)
}

#[library_benchmark]
#[bench::one_topic(args = (published(1)), config = recorded(3_021_588))]
#[bench::many_topics(args = (published(1000)), config = recorded(2_928_599))]
#[bench::nobody_reads(args = (published(1).without_readers()), config = recorded(2_730_818))]
#[bench::full(args = (published(1000).with_history_full()), config = recorded(4_282_424))]
fn publish(mut published: Published) -> Published {
    let Published { hub, drafts, tap, hints, slots, .. } = &mut published;
    for draft in black_box(drafts.drain(..)) {
        let publishing = hub.publish(draft);
        let committed = pin!(publishing).poll(&mut Context::from_waker(Waker::noop()));
        assert!(black_box(committed).is_ready());
        tap.drain(hints, slots);
        hints.clear();
    }
    published
}

// Like `publish`, but while a shard is busy: its hints wait, and it holds on to the blocks.
#[library_benchmark]
#[bench::one_topic(args = (published(1)), config = recorded(3_552_453))]
#[bench::many_topics(args = (published(1000)), config = recorded(3_602_594))]
fn publish_behind(mut published: Published) -> Published {
    for draft in black_box(published.drafts.drain(..)) {
        let publishing = published.hub.publish(draft);
        let committed = pin!(publishing).poll(&mut Context::from_waker(Waker::noop()));
        assert!(black_box(committed).is_ready());
    }
    published
}

struct Published {
    hub: Hub,
    drafts: Vec<Draft>,
    tap: Tap,
    hints: Vec<Hint>,
    slots: Vec<u32>,
    readers: Vec<Reader>,
}

/// A hub with 5,000 topics, each with one reader on a single shard, and a thousand events of 100
/// bytes that are published one by one to `spread` topics in turn.
fn published(topics: usize) -> Published {
    const EVENTS: usize = 1000;
    let mut config = HubConfig::default();
    config.retention.bytes_max = HISTORY_BYTES_MAX;
    let hub = Hub::new(config);
    let tap = Tap::open(&hub, EVENTS, Waker::noop().clone());
    let readers = (0..TOPICS).map(|number| tap.subscribe(&topic(number).into(), Start::Tail));
    let readers = readers.collect();
    let drafts = (0..EVENTS).map(|number| Draft::new(topic(number % topics), event(number)));
    let drafts = drafts.collect();
    Published { hub, drafts, tap, hints: Vec::new(), slots: Vec::new(), readers }
}

/// The number of topics.
const TOPICS: usize = 5000;
/// Larger than a thousand events, small enough to be filled.
const HISTORY_BYTES_MAX: usize = 4 * 1024 * 1024;

impl Published {
    fn without_readers(mut self) -> Self {
        self.readers.clear();
        self
    }

    /// Publishes until each event evicts another and every topic has lost some.
    fn with_history_full(mut self) -> Self {
        for number in 0..HISTORY_BYTES_MAX / 100 {
            let draft = Draft::new(topic(number % TOPICS), event(number));
            drop(self.hub.publish(draft));
        }
        self.tap.drain(&mut self.hints, &mut self.slots);
        self.hints = Vec::new();
        self
    }
}

fn topic(number: usize) -> Topic {
    Topic::new(format!("topic/{number}")).expect("it is a topic")
}

fn event(number: usize) -> Event {
    Event::new(format!("{number:0100}"))
}

fn with_buffer(workload: Workload) -> (Workload, Vec<u8>) {
    let out = Vec::with_capacity(workload.stream.len());
    (workload, out)
}

/// Allows a tenth more than the recorded count.
fn recorded(instructions: u64) -> LibraryBenchmarkConfig {
    let mut callgrind = Callgrind::default();
    callgrind.hard_limits([(EventKind::Ir, instructions + instructions / 10)]);
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(callgrind);
    config
}

library_benchmark_group!(name = decoding, benchmarks = [decode_whole, decode_packets]);
library_benchmark_group!(name = encoding, benchmarks = [encode_all, len_of_all]);
library_benchmark_group!(name = publishing, benchmarks = [publish, publish_behind]);
main!(library_benchmark_groups = [decoding, encoding, publishing]);

//! Encoding one MiB of events into one buffer that is reused.
//!
//! sse-stream consumes an event to encode it, so the event must be made anew each time. The row
//! `tidings-made` does the same, whereas `tidings` encodes existing events.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sse_stream::Sse;
use tidings_benchmarks::{Workload, workloads};
use tidings_proto::{Event, encode, encoded_len};

fn benches(criterion: &mut Criterion) {
    for workload in workloads() {
        measure(criterion, &workload);
    }
}

fn measure(criterion: &mut Criterion, workload: &Workload) {
    let mut group = criterion.benchmark_group(format!("encode/{}", workload.name));
    group.throughput(Throughput::Bytes(workload.stream.len() as u64));
    let mut out = Vec::with_capacity(workload.stream.len());
    group.bench_function("tidings", |b| {
        b.iter(|| {
            out.clear();
            for event in black_box(&workload.events) {
                encode(event, &mut out);
            }
            out.len()
        });
    });
    group.bench_function("tidings-made", |b| {
        b.iter(|| {
            out.clear();
            for event in black_box(&workload.events) {
                let mut made = Event::new(event.data()).with_type(event.event_type().clone());
                if let Some(id) = event.id() {
                    made = made.with_id(id.clone());
                }
                encode(&black_box(made), &mut out);
            }
            out.len()
        });
    });
    group.bench_function("tidings-len", |b| {
        b.iter(|| black_box(&workload.events).iter().map(encoded_len).sum::<usize>());
    });
    group.bench_function("sse-stream", |b| {
        b.iter(|| {
            out.clear();
            for event in black_box(&workload.events) {
                let mut made = Sse::default().data(event.data());
                if !event.event_type().is_message() {
                    made = made.event(event.event_type().as_str());
                }
                if let Some(id) = event.id() {
                    made = made.id(id.as_str());
                }
                let text = black_box(made).encode().expect("the event is legal");
                out.extend_from_slice(&text);
            }
            out.len()
        });
    });
    group.finish();
}

criterion_group! {
    name = group;
    config = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = benches
}
criterion_main!(group);

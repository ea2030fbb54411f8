//! Decoding one MiB of events: in one chunk, and in chunks as TCP delivers them.
//!
//! The peers decode a stream of chunks, which is always ready here, so that polling it costs next
//! to nothing. `tidings` looks at each event without copying it. `tidings-owned` makes an owned
//! event, as the peers do.

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use eventsource_stream::Eventsource;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use sse_stream::SseByteStream;
use sseer::event_stream::EventStream;
use tidings_benchmarks::{
    Found, PACKET_BYTES, Workload, decode, decode_owned, hard, model, workloads,
};

fn benches(criterion: &mut Criterion) {
    for workload in workloads() {
        measure(criterion, "whole", &workload, workload.stream.len());
        measure(criterion, "packets", &workload, PACKET_BYTES);
    }
    measure_hard(criterion);
}

/// The hardest streams for this decoder. Most peers fail at the first malformed byte.
fn measure_hard(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode/hard");
    for (name, stream) in hard() {
        group.throughput(Throughput::Bytes(stream.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| decode(black_box(stream.chunks(PACKET_BYTES))));
        });
    }
    let stream = model().stream;
    group.throughput(Throughput::Bytes(stream.len() as u64));
    group.bench_function("byte-by-byte", |b| b.iter(|| decode(black_box(stream.chunks(1)))));
    group.finish();
}

fn measure(criterion: &mut Criterion, cut: &str, workload: &Workload, chunk_bytes: usize) {
    let stream = Bytes::from(workload.stream.clone());
    let chunks: Vec<Bytes> =
        (0..stream.len()).step_by(chunk_bytes).map(|at| cut_at(&stream, at, chunk_bytes)).collect();
    let slices = || chunks.iter().map(AsRef::as_ref);

    let expected = decode(slices());
    assert_eq!(expected.events, workload.events.len());
    assert_eq!(decode_owned(slices()), expected);
    // Its time grows with the square of the chunk size: 20 s for the MiB of tiny events.
    let skipped = if cut == "whole" { "eventsource-stream" } else { "" };

    let mut group = criterion.benchmark_group(format!("decode/{}/{cut}", workload.name));
    group.throughput(Throughput::Bytes(stream.len() as u64));
    group.bench_function("tidings", |b| b.iter(|| decode(black_box(slices()))));
    group.bench_function("tidings-owned", |b| b.iter(|| decode_owned(black_box(slices()))));
    let peers: [(&str, Peer); 3] =
        [("sse-stream", sse_stream), ("sseer", sseer), ("eventsource-stream", eventsource_stream)];
    for (name, peer) in peers {
        if name == skipped {
            continue;
        }
        assert_eq!(peer(&chunks), expected, "{name}");
        group.bench_with_input(BenchmarkId::from_parameter(name), &chunks, |b, chunks| {
            b.iter(|| peer(black_box(chunks)));
        });
    }
    group.finish();
}

type Peer = fn(&[Bytes]) -> Found;

fn cut_at(stream: &Bytes, at: usize, chunk_bytes: usize) -> Bytes {
    stream.slice(at..stream.len().min(at + chunk_bytes))
}

fn ready(chunks: &[Bytes]) -> impl Stream<Item = Result<Bytes, Infallible>> + Unpin {
    stream::iter(chunks.iter().cloned().map(Ok))
}

fn sse_stream(chunks: &[Bytes]) -> Found {
    let mut found = Found::default();
    let mut events = SseByteStream::new(ready(chunks));
    while let Some(event) = events.next().now_or_never().expect("the stream is ready") {
        let event = black_box(event.expect("the stream is well-formed"));
        found.add(event.data.as_deref().unwrap_or_default());
    }
    found
}

fn sseer(chunks: &[Bytes]) -> Found {
    let mut found = Found::default();
    let mut events = EventStream::new(ready(chunks));
    while let Some(event) = events.next().now_or_never().expect("the stream is ready") {
        let event = black_box(event.expect("the stream is well-formed"));
        found.add(&event.data);
    }
    found
}

fn eventsource_stream(chunks: &[Bytes]) -> Found {
    let mut found = Found::default();
    let mut events = ready(chunks).eventsource();
    while let Some(event) = events.next().now_or_never().expect("the stream is ready") {
        let event = black_box(event.expect("the stream is well-formed"));
        found.add(&event.data);
    }
    found
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

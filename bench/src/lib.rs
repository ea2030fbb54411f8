//! The streams that the codec is measured with. They are the same on every machine.

use std::fmt::Write;

use fastrand::Rng;
use tidings_proto::{Decoder, Event, EventId, EventType, Item};

/// The approximate size of each stream: larger than the cache of one core, smaller than that of the
/// machine.
pub const STREAM_BYTES: usize = 1024 * 1024;

/// The payload of a full Ethernet packet: the chunks of a stream from afar have this size.
pub const PACKET_BYTES: usize = 1460;

/// A stream to decode, or the events to encode it from.
pub struct Workload {
    /// The name in benchmarks and records.
    pub name: &'static str,
    /// The text of the stream.
    pub stream: Vec<u8>,
    /// The events of the stream.
    pub events: Vec<Event>,
}

/// Returns all workloads.
#[must_use]
pub fn workloads() -> Vec<Workload> {
    vec![model(), tiny(), full()]
}

/// The response of a language model, one token per event: about 250 bytes of JSON for a few
/// letters.
#[must_use]
pub fn model() -> Workload {
    let mut rng = Rng::with_seed(1);
    workload("model", || {
        let mut data = String::from(
            r#"{"id":"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG","object":"chat.completion.chunk","created":1741570283,"model":"large-2025-08-06","service_tier":"default","system_fingerprint":"fp_50cad350e4","choices":[{"index":0,"delta":{"content":""#,
        );
        data.push_str(TOKENS[rng.usize(..TOKENS.len())]);
        data.push_str(r#""},"logprobs":null,"finish_reason":null}]}"#);
        Event::new(data)
    })
}

/// The smallest events with data.
#[must_use]
pub fn tiny() -> Workload {
    workload("tiny", || Event::new("x"))
}

/// Events with an ID, a type and three lines of data.
#[must_use]
pub fn full() -> Workload {
    let mut number = 0;
    workload("full", || {
        number += 1;
        let mut id = String::new();
        write!(id, "urn:uuid:018f3c1e-0000-8000-8000-{number:012x}").expect("a string grows");
        Event::new(
            "the first line of a notice\nits second, a little longer than that\nand the last",
        )
        .with_type(EventType::new("notice").expect("the type is legal"))
        .with_id(EventId::new(id).expect("the ID is legal"))
    })
}

/// Streams that cost the decoder most per byte, named after the reason.
#[must_use]
pub fn hard() -> Vec<(&'static str, Vec<u8>)> {
    let whole_lines = |line: &[u8]| line.repeat(STREAM_BYTES / line.len());
    let mut malformed = b"data: ".to_vec();
    malformed.resize(STREAM_BYTES, 0xFF);
    malformed.extend_from_slice(b"\n\n");
    vec![
        ("malformed", malformed),
        ("heartbeats", whole_lines(b":\n")),
        ("retries", whole_lines(b"retry: 1\n")),
        ("ids", whole_lines(b"id: 1\n\n")),
        ("empty-events", whole_lines(b"data\n\n")),
        ("empty-data-lines", [&whole_lines(b"data\n"), &b"\n"[..]].concat()),
        ("blank-lines", whole_lines(b"\n")),
    ]
}

fn workload(name: &'static str, mut next: impl FnMut() -> Event) -> Workload {
    let mut workload = Workload { name, stream: Vec::new(), events: Vec::new() };
    while workload.stream.len() < STREAM_BYTES {
        let event = next();
        tidings_proto::encode(&event, &mut workload.stream);
        workload.events.push(event);
    }
    workload
}

/// The totals of a stream, which keep the compiler from removing the work and tell whether two
/// decoders agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The number of events.
    pub events: usize,
    /// The number of bytes of their data.
    pub data_bytes: usize,
}

impl Found {
    /// Counts one event.
    #[inline]
    pub fn add(&mut self, data: &str) {
        self.events += 1;
        self.data_bytes += data.len();
    }
}

/// Decodes a stream that arrives in `chunks`, looking at each event without copying it.
///
/// # Panics
///
/// Panics if an event exceeds the default limit.
pub fn decode<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Found {
    let mut decoder = Decoder::new();
    let mut found = Found::default();
    for mut chunk in chunks {
        while let Some(item) = decoder.decode(&mut chunk).expect("within the limits") {
            if let Item::Event(event) = item {
                found.add(event.data);
            }
        }
    }
    found
}

/// Decodes like [`decode`], but makes an owned event of each.
///
/// # Panics
///
/// Panics if an event exceeds the default limit.
pub fn decode_owned<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Found {
    let mut decoder = Decoder::new();
    let mut found = Found::default();
    for mut chunk in chunks {
        while let Some(item) = decoder.decode(&mut chunk).expect("within the limits") {
            if let Item::Event(event) = item {
                found.add(std::hint::black_box(event.to_buf()).data());
            }
        }
    }
    found
}

const TOKENS: [&str; 12] = [
    " the",
    " of",
    "ing",
    " stream",
    ".",
    ",",
    " événement",
    "\\n",
    " a",
    "漢字",
    " 🙂",
    " Tidings",
];

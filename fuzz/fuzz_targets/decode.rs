#![no_main]
//! Any bytes, cut at any place: the decoder against the reference, and with limits against itself.

#[path = "../../crates/proto/tests/support/mod.rs"]
mod support;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use support::{Seen, decode_cut, decode_whole, reference};
use tidings_proto::{Decoder, Limits};

#[derive(Arbitrary, Debug)]
struct Input {
    chunk_lens: Vec<u8>,
    event_bytes_max: u8,
    comment_bytes_max: u8,
    stream: Vec<u8>,
}

fuzz_target!(|input: Input| {
    let stream = &input.stream;
    let cuts: Vec<_> = input
        .chunk_lens
        .iter()
        .scan(0, |at, len| {
            *at += usize::from(*len);
            (*at <= stream.len()).then_some(*at)
        })
        .collect();

    // The reference decoder has no limits.
    let unlimited = Limits::default().with_comment_bytes_max(usize::MAX);
    let (seen, decoder) = decode_cut(Decoder::with_limits(unlimited), stream, &cuts);
    assert_eq!(seen, reference::decode(&[stream], String::new()));
    let last = seen.iter().rev().find_map(|item| match item {
        Seen::Event { last_event_id, .. } => Some(last_event_id.as_str()),
        Seen::Id(id) => Some(id.as_str()),
        _ => None,
    });
    assert_eq!(decoder.last_event_id(), last.unwrap_or_default());

    let limits = Limits::default()
        .with_event_bytes_max(input.event_bytes_max.into())
        .with_comment_bytes_max(input.comment_bytes_max.into());
    let (seen, _) = decode_cut(Decoder::with_limits(limits), stream, &cuts);
    assert_eq!(seen, decode_whole(stream, limits));
});

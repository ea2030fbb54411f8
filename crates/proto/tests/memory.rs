//! Measures the memory that decoding holds and allocates.

#![allow(clippy::unwrap_used, reason = "a stream that cannot be read must fail its test")]

use std::iter;

use allocation_counter::measure;
use tidings_proto::{Decoder, EventType, Item, LimitExceeded, Limits};

/// Hands over `start`, then [`STREAM_BYTES`] of `piece`, and returns the most that was held at a time.
fn held_at_most(start: &str, piece: &[u8], outcome: Result<(), usize>) -> u64 {
    let held = measure(|| {
        let limits = Limits::default().with_event_bytes_max(EVENT_BYTES_MAX);
        let mut decoder = Decoder::with_limits(limits);
        let mut input = &b"id: 1\ndata: before\n\n"[..];
        while decoder.decode(&mut input).unwrap().is_some() {}
        let pieces = iter::repeat_n(piece, STREAM_BYTES / piece.len());
        let ended = iter::once(start.as_bytes()).chain(pieces).try_for_each(|mut chunk| {
            while let Some(item) = decoder.decode(&mut chunk)? {
                assert!(matches!(item, Item::Comment(_)), "{item:?}");
            }
            Ok(())
        });
        assert_eq!(ended.map_err(|exceeded: LimitExceeded| exceeded.event_bytes_max), outcome);
        assert_eq!(decoder.last_event_id(), "1", "the place is kept");
    });
    held.bytes_max
}

#[test]
fn t17_endless_comments_and_unknown_fields_are_dropped_without_buffering() {
    let piece = [b'x'; 1460];
    assert!(held_at_most(": ", &piece, Ok(())) < 32 * 1024);
    assert!(held_at_most("unknown: ", &piece, Ok(())) < 1024);
    assert!(held_at_most("no-name-ends-here", &piece, Ok(())) < 1024);
    assert!(held_at_most("", b"unknown: of many lines\n", Ok(())) < 1024);
    assert!(held_at_most("", b":\n", Ok(())) < 1024);
}

#[test]
fn t17_an_endless_field_ends_in_an_error_and_is_held_no_further_than_the_limit() {
    let piece = [b'1'; 1460];
    // A buffer doubles as it grows, and holds the old half and the new whole while it moves.
    let most = 3 * EVENT_BYTES_MAX as u64;
    for name in ["data: ", "id: ", "event: ", "retry: "] {
        let held = held_at_most(name, &piece, Err(EVENT_BYTES_MAX));
        assert!(held < most, "{name}{held} bytes were held");
    }
    assert!(held_at_most("", b"data: of many lines\n", Err(EVENT_BYTES_MAX)) < most);
    assert!(held_at_most("", b"data\n", Err(EVENT_BYTES_MAX)) < most);
}

#[test]
fn events_that_lie_whole_in_their_chunk_are_decoded_without_allocation() {
    let stream = b"id: 1\nevent: tick\ndata: one\n\n".repeat(100);
    let mut decoder = Decoder::new();
    let mut input = &stream[..30];
    while decoder.decode(&mut input).unwrap().is_some() {}
    let allocations = measure(|| {
        let mut input = &stream[..];
        let mut events = 0;
        while decoder.decode(&mut input).unwrap().is_some() {
            events += 1;
        }
        assert_eq!(events, 100);
    });
    assert_eq!(allocations.count_total, 0);
}

#[test]
fn events_in_pieces_are_decoded_without_allocation_once_the_buffers_have_grown() {
    let stream = b": hi\nid: 1\nevent: tick\ndata: one\ndata: two\n\n".repeat(100);
    let mut decoder = Decoder::new();
    let mut decode = || {
        let mut items = 0;
        for mut chunk in stream.chunks(7) {
            while decoder.decode(&mut chunk).unwrap().is_some() {
                items += 1;
            }
        }
        assert_eq!(items, 200);
    };
    decode();
    assert_eq!(measure(decode).count_total, 0);
}

#[test]
fn the_type_message_takes_no_allocation() {
    let allocations = measure(|| {
        assert!(EventType::new("message").unwrap().is_message());
        assert!(EventType::new("").unwrap().is_message());
    });
    assert_eq!(allocations.count_total, 0);
}

#[test]
fn limits_are_on_by_default() {
    assert_eq!(Decoder::new().limits().event_bytes_max(), 16 * 1024 * 1024);
    assert_eq!(Decoder::default().limits(), Limits::default());
}

const EVENT_BYTES_MAX: usize = 512 * 1024;
const STREAM_BYTES: usize = 8 * EVENT_BYTES_MAX;

//! Claims about how the decoder works inside; what it decodes is tested from outside.

extern crate std;

use alloc::vec::Vec;
use core::ops::Range;

use super::*;

/// Decodes `stream` in chunks of `chunk_len` and returns how many events it held.
fn count_events(stream: &[u8], chunk_len: usize) -> usize {
    let mut decoder = Decoder::new();
    let mut events = 0;
    for mut chunk in stream.chunks(chunk_len) {
        while let Some(item) = decoder.decode(&mut chunk).unwrap() {
            events += usize::from(matches!(item, Item::Event(_)));
        }
    }
    events
}

/// A byte is scanned at most twice and copied at most twice.
#[track_caller]
fn check_linear(stream: &[u8], chunk_len: usize, events: usize) {
    let work = work::of(|| assert_eq!(count_events(stream, chunk_len), events));
    let most = 4 * stream.len() as u64;
    assert!(work <= most, "{work} bytes of work for a stream of {} bytes", stream.len());
}

fn line_of(name: &str, bytes: usize) -> Vec<u8> {
    let mut stream = Vec::from(name);
    stream.resize(name.len() + bytes, b'x');
    stream.extend_from_slice(b"\n\n");
    stream
}

#[test]
fn t16_a_line_of_8_mib_in_1460_byte_chunks_takes_linear_work() {
    check_linear(&line_of("data: ", 8 * 1024 * 1024), 1460, 1);
}

#[test]
fn t16_endless_comments_and_unknown_fields_take_linear_work() {
    check_linear(&line_of(": ", 1024 * 1024), 1460, 0);
    check_linear(&line_of("unknown: ", 1024 * 1024), 1460, 0);
    check_linear(&line_of("a-name-without-end", 1024 * 1024), 1460, 0);
}

#[test]
fn t16_a_chunk_of_1_mib_of_tiny_events_takes_linear_work() {
    let stream = b"data: x\n\n".repeat(1024 * 1024 / 9);
    check_linear(&stream, stream.len(), 1024 * 1024 / 9);
    check_linear(&stream, 1460, 1024 * 1024 / 9);
    check_linear(&stream, 1, 1024 * 1024 / 9);
}

#[test]
fn t16_many_data_lines_of_one_event_take_linear_work() {
    let mut stream = b"data: x\n".repeat(1024 * 1024 / 8);
    stream.push(b'\n');
    check_linear(&stream, stream.len(), 1);
    check_linear(&stream, 1460, 1);
    check_linear(&stream, 1, 1);
}

#[test]
fn an_event_that_lies_whole_in_its_chunk_is_lent_from_there() {
    let stream = b"id: 1\nevent: tick\ndata: text\n\n";
    let Range { start, end } = stream.as_ptr_range();
    let mut decoder = Decoder::new();
    let mut input = &stream[..];
    let Some(Item::Event(event)) = decoder.decode(&mut input).unwrap() else {
        panic!("an event was decoded");
    };
    assert!((start..end).contains(&event.data.as_ptr()));
    assert!((start..end).contains(&event.event_type.as_ptr()));
}

#[test]
fn a_buffer_that_grew_far_is_given_back_after_its_event() {
    let mut malformed = line_of("data: ", 1024 * 1024);
    malformed[7] = 0xFF;
    let mut decoder = Decoder::new();
    for mut chunk in malformed.chunks(1460) {
        while decoder.decode(&mut chunk).unwrap().is_some() {}
    }
    assert_eq!(decoder.state, State::LineStart);
    assert!(decoder.unfinished.capacity() <= RECYCLED_BYTES_MAX);
    assert!(decoder.kept.data.capacity() <= RECYCLED_BYTES_MAX);
    assert!(decoder.data_text.capacity() <= RECYCLED_BYTES_MAX);
}

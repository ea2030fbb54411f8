//! Limits, and damaged or truncated content encodings.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tidings_proto::Limits;

use super::*;

#[test]
fn t31_an_event_over_the_limit_is_terminal_and_the_place_is_kept() {
    let mut play = play(|plan| plan.limits = Limits::default().with_event_bytes_max(100));
    play.open();
    assert_eq!(play.events(format!("id: 1\ndata: {}\n\n", "x".repeat(90))).len(), 1);
    let mut signals = play.feed(format!("id: 2\ndata: {}\n\n", "x".repeat(101)));
    match closed(signals.pop()) {
        Closed::Limit(exceeded) => assert_eq!(exceeded.event_bytes_max, 100),
        other => panic!("{other:?}"),
    }
    assert_eq!(play.lifecycle.last_event_id(), "1");
    play.assert_silent_for_good();
}

#[test]
fn t31_fourteen_million_bytes_are_an_event_and_seventeen_are_not() {
    let mut play = play(|_| ());
    play.open();
    let event = |bytes: usize| format!("id: 1\ndata: {}\n\n", "x".repeat(bytes));
    assert_eq!(play.events(event(14_000_000))[0].len(), 14_000_000);
    let signals = play.feed(event(17_000_000));
    assert!(matches!(&signals[..], [Signal::Closed(Closed::Limit(_))]));
    assert_eq!(play.lifecycle.last_event_id(), "1");
}

fn gzip(pieces: &[&str]) -> Vec<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let piece = |text: &&str| {
        encoder.write_all(text.as_bytes()).expect("in memory");
        encoder.flush().expect("in memory");
        mem::take(encoder.get_mut())
    };
    pieces.iter().map(piece).collect()
}

#[track_caller]
fn open_gzip(play: &mut Play) {
    play.attempt();
    let head = [("content-type", "text/event-stream"), ("content-encoding", "gzip")];
    assert!(matches!(play.respond(200, &head), Some(Signal::Open(_))));
}

#[test]
fn t30_a_compressed_event_comes_out_with_the_chunk_that_completes_it() {
    let mut play = play(|_| ());
    open_gzip(&mut play);
    let [one, two] = &gzip(&["id: 1\ndata: a\n\n", "data: b\n\ndata: c\n\n"])[..] else { panic!() };
    assert_eq!(play.events(one), ["a"]);
    assert_eq!(play.events(two), ["b", "c"]);
}

#[test]
fn t30_a_truncated_member_is_a_cause_and_loses_no_place() {
    let mut play = play(|_| ());
    open_gzip(&mut play);
    assert_eq!(play.events(&gzip(&["id: 1\ndata: a\n\n"])[0]), ["a"]);
    let signal = play.end();
    assert!(matches!(play.wait(signal).cause, Cause::Encoding(_)));
    assert_eq!(header(&play.attempt(), "last-event-id").as_deref(), Some("1"));
}

#[test]
fn t30_a_damaged_member_is_a_cause() {
    let mut play = play(|_| ());
    open_gzip(&mut play);
    let signal = play.feed("this is no gzip").into_iter().next();
    assert!(matches!(play.wait(signal).cause, Cause::Encoding(_)));
    play.open();
}

#[test]
fn t30_an_event_over_the_limit_is_found_inside_a_small_compressed_chunk() {
    let mut play = play(|_| ());
    open_gzip(&mut play);
    let bomb = gzip(&[&format!("data: {}\n\n", "x".repeat(64 << 20))]);
    assert!(bomb[0].len() < 1 << 20, "{} bytes", bomb[0].len());
    let signals = play.feed(&bomb[0]);
    assert!(matches!(&signals[..], [Signal::Closed(Closed::Limit(_))]));
}

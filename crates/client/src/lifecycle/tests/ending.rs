//! Streams within a topic, whose ends are told.

use super::*;
use crate::end::{End, StreamReason};

const OF_NEWS: &str =
    "event: end\nid: e\ndata: {\"reason\":\"done\",\"events\":1,\"topic\":\"news\"}\n\n";
const OF_OTHER: &str =
    "event: end\nid: e\ndata: {\"reason\":\"done\",\"events\":1,\"topic\":\"other\"}\n\n";
const ABORTED: &str = "event: end\nid: e\ndata: {\"reason\":\"aborted\",\"events\":1}\n\n";

#[track_caller]
fn end(signals: Vec<Signal>) -> End {
    match <[Signal; 1]>::try_from(signals) {
        Ok([Signal::End(end)]) => end,
        other => panic!("{other:?} instead of an end"),
    }
}

#[track_caller]
fn ended(closed: Closed) -> End {
    match closed {
        Closed::Ended(end) => end,
        other => panic!("{other:?} instead of an end"),
    }
}

/// A source that has been told an end.
#[track_caller]
fn told(text: &str) -> (Play, End) {
    let mut play = play(|_| ());
    play.open();
    let end = end(play.feed(text));
    (play, end)
}

#[test]
fn the_end_of_its_topics_stream_ends_a_source_however_the_response_ends() {
    let end_of_body: fn(&mut Play) -> Option<Signal> = Play::end;
    let breaks: fn(&mut Play) -> Option<Signal> = |play| play.break_off(transport::Stage::Body);
    for finish in [end_of_body, breaks] {
        let mut play = play(|_| ());
        play.open();
        assert_eq!(play.events("id: 7\ndata: a\n\n"), ["a"]);
        let told = end(play.feed(OF_NEWS));
        assert_eq!((told.reason, told.events), (StreamReason::Done, 1));
        assert_eq!(play.lifecycle.last_event_id(), "e");
        assert!(play.feed(": heartbeat\n").is_empty());
        let closed = closed(finish(&mut play));
        assert!(!closed.is_failure());
        assert_eq!(ended(closed), told);
        play.assert_silent_for_good();
    }
}

#[test]
fn an_aborted_stream_is_a_failure() {
    let (mut play, _) = told(ABORTED);
    let closed = closed(play.end());
    assert!(closed.is_failure());
    assert_eq!(closed.to_string(), "the stream has ended: aborted, 1 events");
}

#[test]
fn an_end_of_another_topics_stream_ends_nothing() {
    let (mut play, _) = told(OF_OTHER);
    assert_eq!(play.events("data: b\n\n"), ["b"]);
    let signal = play.end();
    play.wait(signal);
    play.attempt();
    assert!(matches!(closed(play.respond(204, &[])), Closed::NoContent));
}

#[test]
fn an_end_is_confirmed_by_the_status_where_the_url_does_not_tell() {
    for status in [204, 410] {
        let (mut play, _) = told(OF_OTHER);
        let signal = play.end();
        play.wait(signal);
        let attempt = play.attempt();
        assert_eq!(header(&attempt, "last-event-id").as_deref(), Some("e"));
        let closed = closed(play.respond(status, &[]));
        assert_eq!(ended(closed).reason, StreamReason::Done, "{status}");
        play.assert_silent_for_good();
    }
}

#[test]
fn a_stream_that_goes_on_forgets_an_end() {
    let (mut play, _) = told(OF_OTHER);
    let signal = play.end();
    play.wait(signal);
    play.open();
    let signal = play.end();
    play.wait(signal);
    play.attempt();
    assert!(matches!(closed(play.respond(204, &[])), Closed::NoContent));
}

#[test]
fn an_event_after_the_end_goes_on() {
    // A stream that begins anew in the same response, as on a server that ends none.
    let (mut play, _) = told(OF_NEWS);
    assert_eq!(play.events("data: b\n\n"), ["b"]);
    retrying(play.end());
}

#[test]
fn a_restart_forgets_an_end() {
    let (mut play, _) = told(OF_NEWS);
    play.lifecycle.restart();
    play.attempt();
    assert!(matches!(closed(play.respond(204, &[])), Closed::NoContent));
}

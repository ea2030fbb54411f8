//! The last event ID across connections.

use super::*;

#[test]
fn t20_an_event_without_an_id_keeps_the_place_across_connections() {
    let mut play = play(|_| ());
    play.open();
    assert_eq!(play.events("id: 1\ndata: a\n\n"), ["a"]);
    for _ in 0..3 {
        let signal = play.end();
        play.wait(signal);
        let (attempt, open) = play.open();
        assert_eq!(header(&attempt, "last-event-id").as_deref(), Some("1"));
        assert_eq!(open.resumption, Resumption::After("1".to_owned()));
        match play.feed("data: b\n\n").remove(0) {
            Signal::Event(event) => assert_eq!((event.last_event_id(), event.id()), ("1", None)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn t20_a_block_with_only_an_id_moves_the_place() {
    let mut play = play(|_| ());
    play.open();
    assert!(play.feed("id: 9\n\n").is_empty());
    let signal = play.end();
    play.wait(signal);
    assert_eq!(header(&play.attempt(), "last-event-id").as_deref(), Some("9"));
}

#[test]
fn t21_the_header_is_absent_when_the_id_is_empty() {
    let mut play = play(|plan| plan.last_event_id = "7".to_owned());
    let (attempt, _) = play.open();
    assert_eq!(header(&attempt, "last-event-id").as_deref(), Some("7"));
    assert_eq!(play.events("id\ndata: a\n\n"), ["a"]);
    let signal = play.end();
    play.wait(signal);
    let (attempt, open) = play.open();
    assert_eq!(header(&attempt, "last-event-id"), None);
    assert_eq!(open.resumption, Resumption::Fresh);
}

#[test]
fn t21_an_id_goes_out_as_utf8_bytes() {
    let mut play = play(|_| ());
    play.open();
    play.events("id: …é\ndata: a\n\n");
    let signal = play.end();
    play.wait(signal);
    let attempt = play.attempt();
    assert_eq!(attempt.hop.headers["last-event-id"].as_bytes(), "…é".as_bytes());
}

#[test]
fn t21_an_id_that_no_header_can_carry_is_left_out_and_said() {
    let mut play = play(|_| ());
    play.open();
    assert_eq!(play.events("id: a\u{1}b\ndata: a\n\n"), ["a"]);
    let signal = play.end();
    play.wait(signal);
    let (attempt, open) = play.open();
    assert_eq!(header(&attempt, "last-event-id"), None);
    assert_eq!(open.resumption, Resumption::Unsendable("a\u{1}b".to_owned()));
    assert!(!open.resumption.is_resumed());
}

#[test]
fn t29_a_block_cut_off_is_discarded_with_its_id_and_glued_to_nothing() {
    for cut in ["id: 2\ndata: half", "id: 2\ndata: whole line\n", "id: 2\n", "da"] {
        let mut play = play(|_| ());
        play.open();
        play.events("id: 1\ndata: a\n\n");
        assert!(play.feed(cut).is_empty());
        let signal = play.break_off(transport::Stage::Body);
        play.wait(signal);
        let (attempt, _) = play.open();
        assert_eq!(header(&attempt, "last-event-id").as_deref(), Some("1"), "after {cut:?}");
        assert_eq!(play.events("data: b\n\n"), ["b"], "after {cut:?}");
    }
}

#[test]
fn a_bom_is_stripped_at_the_start_of_every_connection() {
    let mut play = play(|_| ());
    for _ in 0..2 {
        play.open();
        assert_eq!(play.events("\u{feff}data: a\n\n"), ["a"]);
        let signal = play.end();
        play.wait(signal);
    }
}

#[test]
fn a_gap_is_a_signal_of_its_own() {
    let mut play = play(|_| ());
    play.open();
    let signals = play.feed(
        "event: gap\nid: b\ndata: {\"asked\":\"a\",\"oldest\":\"b\"}\n\ndata: x\n\n\
         event: gap\ndata: another server's\n\n",
    );
    match &signals[..] {
        [Signal::Gap(gap), Signal::Event(_), Signal::Event(other)] => {
            assert_eq!((gap.asked.as_deref(), gap.last_event_id.as_str()), (Some("a"), "b"));
            assert_eq!((other.event_type(), other.data()), ("gap", "another server's"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn reset_goes_to_another_place_and_restart_stays() {
    let mut play = play(|_| ());
    play.open();
    play.events("id: 1\ndata: a\n\n");
    assert!(play.feed("data: half").is_empty());
    play.lifecycle.restart();
    assert!(play.signal().is_none(), "nothing went wrong, so nothing is reported");
    let (attempt, _) = play.open();
    assert_eq!(header(&attempt, "last-event-id").as_deref(), Some("1"));
    assert_eq!(play.events("data: b\n\n"), ["b"]);
    play.lifecycle.reset("5");
    assert_eq!(header(&play.attempt(), "last-event-id").as_deref(), Some("5"));
    play.lifecycle.reset("");
    assert_eq!(header(&play.attempt(), "last-event-id"), None);
}

#[test]
fn restart_ends_a_wait_and_revives_a_closed_source() {
    let mut play = play(|_| ());
    play.attempt();
    retrying(play.break_off(transport::Stage::Connect));
    play.lifecycle.restart();
    play.attempt();
    closed(play.respond(204, &[]));
    play.lifecycle.restart();
    play.open();
}

#[test]
fn comments_are_reported_only_when_asked_for() {
    let mut quiet = play(|_| ());
    quiet.open();
    assert!(quiet.feed(":hello\n").is_empty());
    let mut curious = play(|plan| plan.comments = crate::plan::Comments::Reported);
    curious.open();
    let signals = curious.feed(":hello\ndata: a\n\n");
    assert!(matches!(&signals[..], [Signal::Comment(text), Signal::Event(_)] if text == "hello"));
}

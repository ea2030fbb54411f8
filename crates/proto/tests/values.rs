//! The values that make an event, and the parts of a stream that are not events.

#![allow(clippy::unwrap_used, reason = "what cannot be made or read must fail its test")]

mod support;

use std::panic::catch_unwind;
use std::time::Duration;

use support::Seen;
use tidings_proto::{
    Decoder, Event, EventId, EventIdRef, EventType, HEARTBEAT, Item, Limits, encode,
    encode_comment, encode_id, encode_id_block, encode_retry,
};

#[test]
fn message_has_one_spelling() {
    for text in ["", "message"] {
        let event_type = EventType::new(text).unwrap();
        assert_eq!(event_type, EventType::MESSAGE);
        assert_eq!(event_type.as_str(), "message");
    }
    assert!(!EventType::new("Message").unwrap().is_message());
    assert_eq!(EventType::default(), EventType::MESSAGE);
}

#[test]
fn values_are_taken_from_borrowed_and_owned_text() {
    assert_eq!(EventType::new(String::from("a")), EventType::new("a"));
    assert_eq!(EventId::new(String::from("a")), EventId::new("a"));
    assert_eq!("a".parse(), EventId::new("a"));
    assert_eq!("a".parse(), EventType::new("a"));
    assert_eq!(Event::new(String::from("a")), Event::new("a"));
}

#[test]
fn a_literal_is_checked_by_the_same_rule() {
    const NONE: EventType = EventType::from_static("");
    assert!(NONE.is_message() && EventType::from_static("message").is_message());
    assert_eq!(EventType::from_static("é tick"), EventType::new("é tick").unwrap());
    assert_eq!(EventId::from_static("é 7"), EventId::new("é 7").unwrap());
    for text in ["\r", "a\nb", "a\0"] {
        assert!(EventType::new(text).is_err() && EventId::new(text).is_err(), "{text:?}");
        assert!(catch_unwind(|| EventType::from_static(text)).is_err(), "{text:?}");
        assert!(catch_unwind(|| EventId::from_static(text)).is_err(), "{text:?}");
    }
}

#[cfg(feature = "json")]
#[test]
fn data_is_any_value_that_json_can_express() {
    use std::collections::HashMap;
    use std::error::Error as _;

    let event = Event::json(&["a\nb", "c"]).unwrap();
    assert_eq!(event, Event::new(r#"["a\nb","c"]"#));
    assert_eq!(Event::json("text").unwrap().data(), r#""text""#);
    let error = Event::json(&HashMap::from([([0_u8; 2], 1)])).unwrap_err();
    assert_eq!(error.to_string(), "the value cannot be written as JSON");
    assert!(error.source().is_some());
}

#[test]
fn an_error_says_what_was_found_and_where_but_does_not_repeat_the_text() {
    let error = EventId::new("secret\n").unwrap_err();
    assert_eq!(error.to_string(), "event ID contains LF at byte 6");
    assert_eq!(EventIdRef::new("secret\n").unwrap_err(), error);
    let error = EventType::new("é\0").unwrap_err();
    assert_eq!(error.to_string(), "event type contains NUL at byte 2");
    let error = encode_comment("\r", &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "comment contains CR at byte 0");
    let limits = Limits::default().with_event_bytes_max(3);
    let error = Decoder::with_limits(limits).decode(&mut &b"data: 1234\n"[..]).unwrap_err();
    assert_eq!(error.to_string(), "event is larger than 3 bytes");
}

#[test]
fn a_retry_counts_whole_milliseconds_rounded_up_and_cut_to_what_the_field_can_say() {
    for (time, millis) in [
        (Duration::ZERO, 0),
        (Duration::from_nanos(1), 1),
        (Duration::from_millis(3), 3),
        (Duration::from_micros(3_001), 4),
        (Duration::MAX, u64::MAX),
    ] {
        let event = Event::new("").with_retry(time);
        assert_eq!(event.retry(), Some(Duration::from_millis(millis)));
        let mut text = Vec::new();
        encode_retry(time, &mut text);
        assert_eq!(text, format!("retry: {millis}\n").into_bytes());
    }
}

#[test]
fn the_pieces_between_events_decode_to_themselves() {
    let id = EventId::new("7").unwrap();
    let mut text = Vec::new();
    encode_comment("welcome", &mut text).unwrap();
    encode_comment("", &mut text).unwrap();
    text.extend_from_slice(HEARTBEAT);
    encode_retry(Duration::from_secs(3), &mut text);
    encode_id_block(id.as_id_ref(), &mut text);
    encode_id(EventIdRef::new("8").unwrap(), &mut text);
    encode(&Event::new("x"), &mut text);
    assert_eq!(text, b": welcome\n:\n:\nretry: 3000\nid: 7\n\nid: 8\ndata: x\n\n");

    let comment = |text: &str| Seen::Comment(text.to_owned());
    let seen = support::decode_whole(&text, Limits::default());
    let expected = [comment(" welcome"), comment(""), comment(""), Seen::RetryMillis(3000)];
    assert_eq!(seen[..4], expected);
    assert_eq!(seen[4], Seen::Id("7".to_owned()));
    assert!(
        matches!(&seen[5], Seen::Event { last_event_id, has_id: true, .. } if last_event_id == "8")
    );
}

#[test]
fn a_received_event_can_be_kept_and_lent_again() {
    let mut decoder = Decoder::new().with_last_event_id("6");
    let mut input = &b"data: a\n\nid: 7\nevent: t\ndata: b\n\n"[..];
    let mut kept = Vec::new();
    while let Some(Item::Event(event)) = decoder.decode(&mut input).unwrap() {
        let buf = event.to_buf();
        assert_eq!(buf.as_event_ref(), event);
        kept.push(buf);
    }
    assert_eq!(kept[0].event_type(), "message");
    assert_eq!((kept[0].data(), kept[0].last_event_id(), kept[0].id()), ("a", "6", None));
    assert_eq!(kept[1].event_type(), "t");
    assert_eq!((kept[1].data(), kept[1].last_event_id(), kept[1].id()), ("b", "7", Some("7")));
    assert_eq!(&*kept.remove(1).into_data(), "b");
}

#[test]
fn a_received_event_is_passed_on_with_its_own_id_only() {
    let mut decoder = Decoder::new();
    let mut input = &b"id: 7\nevent: t\ndata: a\n\ndata: b\n\nevent: a\0b\ndata: c\n\n"[..];
    let mut next = || match decoder.decode(&mut input) {
        Ok(Some(Item::Event(event))) => event.to_event(),
        other => panic!("{other:?} is not an event"),
    };
    let expected =
        Event::new("a").with_type(EventType::new("t").unwrap()).with_id(EventId::new("7").unwrap());
    assert_eq!(next(), Ok(expected));
    assert_eq!(next(), Ok(Event::new("b")));
    assert_eq!(next().unwrap_err().position(), 1, "a NUL in a type is legal to read only");
}

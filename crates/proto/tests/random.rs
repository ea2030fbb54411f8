//! Random streams in random splits: the decoder against the reference, and against itself.
//!
//! `TIDINGS_RANDOM_STREAMS=1000000 cargo test --release -p tidings-proto --test random` runs the
//! long version; `TIDINGS_SEED` repeats a run whose seed was printed.

#![allow(clippy::unwrap_used, reason = "what cannot be made or read must fail its test")]

mod support;

use std::env;
use std::time::Duration;

use fastrand::Rng;
use proptest::prelude::*;
use support::{Seen, decode_cut, decode_whole, feed, reference};
use tidings_proto::{
    Decoder, Event, EventId, EventIdRef, EventType, Limits, encode, encode_with_id, encoded_len,
    encoded_len_with_id,
};

#[test]
fn random_byte_strings_decode_within_the_limits_and_as_the_reference_does() {
    let mut rng = seeded();
    for _ in 0..streams_wanted() {
        let connections: Vec<_> = (0..rng.usize(1..=3)).map(|_| stream(&mut rng)).collect();

        let mut decoder = Decoder::with_limits(unlimited());
        let mut seen = Vec::new();
        for stream in &connections {
            feed_in_chunks(&mut decoder, stream, &mut rng, &mut seen);
            decoder.end_of_stream();
        }
        let borrowed: Vec<_> = connections.iter().map(Vec::as_slice).collect();
        assert_eq!(seen, reference::decode(&borrowed, String::new()), "{connections:?}");
    }
}

#[test]
fn random_byte_strings_meet_small_limits_alike_in_every_split() {
    let mut rng = seeded();
    let mut exceeded = 0;
    for _ in 0..streams_wanted() {
        let stream = stream(&mut rng);
        let event_bytes_max = rng.usize(0..24);
        let limits = Limits::default()
            .with_event_bytes_max(event_bytes_max)
            .with_comment_bytes_max(rng.usize(0..6));
        let whole = decode_whole(&stream, limits);
        let mut decoder = Decoder::with_limits(limits);
        let mut seen = Vec::new();
        feed_in_chunks(&mut decoder, &stream, &mut rng, &mut seen);
        assert_eq!(seen, whole, "{stream:?}, limits {limits:?}");
        for item in &seen {
            match item {
                Seen::Event { data, .. } => {
                    // U+FFFD has three bytes where one was received.
                    assert!(data.len() <= 3 * event_bytes_max, "{stream:?}");
                }
                Seen::LimitExceeded(_) => exceeded += 1,
                _ => {}
            }
        }
    }
    assert!(exceeded > 0, "no stream met a limit");
}

proptest! {
    #[test]
    fn any_bytes_decode_as_the_reference_does(
        stream in prop::collection::vec(any::<u8>(), 0..200),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let cuts = sorted(&cuts, stream.len());
        let (seen, _) = decode_cut(Decoder::with_limits(unlimited()), &stream, &cuts);
        prop_assert_eq!(seen, reference::decode(&[&stream], String::new()));
    }

    #[test]
    fn lines_of_fields_decode_as_the_reference_does(
        lines in prop::collection::vec(
            "(\u{FEFF}|data|event|id|retry|comment|)(:| :|: |:  |)[a-c0-9 \u{0}\u{2028}é😀]{0,6}(\r|\n|\r\n|\n\n|)",
            0..20,
        ),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let stream = lines.concat();
        let cuts = sorted(&cuts, stream.len());
        let (seen, _) = decode_cut(Decoder::new(), stream.as_bytes(), &cuts);
        prop_assert_eq!(seen, reference::decode(&[stream.as_bytes()], String::new()));
    }

    #[test]
    fn what_was_encoded_decodes_to_the_same_event(
        data in "(\r|\n|[ :a-c\u{0}é😀\u{2028}\u{FEFF}]){0,20}",
        event_type in "[^\r\n\u{0}]{0,8}",
        id in prop::option::of("[^\r\n\u{0}]{0,8}"),
        retry in prop::option::of(any::<u64>()),
        other_id in "[^\r\n\u{0}]{0,8}",
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut event = Event::new(data).with_type(EventType::new(event_type).unwrap());
        if let Some(id) = &id {
            event = event.with_id(EventId::new(id.as_str()).unwrap());
        }
        if let Some(millis) = retry {
            event = event.with_retry(Duration::from_millis(millis));
        }
        let mut text = Vec::new();
        encode(&event, &mut text);
        prop_assert_eq!(encoded_len(&event), text.len());
        check_round_trip(&event, event.id().map(EventId::as_str), &text, &cuts)?;

        let other_id = EventIdRef::new(&other_id).unwrap();
        let mut text = Vec::new();
        encode_with_id(&event, other_id, &mut text);
        prop_assert_eq!(encoded_len_with_id(&event, other_id), text.len());
        check_round_trip(&event, Some(other_id.as_str()), &text, &cuts)?;
    }
}

fn check_round_trip(
    event: &Event,
    id: Option<&str>,
    text: &[u8],
    cuts: &[prop::sample::Index],
) -> Result<(), TestCaseError> {
    let mut expected: Vec<_> =
        event.retry().map(|time| Seen::RetryMillis(time.as_millis())).into_iter().collect();
    expected.push(Seen::Event {
        event_type: event.event_type().as_str().to_owned(),
        data: event.data().replace("\r\n", "\n").replace('\r', "\n"),
        last_event_id: id.unwrap_or_default().to_owned(),
        has_id: id.is_some(),
    });
    let (seen, _) = decode_cut(Decoder::new(), text, &sorted(cuts, text.len()));
    // A BOM in front of the first line would be the stream's, but no field name starts with one.
    prop_assert_eq!(seen, expected);
    Ok(())
}

/// Makes a stream of pieces that mean something, mixed with bytes that do not.
fn stream(rng: &mut Rng) -> Vec<u8> {
    let mut stream = Vec::new();
    for _ in 0..rng.usize(0..40) {
        match rng.u8(0..8) {
            0 => stream.push(rng.u8(..)),
            _ => stream.extend_from_slice(PIECES[rng.usize(..PIECES.len())]),
        }
    }
    stream
}

fn feed_in_chunks(decoder: &mut Decoder, stream: &[u8], rng: &mut Rng, seen: &mut Vec<Seen>) {
    let mut rest = stream;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(rng.usize(0..=rest.len().min(12)));
        feed(decoder, chunk, seen);
        rest = after;
    }
}

fn sorted(cuts: &[prop::sample::Index], len: usize) -> Vec<usize> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(len + 1)).collect();
    cuts.sort_unstable();
    cuts
}

/// The reference cuts no comment.
fn unlimited() -> Limits {
    Limits::default().with_comment_bytes_max(usize::MAX)
}

fn seeded() -> Rng {
    let seed = number("TIDINGS_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("TIDINGS_SEED={seed}");
    Rng::with_seed(seed)
}

fn streams_wanted() -> u64 {
    number("TIDINGS_RANDOM_STREAMS").unwrap_or(5_000)
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

const PIECES: &[&[u8]] = &[
    b"data",
    b"data:",
    b"data: ",
    b"data: x",
    b"event",
    b"event:",
    b"event: t",
    b"id",
    b"id:",
    b"id: 1",
    b"retry",
    b"retry:",
    b"retry: 12",
    b"retry: +",
    b":",
    b": c",
    b"comment: ",
    b"x",
    b" ",
    b"\0",
    b"7",
    b"\r",
    b"\n",
    b"\r\n",
    b"\n\n",
    b"\r\r",
    b"\r\n\r\n",
    b"\n",
    b"\n\n",
    b"\n\n",
    b"\xEF\xBB\xBF",
    b"\xEF\xBB",
    b"\xBF",
    b"\xC3\xA9",
    b"\xC3",
    b"\xA9",
    b"\xF0\x9F\x98\x80",
    b"\xF0\x9F",
    b"\x98\x80",
    b"\xFF",
    b"\xED\xA0\x80",
    b"\xE2\x80\xA8",
    b"\xC2\x85",
];

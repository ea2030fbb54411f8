//! Shared by the decoder's tests: owned items, and every way to cut a stream.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

pub mod reference;

use tidings_proto::{Decoder, Item, Limits};

/// An [`Item`] that stands on its own, or the error that ended decoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Event { event_type: String, data: String, last_event_id: String, has_id: bool },
    Comment(String),
    RetryMillis(u128),
    Id(String),
    LimitExceeded(usize),
}

impl From<Item<'_>> for Seen {
    fn from(item: Item<'_>) -> Self {
        match item {
            Item::Event(event) => Self::Event {
                event_type: event.event_type.to_owned(),
                data: event.data.to_owned(),
                last_event_id: event.last_event_id.to_owned(),
                has_id: event.id().is_some(),
            },
            Item::Comment(text) => Self::Comment(text.to_owned()),
            Item::Retry(time) => Self::RetryMillis(time.as_millis()),
            Item::Id(id) => Self::Id(id.to_owned()),
            other => panic!("{other:?} is not known to the tests"),
        }
    }
}

/// Hands `chunk` to the decoder and adds what it finds to `seen`.
pub fn feed(decoder: &mut Decoder, mut chunk: &[u8], seen: &mut Vec<Seen>) {
    loop {
        match decoder.decode(&mut chunk) {
            Ok(Some(item)) => seen.push(item.into()),
            Ok(None) => {
                assert!(chunk.is_empty(), "input was left without an item");
                return;
            }
            Err(exceeded) => {
                let exceeded = Seen::LimitExceeded(exceeded.event_bytes_max);
                // Every further call repeats it.
                if seen.last() != Some(&exceeded) {
                    seen.push(exceeded);
                }
                return;
            }
        }
    }
}

/// Decodes `stream` cut at `cuts`, which rise.
pub fn decode_cut(mut decoder: Decoder, stream: &[u8], cuts: &[usize]) -> (Vec<Seen>, Decoder) {
    let mut seen = Vec::new();
    let mut from = 0;
    for &cut in cuts {
        feed(&mut decoder, &stream[from..cut], &mut seen);
        from = cut;
    }
    feed(&mut decoder, &stream[from..], &mut seen);
    (seen, decoder)
}

/// Decodes `stream` in one piece.
pub fn decode_whole(stream: &[u8], limits: Limits) -> Vec<Seen> {
    decode_cut(Decoder::with_limits(limits), stream, &[]).0
}

/// Calls `check` with the cuts of every split worth trying: none, each single one, byte by byte, and
/// all there are (short streams) or all pairs (longer ones).
pub fn every_split(len: usize, mut check: impl FnMut(&[usize])) {
    check(&[]);
    check(&(1..len).collect::<Vec<_>>());
    for first in 0..=len {
        check(&[first]);
    }
    if len <= SUBSETS_LEN_MAX {
        for subset in 0..1_u32 << len.saturating_sub(1) {
            let cuts: Vec<_> = (1..len).filter(|cut| subset >> (cut - 1) & 1 == 1).collect();
            check(&cuts);
        }
    } else if len <= PAIRS_LEN_MAX {
        for first in 1..len {
            for second in first + 1..len {
                check(&[first, second]);
            }
        }
    }
}

/// Two thousand splits.
const SUBSETS_LEN_MAX: usize = 12;
/// Twenty thousand splits.
const PAIRS_LEN_MAX: usize = 200;

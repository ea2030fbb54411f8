//! Requests to streams and the states of streams, as a shared journal's messages have them.

use std::time::Duration;

use super::bytes::{Input, put_text, put_varint};
use crate::cursor::Sequence;
use crate::draft::IdempotencyKey;
use crate::streams::{
    Append, Ask, Decided, EndNotice, Producer, SeenStream, StreamOptions, StreamState, StreamTurn,
};
use crate::time::millis;

const APPEND: u8 = 0;
const STOP: u8 = 1;
const END: u8 = 2;
const LEFT: u8 = 3;
const FREE: u8 = 4;

/// Parts that a request or a state has, as bits.
const BEGIN: u64 = 1;
const END_EVENT: u64 = 1 << 1;
const END_CLOSE: u64 = 1 << 2;
const PRODUCER: u64 = 1 << 3;
const TURN: u64 = 1 << 4;
const KEY: u64 = 1 << 5;

const OPEN: u64 = 1;
const STOPPED: u64 = 1 << 1;
const HAS_LEFT: u64 = 1 << 2;
const OWNED: u64 = 1 << 3;
const BEGIN_KEY: u64 = 1 << 4;
const END_KEY: u64 = 1 << 5;
const HELD: u64 = 1 << 6;
const ENDED: u64 = 1 << 7;

fn bit(is_there: bool, bit: u64) -> u64 {
    if is_there { bit } else { 0 }
}

/// Appends a request.
pub(super) fn put_ask(out: &mut Vec<u8>, ask: &Ask) {
    match ask {
        Ask::Append(append, count) => {
            out.push(APPEND);
            put_varint(out, u64::from(*count));
            put_append(out, append);
        }
        Ask::Stop(begin) => {
            out.push(STOP);
            begin.iter().for_each(|begin| put_varint(out, begin.get()));
        }
        Ask::End { seen, is_expired } => {
            out.extend_from_slice(&[END, u8::from(*is_expired)]);
            put_seen(out, seen);
        }
        Ask::Free { seen, last, end } => {
            out.push(FREE);
            put_seen(out, seen);
            put_varint(out, last.get());
            put_varint(out, end.get());
        }
        Ask::Left(turn, seen) => {
            out.push(LEFT);
            put_turn(out, *turn);
            seen.iter().for_each(|seen| put_seen(out, seen));
        }
    }
}

fn put_append(out: &mut Vec<u8>, append: &Append) {
    put_varint(
        out,
        bit(append.begin.is_some(), BEGIN)
            | bit(append.end == Some(EndNotice::Event), END_EVENT)
            | bit(append.end == Some(EndNotice::Close), END_CLOSE)
            | bit(append.producer.is_some(), PRODUCER)
            | bit(append.stream.is_some(), TURN)
            | bit(append.key.is_some(), KEY),
    );
    if let Some(options) = &append.begin {
        put_varint(out, millis(options.ttl));
        put_varint(out, millis(options.grace));
    }
    append.producer.iter().for_each(|producer| put_producer(out, producer));
    append.stream.iter().for_each(|turn| put_turn(out, *turn));
    append.key.iter().for_each(|key| put_key(out, key));
}

fn put_seen(out: &mut Vec<u8>, seen: &SeenStream) {
    put_varint(out, seen.begin.get());
    put_varint(out, seen.last.get());
}

pub(super) fn put_producer(out: &mut Vec<u8>, producer: &Producer) {
    put_text(out, producer.id());
    put_varint(out, producer.epoch);
    put_varint(out, producer.seq);
}

pub(super) fn take_producer(input: &mut Input<'_>) -> Option<Producer> {
    let id = input.text()?;
    Producer::new(id, input.varint()?, input.varint()?)
}

fn put_turn(out: &mut Vec<u8>, turn: StreamTurn) {
    [turn.begun, turn.turn, turn.epoch].into_iter().for_each(|number| put_varint(out, number));
}

pub(super) fn put_key(out: &mut Vec<u8>, key: &IdempotencyKey) {
    put_text(out, key.text());
    put_varint(out, key.index());
}

/// Takes a request: `None` if it is damaged, `Some(None)` if a later program has added it.
pub(super) fn take_ask(input: &mut Input<'_>) -> Option<Option<Ask>> {
    Some(Some(match input.u8()? {
        APPEND => {
            let count = u32::try_from(input.varint()?).ok()?;
            Ask::Append(take_append(input)?, count)
        }
        STOP if input.0.is_empty() => Ask::Stop(None),
        STOP => Ask::Stop(Some(Sequence::new(input.varint()?)?)),
        END => {
            let is_expired = input.u8()? != 0;
            Ask::End { seen: take_seen(input)?, is_expired }
        }
        FREE => {
            Ask::Free { seen: take_seen(input)?, last: take_place(input)?, end: take_place(input)? }
        }
        LEFT => {
            let turn = take_turn(input)?;
            let seen = if input.0.is_empty() { None } else { Some(take_seen(input)?) };
            Ask::Left(turn, seen)
        }
        _ => return Some(None),
    }))
}

fn take_append(input: &mut Input<'_>) -> Option<Append> {
    let flags = input.varint()?;
    let has = |bit: u64| flags & bit != 0;
    let mut append = Append::default();
    if has(BEGIN) {
        append.begin = Some(take_options(input)?);
    }
    append.end = match (has(END_EVENT), has(END_CLOSE)) {
        (true, _) => Some(EndNotice::Event),
        (false, true) => Some(EndNotice::Close),
        (false, false) => None,
    };
    if has(PRODUCER) {
        append.producer = Some(take_producer(input)?);
    }
    if has(TURN) {
        append.stream = Some(take_turn(input)?);
    }
    if has(KEY) {
        append.key = Some(take_key(input)?);
    }
    Some(append)
}

pub(super) fn take_options(input: &mut Input<'_>) -> Option<StreamOptions> {
    Some(StreamOptions {
        ttl: Duration::from_millis(input.varint()?),
        grace: Duration::from_millis(input.varint()?),
        ..StreamOptions::default()
    })
}

fn take_seen(input: &mut Input<'_>) -> Option<SeenStream> {
    Some(SeenStream { begin: take_place(input)?, last: take_place(input)? })
}

fn take_place(input: &mut Input<'_>) -> Option<Sequence> {
    Sequence::new(input.varint()?)
}

fn take_turn(input: &mut Input<'_>) -> Option<StreamTurn> {
    Some(StreamTurn { begun: input.varint()?, turn: input.varint()?, epoch: input.varint()? })
}

pub(super) fn take_key(input: &mut Input<'_>) -> Option<IdempotencyKey> {
    let key = IdempotencyKey::new(input.text()?).ok()?;
    Some(key.at(input.varint()?))
}

/// Appends the state of a stream.
pub(super) fn put_state(out: &mut Vec<u8>, state: &StreamState) {
    let StreamState { decided, writer, last, held, end, has_left, dates: _ } = state;
    put_varint(
        out,
        bit(decided.is_open, OPEN)
            | bit(decided.is_stopped, STOPPED)
            | bit(*has_left, HAS_LEFT)
            | bit(decided.producer.is_some(), OWNED)
            | bit(decided.options.key.is_some(), BEGIN_KEY)
            | bit(decided.end_key.is_some(), END_KEY)
            | bit(held.is_some(), HELD)
            | bit(end.is_some(), ENDED),
    );
    put_varint(out, millis(decided.options.ttl));
    put_varint(out, millis(decided.options.grace));
    put_turn(out, decided.turn);
    put_varint(out, decided.events);
    put_varint(out, decided.expires_at);
    put_varint(out, *writer);
    put_varint(out, last.get());
    decided.producer.iter().for_each(|producer| put_producer(out, producer));
    decided.options.key.iter().for_each(|key| put_key(out, key));
    decided.end_key.iter().for_each(|key| put_key(out, key));
    if let Some((first, last)) = held {
        put_varint(out, first.get());
        put_varint(out, last.get());
    }
    end.iter().for_each(|end| put_varint(out, end.get()));
}

/// Takes the state of a stream. `None` if it is damaged.
pub(super) fn take_state(input: &mut Input<'_>) -> Option<StreamState> {
    let flags = input.varint()?;
    let has = |bit: u64| flags & bit != 0;
    let mut decided = Decided::begin(take_options(input)?, 0);
    decided.turn = take_turn(input)?;
    decided.events = input.varint()?;
    decided.expires_at = input.varint()?;
    (decided.is_open, decided.is_stopped) = (has(OPEN), has(STOPPED));
    let (writer, last) = (input.varint()?, take_place(input)?);
    if has(OWNED) {
        decided.producer = Some(take_producer(input)?);
    }
    if has(BEGIN_KEY) {
        decided.options.key = Some(take_key(input)?);
    }
    if has(END_KEY) {
        decided.end_key = Some(take_key(input)?);
    }
    let held = if has(HELD) { Some((take_place(input)?, take_place(input)?)) } else { None };
    let end = if has(ENDED) { Some(take_place(input)?) } else { None };
    let has_left = has(HAS_LEFT);
    Some(StreamState { decided, writer, last, held, end, has_left, dates: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(sequence: u64) -> Sequence {
        Sequence::new(sequence).unwrap()
    }

    #[test]
    fn a_request_comes_back_as_it_was() {
        let turn = StreamTurn { begun: 1 << 40, turn: 1 << 41, epoch: 3 };
        let seen = SeenStream { begin: place(1 << 40), last: place(1 << 42) };
        let full = Append {
            begin: Some(StreamOptions {
                grace: Duration::from_secs(1),
                ..StreamOptions::default()
            }),
            end: Some(EndNotice::Close),
            producer: Producer::new("p", 1, 2),
            stream: Some(turn),
            key: IdempotencyKey::new("k").ok().map(|key| key.at(300)),
        };
        for ask in [
            Ask::Append(full, 300),
            Ask::Append(Append::default(), 1),
            Ask::Stop(None),
            Ask::Stop(Some(place(7))),
            Ask::End { seen, is_expired: true },
            Ask::Left(turn, None),
            Ask::Left(turn, Some(seen)),
        ] {
            let mut bytes = Vec::new();
            put_ask(&mut bytes, &ask);
            assert_eq!(take_ask(&mut Input(&bytes)), Some(Some(ask)));
        }
        assert_eq!(take_ask(&mut Input(&[99])), Some(None));
        assert_eq!(take_ask(&mut Input(&[LEFT])), None);
    }

    #[test]
    fn a_state_comes_back_as_it_was() {
        let mut decided = Decided::begin(StreamOptions::default(), 1_800_000_000_000);
        let bare = StreamState {
            decided: decided.clone(),
            writer: u64::MAX,
            last: place(9),
            held: None,
            end: None,
            has_left: false,
            dates: None,
        };
        decided.producer = Producer::new("p", 1, 2);
        decided.options.key = IdempotencyKey::new("k").ok();
        decided.end_key = IdempotencyKey::new("l").ok().map(|key| key.at(2));
        (decided.is_open, decided.is_stopped, decided.events) = (false, true, 700);
        let (held, end) = (Some((place(3), place(8))), Some(place(9)));
        let full = StreamState { decided, held, end, has_left: true, ..bare.clone() };
        for state in [bare, full] {
            let mut bytes = Vec::new();
            put_state(&mut bytes, &state);
            assert_eq!(take_state(&mut Input(&bytes)), Some(state));
            assert_eq!(take_state(&mut Input(&bytes[..bytes.len() - 1])), None);
        }
    }
}

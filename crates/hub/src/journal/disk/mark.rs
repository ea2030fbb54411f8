//! Marks of streams as the rest of a record's body.

use super::asked::{self, put_key, put_producer, take_key, take_options, take_producer};
use super::bytes::{Input, put_varint};
use crate::cursor::Sequence;
use crate::streams::{EndNotice, StreamClose, StreamDates, StreamMark, StreamReason};
use crate::time::{Time, millis};

const BEGIN: u8 = 1;
const APPEND: u8 = 2;
const STOP: u8 = 3;
const END: u8 = 4;
const LEFT: u8 = 5;
const CONTINUED: u8 = 6;
const ASK: u8 = 7;
const ROOM: u8 = 8;
const STATE: u8 = 9;
const KEYED_BEGIN: u8 = 10;
const DATES: u8 = 11;
const WHOLE: u8 = 12;
const FREED: u8 = 13;
const TOLD: u8 = 14;

/// Appends a mark.
pub(super) fn put(out: &mut Vec<u8>, mark: &StreamMark) {
    match mark {
        StreamMark::Begin(options) => {
            out.push(if options.key.is_some() { KEYED_BEGIN } else { BEGIN });
            put_varint(out, millis(options.ttl));
            put_varint(out, millis(options.grace));
            options.key.iter().for_each(|key| put_key(out, key));
            if let Some(producer) = &options.producer {
                put_producer(out, producer);
            }
        }
        StreamMark::Append(producer) => {
            out.push(APPEND);
            put_producer(out, producer);
        }
        StreamMark::Stop => out.push(STOP),
        StreamMark::End(close, key) => {
            out.push(END);
            put_close(out, *close);
            key.iter().for_each(|key| put_key(out, key));
        }
        StreamMark::Left => out.push(LEFT),
        StreamMark::Continued => out.push(CONTINUED),
        StreamMark::Ask(ask) => {
            out.push(ASK);
            asked::put_ask(out, ask);
        }
        StreamMark::Room => out.push(ROOM),
        StreamMark::Whole(events) => {
            out.push(WHOLE);
            put_varint(out, u64::from(*events));
        }
        StreamMark::State(state) => {
            out.push(STATE);
            asked::put_state(out, state);
        }
        StreamMark::Dates(dates) => {
            out.push(DATES);
            put_dates(out, dates);
        }
        StreamMark::Freed { last, end } => {
            out.push(FREED);
            put_varint(out, last.get());
            end.iter().for_each(|end| put_varint(out, end.get()));
        }
        StreamMark::Told(state) => {
            out.push(TOLD);
            asked::put_state(out, state);
            state.dates.iter().for_each(|dates| put_dates(out, dates));
        }
    }
}

fn put_dates(out: &mut Vec<u8>, dates: &StreamDates) {
    put_varint(out, dates.begin.get());
    put_varint(out, dates.began.unix_millis());
    if let Some((ended, close)) = dates.ended {
        put_varint(out, ended.unix_millis());
        put_close(out, close);
    }
}

fn put_close(out: &mut Vec<u8>, close: StreamClose) {
    let reason = match close.reason {
        StreamReason::Done => 0,
        StreamReason::Aborted => 1,
        StreamReason::Stopped => 2,
        StreamReason::Expired => 3,
    };
    let notice = match close.notice {
        EndNotice::Event => 0,
        EndNotice::Close => 1,
    };
    out.extend_from_slice(&[reason, notice]);
    put_varint(out, close.events);
}

/// Takes the end of a stream: `None` if it is damaged, `Some(None)` if a later program has added its kind.
fn take_close(input: &mut Input<'_>) -> Option<Option<StreamClose>> {
    let reason = match input.u8()? {
        0 => StreamReason::Done,
        1 => StreamReason::Aborted,
        2 => StreamReason::Stopped,
        3 => StreamReason::Expired,
        _ => return Some(None),
    };
    let notice = match input.u8()? {
        0 => EndNotice::Event,
        1 => EndNotice::Close,
        _ => return Some(None),
    };
    Some(Some(StreamClose { reason, notice, events: input.varint()? }))
}

fn take_dates(input: &mut Input<'_>) -> Option<Option<StreamDates>> {
    let begin = Sequence::new(input.varint()?)?;
    let began = Time::from_unix_millis(input.varint()?);
    let mut ended = None;
    if !input.0.is_empty() {
        let time = Time::from_unix_millis(input.varint()?);
        let Some(close) = take_close(input)? else { return Some(None) };
        ended = Some((time, close));
    }
    Some(Some(StreamDates { begin, began, ended }))
}

/// Takes a mark: `None` if it is damaged, `Some(None)` if a later program has added it.
pub(super) fn take(input: &mut Input<'_>) -> Option<Option<StreamMark>> {
    Some(Some(match input.u8()? {
        kind @ (BEGIN | KEYED_BEGIN) => {
            let mut options = take_options(input)?;
            if kind == KEYED_BEGIN {
                options.key = Some(take_key(input)?);
            }
            if !input.0.is_empty() {
                options.producer = Some(take_producer(input)?);
            }
            StreamMark::Begin(options)
        }
        APPEND => StreamMark::Append(take_producer(input)?),
        STOP => StreamMark::Stop,
        END => {
            let Some(close) = take_close(input)? else { return Some(None) };
            let key = if input.0.is_empty() { None } else { Some(take_key(input)?) };
            StreamMark::End(close, key)
        }
        LEFT => StreamMark::Left,
        CONTINUED => StreamMark::Continued,
        ASK => return Some(asked::take_ask(input)?.map(|ask| StreamMark::Ask(Box::new(ask)))),
        ROOM => StreamMark::Room,
        WHOLE => StreamMark::Whole(u32::try_from(input.varint()?).ok()?),
        STATE => StreamMark::State(Box::new(asked::take_state(input)?)),
        TOLD => {
            let mut state = asked::take_state(input)?;
            let Some(dates) = take_dates(input)? else { return Some(None) };
            state.dates = Some(dates);
            StreamMark::Told(Box::new(state))
        }
        FREED => {
            let last = Sequence::new(input.varint()?)?;
            let is_bounded = !input.0.is_empty();
            let end = if is_bounded { Some(Sequence::new(input.varint()?)?) } else { None };
            StreamMark::Freed { last, end }
        }
        DATES => return Some(take_dates(input)?.map(|it| StreamMark::Dates(Box::new(it)))),
        _ => return Some(None),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::draft::IdempotencyKey;
    use crate::streams::{Decided, Producer, StreamOptions, StreamState};

    #[test]
    fn a_mark_comes_back_as_it_was() {
        let producer = Producer::new("p/é", 7, 300).unwrap();
        let options = StreamOptions { grace: Duration::from_secs(1), ..StreamOptions::default() };
        let owned = StreamOptions { producer: Some(producer.clone()), ..options.clone() };
        let key = IdempotencyKey::new("k/é").ok().map(|key| key.at(300));
        let [keyed, all] =
            [&options, &owned].map(|it| StreamOptions { key: key.clone(), ..it.clone() });
        let mut marks = vec![
            StreamMark::Begin(options),
            StreamMark::Begin(owned),
            StreamMark::Begin(keyed),
            StreamMark::Begin(all),
            StreamMark::Append(producer),
            StreamMark::Stop,
            StreamMark::Left,
            StreamMark::Continued,
            StreamMark::Room,
            StreamMark::Whole(300),
            StreamMark::Freed { last: Sequence::MAX, end: None },
            StreamMark::Freed { last: Sequence::ZERO, end: Some(Sequence::MAX) },
        ];
        let ended = [StreamReason::Done, StreamReason::Aborted];
        for reason in ended.into_iter().chain([StreamReason::Stopped, StreamReason::Expired]) {
            for notice in [EndNotice::Event, EndNotice::Close] {
                let close = StreamClose { reason, notice, events: 20_000 };
                marks.extend([None, key.clone()].map(|key| StreamMark::End(close, key)));
                for ended in [None, Some((Time::from_unix_millis(1 << 41), close))] {
                    let (begin, began) = (Sequence::MAX, Time::from_unix_millis(1 << 40));
                    let dates = StreamDates { begin, began, ended };
                    marks.push(StreamMark::Dates(Box::new(dates)));
                    let state = StreamState {
                        decided: Decided::begin(StreamOptions::default(), 1 << 41),
                        writer: StreamState::UNKNOWN,
                        last: Sequence::MAX,
                        held: Some((Sequence::ZERO, Sequence::MAX)),
                        end: ended.map(|_| Sequence::MAX),
                        has_left: true,
                        dates: Some(dates),
                    };
                    marks.push(StreamMark::Told(Box::new(state)));
                }
            }
        }
        for mark in marks {
            let mut bytes = Vec::new();
            put(&mut bytes, &mark);
            assert_eq!(take(&mut Input(&bytes)), Some(Some(mark)));
        }
        assert_eq!(take(&mut Input(&[99, 1, 2])), Some(None));
        assert_eq!(take(&mut Input(&[APPEND])), None);
    }
}

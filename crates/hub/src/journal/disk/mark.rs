//! Marks of streams as the rest of a record's body.

use std::time::Duration;

use super::asked::{self, put_producer, take_producer};
use super::bytes::{Input, put_varint};
use crate::streams::{EndNotice, StreamClose, StreamMark, StreamOptions, StreamReason};
use crate::time::millis;

const BEGIN: u8 = 1;
const APPEND: u8 = 2;
const STOP: u8 = 3;
const END: u8 = 4;
const LEFT: u8 = 5;
const CONTINUED: u8 = 6;
const ASK: u8 = 7;
const ROOM: u8 = 8;
const STATE: u8 = 9;

/// Appends a mark.
pub(super) fn put(out: &mut Vec<u8>, mark: &StreamMark) {
    match mark {
        StreamMark::Begin(options) => {
            out.push(BEGIN);
            put_varint(out, millis(options.ttl));
            put_varint(out, millis(options.grace));
            if let Some(producer) = &options.producer {
                put_producer(out, producer);
            }
        }
        StreamMark::Append(producer) => {
            out.push(APPEND);
            put_producer(out, producer);
        }
        StreamMark::Stop => out.push(STOP),
        StreamMark::End(close) => {
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
            out.extend_from_slice(&[END, reason, notice]);
            put_varint(out, close.events);
        }
        StreamMark::Left => out.push(LEFT),
        StreamMark::Continued => out.push(CONTINUED),
        StreamMark::Ask(ask) => {
            out.push(ASK);
            asked::put_ask(out, ask);
        }
        StreamMark::Room => out.push(ROOM),
        StreamMark::State(state) => {
            out.push(STATE);
            asked::put_state(out, state);
        }
    }
}

/// Takes a mark: `None` if it is damaged, `Some(None)` if a later program has added it.
pub(super) fn take(input: &mut Input<'_>) -> Option<Option<StreamMark>> {
    Some(Some(match input.u8()? {
        BEGIN => {
            let mut options = StreamOptions {
                ttl: Duration::from_millis(input.varint()?),
                grace: Duration::from_millis(input.varint()?),
                ..StreamOptions::default()
            };
            if !input.0.is_empty() {
                options.producer = Some(take_producer(input)?);
            }
            StreamMark::Begin(options)
        }
        APPEND => StreamMark::Append(take_producer(input)?),
        STOP => StreamMark::Stop,
        END => {
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
            StreamMark::End(StreamClose { reason, notice, events: input.varint()? })
        }
        LEFT => StreamMark::Left,
        CONTINUED => StreamMark::Continued,
        ASK => return Some(asked::take_ask(input)?.map(|ask| StreamMark::Ask(Box::new(ask)))),
        ROOM => StreamMark::Room,
        STATE => StreamMark::State(Box::new(asked::take_state(input)?)),
        _ => return Some(None),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streams::Producer;

    #[test]
    fn a_mark_comes_back_as_it_was() {
        let producer = Producer::new("p/é", 7, 300).unwrap();
        let options = StreamOptions { grace: Duration::from_secs(1), ..StreamOptions::default() };
        let owned = StreamOptions { producer: Some(producer.clone()), ..options.clone() };
        let mut marks = vec![
            StreamMark::Begin(options),
            StreamMark::Begin(owned),
            StreamMark::Append(producer),
            StreamMark::Stop,
            StreamMark::Left,
            StreamMark::Continued,
            StreamMark::Room,
        ];
        let ended = [StreamReason::Done, StreamReason::Aborted];
        for reason in ended.into_iter().chain([StreamReason::Stopped, StreamReason::Expired]) {
            for notice in [EndNotice::Event, EndNotice::Close] {
                marks.push(StreamMark::End(StreamClose { reason, notice, events: 20_000 }));
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

//! Marks of streams as the rest of a record's body.

use std::time::Duration;

use super::bytes::{Input, put_text, put_varint};
use crate::streams::{EndNotice, Producer, StreamClose, StreamMark, StreamOptions, StreamReason};
use crate::time::millis;

const BEGIN: u8 = 1;
const APPEND: u8 = 2;
const STOP: u8 = 3;
const END: u8 = 4;

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
    }
}

fn put_producer(out: &mut Vec<u8>, producer: &Producer) {
    put_text(out, producer.id());
    put_varint(out, producer.epoch);
    put_varint(out, producer.seq);
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
        _ => return Some(None),
    }))
}

fn take_producer(input: &mut Input<'_>) -> Option<Producer> {
    let id = input.text()?;
    Producer::new(id, input.varint()?, input.varint()?)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(take(&mut Input(&[9, 1, 2])), Some(None));
        assert_eq!(take(&mut Input(&[APPEND])), None);
    }
}

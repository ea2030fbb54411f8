//! A record: an entry in a journal's file.

use std::time::Duration;

use tidings_proto::{Event, EventId, EventType};

use super::bytes::{Input, Salt, put_text, put_varint};
use super::mark;
use crate::cursor::Sequence;
use crate::draft::{IdempotencyKey, Topics};
use crate::journal::copied::CopiedTo;
use crate::journal::{Content, Entry, Lost, Submission};
use crate::time::Time;
use crate::topic::Topic;
use crate::via::Via;

/// Size of a record's header: its checksum and the length of its body.
pub(in crate::journal) const HEADER_BYTES: usize = 8;

const KIND_EVENT: u8 = 1;
const KIND_CLOSE: u8 = 2;
const KIND_STREAM: u8 = 3;
const KIND_COPIED: u8 = 4;

const PRIVATE: u8 = 1;
const HAS_ID: u8 = 1 << 1;
const HAS_TYPE: u8 = 1 << 2;
const HAS_RETRY: u8 = 1 << 3;
const HAS_KEY: u8 = 1 << 4;
const HAS_VIA: u8 = 1 << 5;
const KNOWN_FLAGS: u8 = (1 << 6) - 1;

/// A decoded record.
pub(super) struct Record {
    pub(super) entry: Entry,
    pub(super) key: Option<IdempotencyKey>,
}

/// A sound record.
pub(super) enum Decoded {
    Known(Record),
    /// The end of a step of a copy, and what cannot be known up to there.
    Copied(CopiedTo, Vec<Lost>),
    /// A record of a kind that a later program has added, to be passed over.
    Unknown,
}

/// Appends a submission as a record.
pub(super) fn encode(
    out: &mut Vec<u8>,
    salt: Salt,
    sequence: Sequence,
    time: Time,
    submission: &Submission,
) {
    let at = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    match submission {
        Submission::Event(draft) => {
            let event = &draft.event;
            let key = draft.idempotency.as_ref();
            let flag = |is_there: bool, flag: u8| if is_there { flag } else { 0 };
            out.push(KIND_EVENT);
            out.push(
                flag(draft.private, PRIVATE)
                    | flag(event.id().is_some(), HAS_ID)
                    | flag(!event.event_type().is_message(), HAS_TYPE)
                    | flag(event.retry().is_some(), HAS_RETRY)
                    | flag(key.is_some(), HAS_KEY)
                    | flag(draft.via.is_some(), HAS_VIA),
            );
            put_place(out, time, draft.topics.as_slice());
            if let Some(id) = event.id() {
                put_text(out, id.as_str());
            }
            if !event.event_type().is_message() {
                put_text(out, event.event_type().as_str());
            }
            if let Some(retry) = event.retry() {
                put_varint(out, u64::try_from(retry.as_millis()).unwrap_or(u64::MAX));
            }
            if let Some(key) = key {
                put_text(out, key.text());
                put_varint(out, key.index());
            }
            if let Some(via) = &draft.via {
                put_text(out, via.as_str());
            }
            out.extend_from_slice(event.data().as_bytes());
        }
        Submission::Close(topic) => {
            out.extend_from_slice(&[KIND_CLOSE, 0]);
            put_place(out, time, std::slice::from_ref(topic));
        }
        Submission::Stream(topic, mark) => {
            out.extend_from_slice(&[KIND_STREAM, 0]);
            put_place(out, time, std::slice::from_ref(topic));
            mark::put(out, mark);
        }
    }
    close(out, at, salt, sequence);
}

/// Appends the end of a step of a copy.
pub(super) fn encode_copied(out: &mut Vec<u8>, salt: Salt, end: &CopiedTo, lost: &[Lost]) {
    let at = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    out.extend_from_slice(&[KIND_COPIED, 0]);
    put_varint(out, end.time.unix_millis());
    out.extend_from_slice(&end.digest.0.to_le_bytes());
    out.extend_from_slice(&end.digest.1.to_le_bytes());
    for lost in lost {
        put_varint(out, lost.first.get());
        put_varint(out, lost.last.get());
    }
    close(out, at, salt, end.through);
}

/// Completes the record that begins at a place of some bytes.
fn close(out: &mut [u8], at: usize, salt: Salt, sequence: Sequence) {
    let body_bytes = (out.len() - at - HEADER_BYTES) as u32;
    out[at + 4..at + HEADER_BYTES].copy_from_slice(&body_bytes.to_le_bytes());
    let sum = salt.checksum(sequence.get(), &[&out[at + 4..]]);
    out[at..at + 4].copy_from_slice(&sum.to_le_bytes());
}

fn put_place(out: &mut Vec<u8>, time: Time, topics: &[Topic]) {
    put_varint(out, time.unix_millis());
    put_varint(out, topics.len() as u64);
    topics.iter().for_each(|topic| put_text(out, topic.as_str()));
}

/// Computes the checksum of a record again, for another segment.
pub(super) fn reseal(record: &mut [u8], salt: Salt, sequence: Sequence) {
    let sum = salt.checksum(sequence.get(), &[&record[4..]]);
    record[..4].copy_from_slice(&sum.to_le_bytes());
}

/// Returns the size that the record at the start of some bytes claims to have, with its header.
pub(super) fn claimed_bytes(bytes: &[u8]) -> Option<usize> {
    let len = Input(bytes.get(4..HEADER_BYTES)?).u32()?;
    HEADER_BYTES.checked_add(usize::try_from(len).ok()?)
}

/// Decodes the record at the start of some bytes, and returns its size. `None` if it is damaged.
pub(super) fn decode(bytes: &[u8], salt: Salt, sequence: Sequence) -> Option<(Decoded, usize)> {
    let bytes = bytes.get(..claimed_bytes(bytes)?)?;
    let mut input = Input(bytes);
    let sum = input.u32()?;
    if sum != salt.checksum(sequence.get(), &[&bytes[4..]]) {
        return None;
    }
    Some((decode_body(&bytes[HEADER_BYTES..], sequence)?, bytes.len()))
}

fn decode_body(body: &[u8], sequence: Sequence) -> Option<Decoded> {
    let mut input = Input(body);
    let kind = input.u8()?;
    if kind == KIND_COPIED {
        return take_copied(&mut input, sequence);
    }
    if !matches!(kind, KIND_EVENT | KIND_CLOSE | KIND_STREAM) {
        return Some(Decoded::Unknown);
    }
    let flags = input.u8()?;
    if flags & !KNOWN_FLAGS != 0 {
        return None;
    }
    let time = Time::from_unix_millis(input.varint()?);
    let topics = take_topics(&mut input)?;
    let mut entry = Entry::new(sequence, time, topics, Content::Close);
    entry.private = flags & PRIVATE != 0;
    let mut key = None;
    match kind {
        KIND_EVENT => key = take_event(&mut input, flags, &mut entry)?,
        KIND_STREAM => match mark::take(&mut input)? {
            Some(mark) => entry.content = Content::Stream(mark),
            None => return Some(Decoded::Unknown),
        },
        _ => {}
    }
    Some(Decoded::Known(Record { entry, key }))
}

fn take_copied(input: &mut Input<'_>, through: Sequence) -> Option<Decoded> {
    let flags = input.u8()?;
    let time = Time::from_unix_millis(input.varint()?);
    let digest = (input.u64()?, input.u64()?);
    let mut lost = Vec::new();
    while !input.0.is_empty() {
        lost.push(Lost::new(Sequence::new(input.varint()?)?, Sequence::new(input.varint()?)?));
    }
    (flags == 0).then_some(Decoded::Copied(CopiedTo { through, time, digest }, lost))
}

fn take_topics(input: &mut Input<'_>) -> Option<Topics> {
    match input.varint()? {
        1 => Some(Topic::new(input.text()?).ok()?.into()),
        count if count <= Topics::MAX as u64 => {
            let mut topics = Vec::with_capacity(count as usize);
            for _ in 0..count {
                topics.push(Topic::new(input.text()?).ok()?);
            }
            Topics::new(topics)
        }
        _ => None,
    }
}

/// Takes an event into its entry, and returns its idempotency key; `None` if it is damaged.
fn take_event(
    input: &mut Input<'_>,
    flags: u8,
    entry: &mut Entry,
) -> Option<Option<IdempotencyKey>> {
    let has = |flag: u8| flags & flag != 0;
    let id = if has(HAS_ID) { Some(EventId::new(input.text()?).ok()?) } else { None };
    let event_type = if has(HAS_TYPE) { Some(EventType::new(input.text()?).ok()?) } else { None };
    let retry = if has(HAS_RETRY) { Some(Duration::from_millis(input.varint()?)) } else { None };
    let key = if has(HAS_KEY) {
        Some(IdempotencyKey::new(input.text()?).ok()?.at(input.varint()?))
    } else {
        None
    };
    if has(HAS_VIA) {
        entry.via = Some(Via::new(input.text()?).ok()?);
    }
    let mut event = Event::new(std::str::from_utf8(input.0).ok()?);
    if let Some(id) = id {
        event = event.with_id(id);
    }
    if let Some(event_type) = event_type {
        event = event.with_type(event_type);
    }
    if let Some(retry) = retry {
        event = event.with_retry(retry);
    }
    entry.content = Content::Event(event);
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::super::bytes::Identity;
    use super::*;
    use crate::draft::Draft;
    use crate::streams::{StreamMark, StreamOptions};

    fn salt() -> Salt {
        Salt::new(&Identity([7; 16]), Sequence::new(1).unwrap())
    }

    fn submissions() -> Vec<Submission> {
        let topic = |name: &str| Topic::new(name).unwrap();
        let full = Event::new("line\nline")
            .with_id(EventId::new("7").unwrap())
            .with_type(EventType::new("tick").unwrap())
            .with_retry(Duration::from_millis(1500));
        let topics = Topics::new([topic("a"), topic("b/é"), topic("c")]).unwrap();
        vec![
            Submission::Event(Draft::new(topic("a"), Event::new("x"))),
            Submission::Event(Draft::new(topic("a"), Event::new(""))),
            Submission::Event(
                Draft::new(topics, full)
                    .with_private(true)
                    .with_via(Via::new("0000000000000001/a, 0000000000000002/b%2Fc").unwrap())
                    .with_idempotency_key(IdempotencyKey::new("k").unwrap().at(300)),
            ),
            Submission::Close(topic("a")),
            Submission::Stream(topic("a"), StreamMark::Begin(StreamOptions::default())),
        ]
    }

    #[test]
    fn a_record_comes_back_as_it_was() {
        let sequence = Sequence::new(1_000_000).unwrap();
        let time = Time::from_unix_millis(1_795_258_333_042);
        for submission in submissions() {
            let mut bytes = Vec::new();
            encode(&mut bytes, salt(), sequence, time, &submission);
            let Some((Decoded::Known(record), len)) = decode(&bytes, salt(), sequence) else {
                panic!("{submission:?} did not come back");
            };
            assert_eq!(len, bytes.len());
            assert_eq!((record.entry.sequence, record.entry.time), (sequence, time));
            match (submission, record.entry.content) {
                (Submission::Event(draft), Content::Event(event)) => {
                    assert_eq!(draft.event, event);
                    assert_eq!(draft.topics, record.entry.topics);
                    assert_eq!(draft.private, record.entry.private);
                    assert_eq!(draft.via, record.entry.via);
                    assert_eq!(draft.idempotency, record.key);
                }
                (Submission::Close(topic), Content::Close) => {
                    assert_eq!(record.entry.topics.as_slice(), [topic]);
                }
                (Submission::Stream(topic, mark), Content::Stream(found)) => {
                    assert_eq!((record.entry.topics.as_slice(), found), (&[topic][..], mark));
                }
                (submission, content) => panic!("{submission:?} came back as {content:?}"),
            }
        }
    }

    #[test]
    fn damage_at_any_byte_and_a_record_of_another_place_are_noticed() {
        let sequence = Sequence::new(9).unwrap();
        for submission in submissions() {
            let mut bytes = Vec::new();
            encode(&mut bytes, salt(), sequence, Time::default(), &submission);
            for at in 0..bytes.len() {
                let mut damaged = bytes.clone();
                damaged[at] ^= 0x20;
                assert!(decode(&damaged, salt(), sequence).is_none(), "byte {at}");
                assert!(decode(&bytes[..at], salt(), sequence).is_none(), "cut at {at}");
            }
            assert!(decode(&bytes, salt(), sequence.next()).is_none());
            let other = Salt::new(&Identity([7; 16]), Sequence::new(2).unwrap());
            assert!(decode(&bytes, other, sequence).is_none());
        }
    }

    #[test]
    fn a_kind_that_is_not_known_is_passed_over() {
        let sequence = Sequence::new(9).unwrap();
        let mut bytes = vec![0; HEADER_BYTES];
        bytes.extend_from_slice(b"\x09whatever it has");
        bytes[4] = (bytes.len() - HEADER_BYTES) as u8;
        let sum = salt().checksum(9, &[&bytes[4..]]);
        bytes[..4].copy_from_slice(&sum.to_le_bytes());
        let decoded = decode(&bytes, salt(), sequence);
        assert!(matches!(decoded, Some((Decoded::Unknown, len)) if len == bytes.len()));
    }
}

//! Aging: which messages the stream will drop before long, so that what must not be forgotten is put in once more.

use std::collections::VecDeque;
use std::time::Duration;

use tidings_hub::Time;

use super::api::StreamInfo;

/// The messages that were read, as far as the limits of the stream count them.
#[derive(Debug, Default)]
pub(super) struct Aging {
    limits: Limits,
    /// Bytes of all messages that were read.
    bytes: u64,
    /// Some of the messages, the oldest first; not older than the newest one that has aged.
    marks: VecDeque<Mark>,
}

/// A message, and what was read up to it.
#[derive(Clone, Copy, Debug)]
struct Mark {
    place: u64,
    bytes: u64,
    time: Time,
}

/// The limits by which the stream drops messages; zero is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    messages: u64,
    bytes: u64,
    age: Duration,
}

/// The bytes that NATS keeps of a message beside its payload, at most: its subject, its headers, and its own part.
const MESSAGE_BYTES: u64 = 512;
/// A message is marked when this part of a limit has come since the last mark.
const MARKED_EVERY: u64 = 128;
/// The parts that a hub may wait for more than others.
pub(super) const PARTS_MAX: u64 = 8;

impl Limits {
    pub(super) fn of(info: &StreamInfo) -> Self {
        let config = &info.config;
        let least = |limits: &[i64]| {
            let limits = limits.iter().filter_map(|limit| u64::try_from(*limit).ok());
            limits.filter(|limit| *limit > 0).min().unwrap_or(0)
        };
        Self {
            messages: least(&[config.max_msgs, config.max_msgs_per_subject]),
            bytes: least(&[config.max_bytes]),
            age: Duration::from_nanos(config.max_age),
        }
    }

    /// Returns whether a part of one of them, of so many, lies between two messages.
    fn has_part(&self, parts: u64, from: Mark, to: Mark) -> bool {
        let is_part = |limit: u64, part: u64| limit > 0 && part >= limit.div_ceil(parts);
        is_part(self.messages, to.place.saturating_sub(from.place))
            || is_part(self.bytes, to.bytes.saturating_sub(from.bytes))
            || is_part(
                millis(self.age),
                to.time.unix_millis().saturating_sub(from.time.unix_millis()),
            )
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Aging {
    /// The messages of a stream with such limits.
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Notes a message that was read.
    pub(super) fn note(&mut self, place: u64, time: Time, bytes: usize) {
        self.bytes += bytes as u64 + MESSAGE_BYTES;
        let mark = Mark { place, bytes: self.bytes, time };
        let last = self.marks.back();
        if last.is_none_or(|last| self.limits.has_part(MARKED_EVERY, *last, mark)) {
            self.marks.push_back(mark);
        }
    }

    /// The newest message that has aged: it is gone, or half of a limit has come after it, and so many of 64 parts of
    /// it. Hubs that differ in these parts do not put in the same things at once.
    pub(super) fn aged(&mut self, info: &StreamInfo, now: Time, parts: u64) -> u64 {
        self.limits = Limits::of(info);
        let gone = info.state.first_seq.saturating_sub(1);
        let Some(newest) = self.marks.back() else { return gone };
        let to =
            Mark { place: newest.place.max(info.state.last_seq), bytes: self.bytes, time: now };
        let scaled = Limits {
            messages: scale(self.limits.messages, parts),
            bytes: scale(self.limits.bytes, parts),
            age: Duration::from_millis(scale(millis(self.limits.age), parts)),
        };
        let aged = self.marks.partition_point(|mark| scaled.has_part(1, *mark, to));
        // The newest aged one is the one to begin from next time.
        self.marks.drain(..aged.saturating_sub(1));
        let aged = if aged > 0 { self.marks[0].place } else { 0 };
        aged.max(gone)
    }
}

/// Half of a limit, and so many of 64 parts of it; at least one.
fn scale(limit: u64, parts: u64) -> u64 {
    let parts = 32 + parts.min(PARTS_MAX);
    (limit / 64 * parts + limit % 64 * parts / 64).max(u64::from(limit > 0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn info(first: u64, last: u64, limits: &serde_json::Value) -> StreamInfo {
        let mut config = json!({ "retention": "limits", "storage": "file", "num_replicas": 1 });
        config.as_object_mut().unwrap().extend(limits.as_object().unwrap().clone());
        let state = json!({ "messages": 1, "first_seq": first, "last_seq": last });
        serde_json::from_value(json!({ "config": config, "created": "", "state": state })).unwrap()
    }

    /// The newest message that has aged of so many, a second and so many bytes each.
    fn aged(read: u64, bytes: usize, limits: &serde_json::Value) -> u64 {
        let at = |place: u64| Time::from_unix_millis(1_000_000 + 1_000 * place);
        let info = info(1, read, limits);
        let mut aging = Aging::new(Limits::of(&info));
        (1..=read).for_each(|place| aging.note(place, at(place), bytes));
        let found = aging.aged(&info, at(read), 0);
        assert_eq!(aging.aged(&info, at(read), 0), found, "also the second time");
        found
    }

    #[test]
    fn a_message_has_aged_when_half_of_a_limit_came_after_it() {
        let near = |found: u64, expected: u64, step: u64| {
            assert!(found <= expected && found + step > expected, "{found}, not {expected}");
        };
        near(aged(1000, 0, &json!({ "max_msgs": 1280 })), 1000 - 640, 10);
        near(aged(1000, 0, &json!({ "max_msgs_per_subject": 1280 })), 1000 - 640, 10);
        near(aged(1000, 512, &json!({ "max_bytes": 1280 * 1024 })), 1000 - 640, 10);
        let hour = Duration::from_secs(1280).as_nanos() as u64;
        near(aged(1000, 0, &json!({ "max_age": hour })), 1000 - 640, 10);
        near(aged(9, 0, &json!({ "max_msgs": 4 })), 7, 1);
        assert_eq!(aged(639, 0, &json!({ "max_msgs": 1280, "max_bytes": -1 })), 0);
        assert_eq!(aged(1000, 1 << 20, &json!({})), 0, "nothing is dropped");
    }

    #[test]
    fn what_is_gone_has_aged() {
        let mut aging = Aging::default();
        assert_eq!(aging.aged(&info(8, 9, &json!({})), Time::default(), 0), 7);
        aging.note(9, Time::default(), 1);
        assert_eq!(aging.aged(&info(9, 9, &json!({})), Time::default(), 0), 8);
    }

    #[test]
    fn the_marks_are_few_however_much_is_read() {
        let info = info(1, 100_000, &json!({ "max_msgs": 1000 }));
        let mut aging = Aging::new(Limits::of(&info));
        for place in 1..=100_000 {
            aging.note(place, Time::default(), 0);
            if place % 50 == 0 {
                aging.aged(&info, Time::default(), PARTS_MAX);
            }
            assert!(aging.marks.len() < 150, "{}", aging.marks.len());
        }
    }
}

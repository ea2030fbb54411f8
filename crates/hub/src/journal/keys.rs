//! The idempotency keys a journal remembers.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::cursor::Sequence;
use crate::draft::IdempotencyKey;
use crate::time::Time;

/// Spans remembered at most, over all requests: a request whose events were committed one after the
/// other is one span, however many they are. About 10 MB.
pub(super) const SPANS_MAX: usize = 100_000;
/// How long a request is remembered after its last event: far beyond every publisher's retries.
pub(super) const AGE_MAX: Duration = Duration::from_secs(600);

/// The latest requests with a key, and where their events were committed.
///
/// A request is forgotten whole: were its first events forgotten alone, repeating it would publish those
/// again, which would push out the next ones, and so on to its end.
#[derive(Default)]
pub(super) struct Keys {
    requests: HashMap<Arc<str>, Request>,
    oldest_first: VecDeque<Arc<str>>,
    spans: usize,
}

struct Request {
    spans: Vec<Span>,
    time: Time,
}

/// Events of one request with rising numbers at rising sequences, without a hole in either.
#[derive(Clone, Copy)]
struct Span {
    index: u64,
    sequence: Sequence,
    len: u64,
}

impl Keys {
    /// Where the event of `key` was committed, if that is remembered.
    pub(super) fn find(&self, key: &IdempotencyKey) -> Option<Sequence> {
        let spans = &self.requests.get(key.text())?.spans;
        let after = spans.partition_point(|span| span.index <= key.index());
        let span = &spans[after.checked_sub(1)?];
        let offset = key.index() - span.index;
        if offset < span.len { Sequence::new(span.sequence.get() + offset) } else { None }
    }

    /// Remembers a key that was not found, and forgets what is too old or too much.
    pub(super) fn remember(&mut self, key: &IdempotencyKey, sequence: Sequence, now: Time) {
        self.forget(now, key.text());
        let request = self.requests.entry(Arc::clone(key.text())).or_insert_with(|| {
            self.oldest_first.push_back(Arc::clone(key.text()));
            Request { spans: Vec::new(), time: now }
        });
        request.time = now;
        let at = request.spans.partition_point(|span| span.index <= key.index());
        if let Some(last) = at.checked_sub(1).map(|before| &mut request.spans[before])
            && key.index() == last.index + last.len
            && sequence.get() == last.sequence.get() + last.len
        {
            last.len += 1;
            return;
        }
        request.spans.insert(at, Span { index: key.index(), sequence, len: 1 });
        self.spans += 1;
    }

    fn forget(&mut self, now: Time, current: &Arc<str>) {
        let horizon = now.saturating_sub(AGE_MAX);
        while let Some(oldest) = self.oldest_first.front()
            && let Some(request) = self.requests.get(oldest)
            && (request.time < horizon || self.spans >= SPANS_MAX)
            // The one that is being published outlives its beginning.
            && oldest != current
        {
            self.spans -= request.spans.len();
            self.requests.remove(oldest);
            self.oldest_first.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_unix_millis(1_700_000_000_000 + millis)
    }

    fn sequence(number: u64) -> Sequence {
        Sequence::new(number).unwrap()
    }

    #[test]
    fn a_request_is_remembered_for_ten_minutes_after_its_last_event() {
        let mut keys = Keys::default();
        let [first, second, third] = ["a", "b", "c"].map(|key| IdempotencyKey::new(key).unwrap());
        keys.remember(&first, sequence(1), at(0));
        keys.remember(&second, sequence(2), at(0));
        keys.remember(&first.at(1), sequence(3), at(1));
        keys.remember(&third, sequence(4), at(600_001));
        assert_eq!(keys.find(&first), Some(sequence(1)));
        keys.remember(&third.at(1), sequence(5), at(600_002));
        assert_eq!(keys.find(&first), None);
        assert_eq!(keys.find(&first.at(1)), None);
        assert_eq!(keys.find(&second), None);
        assert_eq!(keys.find(&third), Some(sequence(4)));
    }

    #[test]
    fn a_request_of_a_million_events_is_remembered_to_the_last() {
        const EVENTS: u64 = 1_000_000;
        let mut keys = Keys::default();
        let key = IdempotencyKey::new("a").unwrap();
        for index in 0..EVENTS {
            keys.remember(&key.at(index), sequence(index + 10), at(0));
        }
        keys.remember(&IdempotencyKey::new("b").unwrap(), sequence(EVENTS + 10), at(0));
        assert_eq!(keys.spans, 2);
        for index in [0, 1, EVENTS / 2, EVENTS - 1] {
            assert_eq!(keys.find(&key.at(index)), Some(sequence(index + 10)));
        }
        assert_eq!(keys.find(&key.at(EVENTS)), None);
    }

    #[test]
    fn events_between_those_of_a_request_make_spans_of_it() {
        let mut keys = Keys::default();
        let key = IdempotencyKey::new("a").unwrap();
        for (index, number) in [(0, 1), (1, 2), (2, 5), (3, 6), (5, 7), (4, 9)] {
            keys.remember(&key.at(index), sequence(number), at(0));
        }
        for (index, number) in [(0, 1), (1, 2), (2, 5), (3, 6), (4, 9), (5, 7)] {
            assert_eq!(keys.find(&key.at(index)), Some(sequence(number)), "{index}");
        }
        assert_eq!(keys.find(&key.at(6)), None);
    }

    #[test]
    fn the_oldest_request_makes_room_for_one_too_many() {
        let mut keys = Keys::default();
        let key = |number: usize| IdempotencyKey::new(&number.to_string()).unwrap();
        for number in 0..=SPANS_MAX {
            keys.remember(&key(number), sequence(number as u64 + 1), at(0));
        }
        assert_eq!(keys.find(&key(0)), None);
        assert_eq!(keys.find(&key(1)), Some(sequence(2)));
        assert_eq!(keys.find(&key(SPANS_MAX)), Some(sequence(SPANS_MAX as u64 + 1)));
        assert_eq!(keys.spans, SPANS_MAX);
        assert_eq!(keys.oldest_first.len(), SPANS_MAX);
    }
}

//! The idempotency keys a journal remembers.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::cursor::Sequence;
use crate::draft::IdempotencyKey;
use crate::time::Time;

/// Spans remembered at most, over all requests: a request whose events were committed one after the
/// other is one span, however many they are. About 10 MB.
pub(super) const SPANS_MAX: usize = 100_000;
/// Maximum spans of one request, so that it cannot displace the keys of all others.
pub(super) const REQUEST_SPANS_MAX: usize = SPANS_MAX / 10;
/// How long a request is remembered after its last event: far beyond every publisher's retries.
pub(super) const AGE_MAX: Duration = Duration::from_secs(600);

/// The latest requests with a key, and where their events were committed.
///
/// A request is forgotten whole: were its first events forgotten alone, repeating it would publish those
/// again, which would push out the next ones, and so on to its end.
#[derive(Default)]
pub(super) struct Keys {
    requests: HashMap<Arc<str>, Request>,
    /// Every request once, with the time of its last event when it was added here. A request with later
    /// events is moved to the back when its turn comes, so that it keeps no younger one alive.
    oldest_first: VecDeque<(Arc<str>, Time)>,
    spans: usize,
    /// Bytes of the keys' texts.
    text_bytes: usize,
    /// Maximum of [`Keys::bytes_needed`]; `None` for no limit but that on spans.
    bytes_max: Option<usize>,
}

struct Request {
    /// One lies in place, as nearly all requests have one.
    spans: SmallVec<[Span; 1]>,
    time: Time,
    /// Set once it has had too many spans: none of its events is remembered from then on.
    is_forgotten: bool,
}

const SLOT_BYTES: usize = size_of::<(Arc<str>, Request)>() + 1;
const PLACE_BYTES: usize = size_of::<(Arc<str>, Time)>();

/// Events of one request with rising numbers at rising sequences, without a hole in either.
#[derive(Clone, Copy)]
struct Span {
    index: u64,
    sequence: Sequence,
    len: u64,
}

/// A span with its request, as a journal keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg(feature = "disk")]
pub(super) struct KeySpan {
    pub(super) text: Arc<str>,
    pub(super) index: u64,
    pub(super) sequence: Sequence,
    pub(super) len: u64,
    /// The commit time of its last event.
    pub(super) time: Time,
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

    /// Bytes that the keys take, with the room that is left of a burst.
    pub(super) fn bytes(&self) -> usize {
        let growing = 2 * self.requests.len();
        let (slots, places) = (self.requests.capacity() * 8 / 7, self.oldest_first.capacity());
        self.bytes_needed()
            + slots.saturating_sub(growing * 8 / 7) * SLOT_BYTES
            + places.saturating_sub(growing) * PLACE_BYTES
    }

    /// Bytes that the keys take at most while they grow: the tables as empty as they may be, and the texts.
    fn bytes_needed(&self) -> usize {
        // A slot in a hash table that is at least 7/16 full, a place in a list that is half full, and
        // what a reference-counted text costs beside its bytes.
        const REQUEST_BYTES: usize = SLOT_BYTES * 16 / 7 + 2 * PLACE_BYTES + 2 * size_of::<usize>();
        let further_spans = self.spans.saturating_sub(self.requests.len());
        self.requests.len() * REQUEST_BYTES
            + self.text_bytes
            + further_spans * 2 * size_of::<Span>()
    }

    /// Limits the bytes that the keys take; the oldest requests are forgotten beyond them.
    pub(super) fn limit(&mut self, bytes_max: usize) {
        self.bytes_max = Some(bytes_max);
    }

    fn is_full(&self) -> bool {
        self.spans >= SPANS_MAX || self.bytes_max.is_some_and(|max| self.bytes_needed() > max)
    }

    /// Remembers a key that was not found, and forgets what is too old or too much.
    pub(super) fn remember(&mut self, key: &IdempotencyKey, sequence: Sequence, now: Time) {
        self.insert(key.text(), Span { index: key.index(), sequence, len: 1 }, now);
    }

    /// Remembers a span that a journal has kept. Call it with the oldest span first.
    #[cfg(feature = "disk")]
    pub(super) fn restore(&mut self, span: &KeySpan) {
        let KeySpan { text, index, sequence, len, time } = span;
        self.insert(text, Span { index: *index, sequence: *sequence, len: *len }, *time);
    }

    /// Forgets the key that was remembered last, because its event was not committed.
    #[cfg(feature = "disk")]
    pub(super) fn take_back(&mut self, key: &IdempotencyKey) {
        let Some(request) = self.requests.get_mut(key.text()) else { return };
        let after = request.spans.partition_point(|span| span.index <= key.index());
        let Some(at) = after.checked_sub(1) else { return };
        let span = &mut request.spans[at];
        if key.index() + 1 == span.index + span.len {
            span.len -= 1;
            if span.len == 0 {
                request.spans.remove(at);
                self.spans -= 1;
            }
        }
    }

    fn insert(&mut self, text: &Arc<str>, span: Span, now: Time) {
        self.forget(now, text);
        let request = self.requests.entry(Arc::clone(text)).or_insert_with(|| {
            self.oldest_first.push_back((Arc::clone(text), now));
            self.text_bytes += text.len();
            Request { spans: SmallVec::new(), time: now, is_forgotten: false }
        });
        request.time = now;
        if request.is_forgotten {
            return;
        }
        let at = request.spans.partition_point(|other| other.index <= span.index);
        if let Some(last) = at.checked_sub(1).map(|before| &mut request.spans[before])
            && span.index == last.index + last.len
            && span.sequence.get() == last.sequence.get() + last.len
        {
            last.len += span.len;
            return;
        }
        if request.spans.len() == REQUEST_SPANS_MAX {
            self.spans -= REQUEST_SPANS_MAX;
            request.spans = SmallVec::new();
            request.is_forgotten = true;
            return;
        }
        request.spans.insert(at, span);
        self.spans += 1;
    }

    fn forget(&mut self, now: Time, current: &Arc<str>) {
        let horizon = now.saturating_sub(AGE_MAX);
        while let Some((oldest, time)) = self.oldest_first.front()
            // The request that is being published may fill the table alone.
            && (*time < horizon || (self.is_full() && self.requests.len() > 1))
            && let Some(request) = self.requests.get(oldest)
        {
            // A request with later events gets another turn. The current request outlives its
            // beginning, but not a long pause.
            let goes_on = request.time > *time || (oldest == current && *time >= horizon);
            let time = request.time;
            let Some((oldest, _)) = self.oldest_first.pop_front() else { return };
            if goes_on {
                self.oldest_first.push_back((oldest, time));
            } else if let Some(request) = self.requests.remove(&oldest) {
                self.spans -= request.spans.len();
                self.text_bytes -= oldest.len();
            }
        }
        self.shrink();
    }

    /// Gives back room after a burst.
    fn shrink(&mut self) {
        /// Room for so many requests is kept.
        const KEPT: usize = 1024;
        let len = self.requests.len().max(KEPT);
        if self.requests.capacity() > len * 4 {
            self.requests.shrink_to(len * 2);
            self.oldest_first.shrink_to(len * 2);
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

    #[test]
    fn a_request_that_goes_on_keeps_no_younger_one_alive() {
        let mut keys = Keys::default();
        let long = IdempotencyKey::new("long").unwrap();
        let key = |number: u64| IdempotencyKey::new(&number.to_string()).unwrap();
        for number in 0..3_000 {
            keys.remember(&long.at(number), sequence(2 * number + 1), at(number * 1_000));
            keys.remember(&key(number), sequence(2 * number + 2), at(number * 1_000));
        }
        // Those of the last ten minutes, and as many again that wait for their turn.
        assert!(keys.requests.len() <= 1_200, "{} requests", keys.requests.len());
        assert_eq!(keys.oldest_first.len(), keys.requests.len());
        assert_eq!(keys.find(&long), Some(sequence(1)));
        assert_eq!(keys.find(&key(0)), None);
        assert_eq!(keys.find(&key(2_999)), Some(sequence(6_000)));
    }

    #[test]
    fn a_request_in_too_many_pieces_is_forgotten_and_pushes_out_nobody() {
        let mut keys = Keys::default();
        let long = IdempotencyKey::new("long").unwrap();
        keys.remember(&IdempotencyKey::new("a").unwrap(), sequence(1), at(0));
        for index in 0..=REQUEST_SPANS_MAX as u64 {
            assert_eq!(keys.find(&long), (index > 0).then(|| sequence(2)));
            keys.remember(&long.at(index), sequence(2 * index + 2), at(0));
        }
        assert_eq!(keys.find(&long), None);
        keys.remember(&long.at(1_000_000), sequence(1_000_000), at(0));
        assert_eq!(keys.find(&long.at(1_000_000)), None);
        assert_eq!(keys.find(&IdempotencyKey::new("a").unwrap()), Some(sequence(1)));
        assert_eq!(keys.spans, 1);
    }

    #[test]
    #[cfg(feature = "disk")]
    fn keys_of_what_was_not_committed_are_taken_back_from_the_last() {
        let mut keys = Keys::default();
        let key = IdempotencyKey::new("a").unwrap();
        for (index, number) in [(0, 1), (1, 2), (2, 5)] {
            keys.remember(&key.at(index), sequence(number), at(0));
        }
        keys.take_back(&key.at(2));
        keys.take_back(&key.at(1));
        assert_eq!(keys.find(&key), Some(sequence(1)));
        assert_eq!(keys.find(&key.at(1)), None);
        keys.remember(&key.at(1), sequence(2), at(0));
        assert_eq!(keys.find(&key.at(1)), Some(sequence(2)));
        assert_eq!(keys.spans, 1);
    }
}

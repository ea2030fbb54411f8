//! The journal of a hub that keeps events in memory alone.

use std::fmt;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::keys::Keys;
use super::{
    Committing, Content, Durability, Entry, Evict, Feed, Journal, JournalError, JournalFuture,
    NotCommitted, Opened, Outcome, Submission,
};
use crate::cursor::{Epoch, Sequence};
use crate::time::{Now, Time};

/// A journal that orders events and keeps none: committing and feeding are one step.
///
/// Its epoch is random, so that event IDs of an earlier process are recognized as lost. Only the
/// hub's history holds events for resuming. The journal remembers the idempotency keys of about the
/// latest 100,000 requests for ten minutes.
#[derive(Clone)]
pub struct MemoryJournal {
    epoch: Epoch,
    state: Arc<Mutex<State>>,
    /// The bytes of the keys, so that the history can be charged without waiting for the state.
    keys_bytes: Arc<AtomicUsize>,
}

#[derive(Default)]
struct State {
    tail: Sequence,
    time: Time,
    /// Both clocks at the first append, from where the keys' age counts by the steady clock, and at the
    /// latest one.
    clocks: Option<(Now, Now)>,
    keys: Keys,
    /// Committed and not yet fed; nothing is kept before a feed follows.
    fed: Option<Vec<Entry>>,
    waker: Option<Waker>,
}

impl MemoryJournal {
    /// An empty journal of a new random epoch.
    #[must_use]
    pub fn new() -> Self {
        Self::with_epoch(Epoch::random())
    }

    /// An empty journal of a given epoch, for tests that repeat.
    #[must_use]
    pub fn with_epoch(epoch: Epoch) -> Self {
        Self { epoch, state: Arc::default(), keys_bytes: Arc::default() }
    }

    /// Limits the bytes that the idempotency keys take.
    pub(crate) fn limit_keys(&self, bytes_max: usize) {
        self.state.lock().keys.limit(bytes_max);
    }

    /// Where it stands; opening memory cannot fail.
    pub(crate) fn opened(&self) -> Opened {
        let tail = self.state.lock().tail;
        Opened { epoch: self.epoch, oldest: tail, tail, durability: Durability::Process }
    }
}

impl fmt::Debug for MemoryJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryJournal")
    }
}

impl Default for MemoryJournal {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    fn commit(&mut self, submission: Submission) -> Outcome {
        let (topics, private, via, content) = match submission {
            Submission::Event(draft) => {
                if let Some(sequence) =
                    draft.idempotency.as_ref().and_then(|key| self.keys.find(key))
                {
                    return Outcome::Duplicate(sequence);
                }
                if draft.is_repeat {
                    return Outcome::NotCommitted(NotCommitted::Unseen);
                }
                if let Some(key) = &draft.idempotency {
                    self.keys.remember(key, self.tail.next(), self.steady());
                }
                (draft.topics, draft.private, draft.via, Content::Event(draft.event))
            }
            Submission::Close(topic) => (topic.into(), false, None, Content::Close),
            Submission::Stream(topic, mark) => (topic.into(), false, None, Content::Stream(mark)),
        };
        self.tail = self.tail.next();
        let entry = Entry { sequence: self.tail, time: self.time, topics, private, via, content };
        if let Some(fed) = &mut self.fed {
            fed.push(entry);
        }
        Outcome::Committed(self.tail)
    }

    /// Takes in what the clocks say. A wall clock may be set: commit times never go back.
    fn advance(&mut self, now: Now) {
        self.time = self.time.max(now.time);
        self.clocks.get_or_insert((now, now)).1 = now;
    }

    /// The steady clock as a time, by which keys age.
    fn steady(&self) -> Time {
        self.clocks.map_or_else(Time::default, |(since, now)| {
            (since + now.instant.saturating_duration_since(since.instant)).time
        })
    }

    /// Moves what is fed to a list; an empty one is given in exchange, so that its room is used again.
    fn take_fed(&mut self, entries: &mut Vec<Entry>) {
        let Some(fed) = &mut self.fed else { return };
        if entries.is_empty() { std::mem::swap(fed, entries) } else { entries.append(fed) }
    }
}

impl Journal for MemoryJournal {
    fn open(&self) -> JournalFuture<'_, Result<Opened, JournalError>> {
        Box::pin(ready(Ok(self.opened())))
    }

    fn append(&self, batch: &mut dyn Iterator<Item = Submission>, now: Now) -> Committing {
        let Some(first) = batch.next() else { return Committing::All(Vec::new()) };
        let more = batch.size_hint().0;
        let mut state = self.state.lock();
        state.advance(now);
        if let Some(fed) = &mut state.fed {
            fed.reserve(1 + more);
        }
        let first = state.commit(first);
        let committing = if batch.size_hint() == (0, Some(0)) {
            Committing::One(first)
        } else {
            let mut outcomes = Vec::with_capacity(1 + more);
            outcomes.push(first);
            outcomes.extend(batch.map(|submission| state.commit(submission)));
            Committing::All(outcomes)
        };
        self.keys_bytes.store(state.keys.bytes(), Ordering::Relaxed);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        committing
    }

    fn follow(&self, _after: Sequence) -> Box<dyn Feed> {
        self.state.lock().fed.get_or_insert_default();
        Box::new(MemoryFeed { state: Arc::clone(&self.state) })
    }

    fn bytes(&self) -> usize {
        self.keys_bytes.load(Ordering::Relaxed)
    }

    fn evict(&self, _what: Evict) -> JournalFuture<'static, Result<(), JournalError>> {
        Box::pin(ready(Ok(())))
    }
}

/// Takes what [`MemoryJournal::append`] committed. One hub follows one journal.
struct MemoryFeed {
    state: Arc<Mutex<State>>,
}

impl Feed for MemoryFeed {
    fn is_in_step(&self) -> bool {
        true
    }

    fn try_next(&mut self, entries: &mut Vec<Entry>) -> Result<(), JournalError> {
        self.state.lock().take_fed(entries);
        Ok(())
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        entries: &mut Vec<Entry>,
    ) -> Poll<Result<(), JournalError>> {
        let mut state = self.state.lock();
        if state.fed.as_ref().is_some_and(|fed| !fed.is_empty()) {
            state.take_fed(entries);
            return Poll::Ready(Ok(()));
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::{Draft, IdempotencyKey};
    use crate::topic::Topic;
    use tidings_proto::Event;

    fn append<const N: usize>(
        journal: &MemoryJournal,
        batch: [Submission; N],
        time: Time,
    ) -> Vec<Outcome> {
        let now = Now { time, ..Now::read() };
        match journal.append(&mut batch.into_iter(), now) {
            Committing::One(outcome) => vec![outcome],
            Committing::All(outcomes) => outcomes,
            Committing::Waiting(_) => panic!("memory commits at the call"),
        }
    }

    fn fed(mut feed: Box<dyn Feed>) -> Vec<Entry> {
        let mut entries = Vec::new();
        feed.try_next(&mut entries).unwrap();
        entries
    }

    #[test]
    fn a_repeated_key_is_answered_with_the_first_sequence_and_feeds_nothing() {
        let journal = MemoryJournal::new();
        let feed = journal.follow(Sequence::ZERO);
        let topic = Topic::new("a").unwrap();
        let key = IdempotencyKey::new("k").unwrap();
        let draft = |index: u64| {
            Submission::Event(
                Draft::new(topic.clone(), Event::new("x")).with_idempotency_key(key.at(index)),
            )
        };
        let sequence = |n| Sequence::new(n).unwrap();

        let first = append(&journal, [draft(0), draft(1)], Time::default());
        assert_eq!(first, [Outcome::Committed(sequence(1)), Outcome::Committed(sequence(2))]);
        let again = append(&journal, [draft(1), draft(2)], Time::default());
        assert_eq!(again, [Outcome::Duplicate(sequence(2)), Outcome::Committed(sequence(3))]);

        let sequences = fed(feed).into_iter().map(|entry| entry.sequence.get());
        assert_eq!(sequences.collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn commit_times_never_go_back() {
        let journal = MemoryJournal::new();
        let feed = journal.follow(Sequence::ZERO);
        for millis in [5, 3, 9] {
            let end = Submission::Close(Topic::new("a").unwrap());
            append(&journal, [end], Time::from_unix_millis(millis));
        }
        let times = fed(feed).into_iter().map(|entry| entry.time.unix_millis());
        assert_eq!(times.collect::<Vec<_>>(), [5, 5, 9]);
    }
}

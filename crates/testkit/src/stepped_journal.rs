//! A journal that moves when a test says so.
//!
//! It answers a publisher at once and hands the entry to its feed later, reads pages and finds IDs when
//! it is told to, uses sequences for matters of its own, loses entries, cannot be read, and stops.

mod limits;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::{poll_fn, ready};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tidings_hub::journal::{
    Committing, Content, Counted, DroppedEntries, Durability, Entry, Evict, Feed, Journal,
    JournalError, JournalFuture, JournalPage, Lost, NotCommitted, Opened, Outcome, PageMax,
    Submission, TopicSet,
};
use tidings_hub::{
    EndNotice, Epoch, EventId, IdempotencyKey, Now, RetentionRule, Sequence, StreamMark, Time,
    Topic, TopicLimits, Topics,
};

/// The journal. Clones share it, so that a test keeps one.
#[derive(Clone, Debug)]
pub struct SteppedJournal(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    epoch: Epoch,
    entries: BTreeMap<Sequence, Entry>,
    oldest: Sequence,
    tail: Sequence,
    time: Time,
    /// The feed hands over what is up to here.
    fed: Sequence,
    /// Entries that were lost, for the feed to report.
    lost: Vec<Lost>,
    /// All that were lost, for pages to report.
    damage: Vec<Lost>,
    /// The newest dropped event of each topic.
    dropped: Arc<Dropped>,
    keys: HashMap<IdempotencyKey, Sequence>,
    is_stopped: bool,
    is_unreadable: bool,
    /// True if reads go on by themselves.
    is_prompt: bool,
    /// Why nothing is committed now.
    refusal: Option<NotCommitted>,
    /// The number of times that reads were let go on.
    turns: u64,
    reads: u64,
    waiting: Vec<Waker>,
    follower: Option<Waker>,
    awaiting_feed: Vec<Waker>,
    /// True if it keeps nothing that its feed has handed over, and others commit to it as well.
    is_shared: bool,
    /// How many of the newest entries a hub begins with.
    newest: u64,
    page_entries: usize,
    rules: Vec<RetentionRule>,
}

impl SteppedJournal {
    /// An empty journal, whose pages have at most so many entries.
    #[must_use]
    pub fn new(epoch: Epoch, page_entries: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            epoch,
            entries: BTreeMap::new(),
            oldest: Sequence::ZERO,
            tail: Sequence::ZERO,
            time: Time::default(),
            fed: Sequence::ZERO,
            lost: Vec::new(),
            damage: Vec::new(),
            dropped: Arc::default(),
            keys: HashMap::new(),
            is_stopped: false,
            is_unreadable: false,
            is_prompt: false,
            refusal: None,
            turns: 0,
            reads: 0,
            waiting: Vec::new(),
            follower: None,
            awaiting_feed: Vec::new(),
            is_shared: false,
            newest: u64::MAX,
            page_entries,
            rules: Vec::new(),
        })))
    }

    /// Lets a hub begin with so many of the newest entries.
    #[must_use]
    pub fn beginning_with(self, newest: u64) -> Self {
        self.state().newest = newest;
        self
    }

    /// Keeps nothing that its feed has handed over, and lets others commit to it as well.
    #[must_use]
    pub fn shared(self) -> Self {
        self.state().is_shared = true;
        self
    }

    /// Lets reads go on by themselves.
    #[must_use]
    pub fn reading_promptly(self) -> Self {
        self.state().is_prompt = true;
        self
    }

    /// Commits nothing from now on for this reason, or commits again.
    pub fn refuse(&self, why: Option<NotCommitted>) {
        self.state().refusal = why;
    }

    /// Hands everything up to a sequence to the feed.
    pub fn feed_through(&self, through: Sequence) {
        let wakers = {
            let mut state = self.state();
            state.fed = state.fed.max(through.min(state.tail));
            let follower = state.follower.take();
            std::mem::take(&mut state.awaiting_feed).into_iter().chain(follower).collect::<Vec<_>>()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Hands everything to the feed.
    pub fn feed(&self) {
        self.feed_through(Sequence::MAX);
    }

    /// Lets the reads that wait go on; `false` if there is none.
    pub fn go_on(&self) -> bool {
        let waiting = {
            let mut state = self.state();
            state.turns += 1;
            std::mem::take(&mut state.waiting)
        };
        let some = !waiting.is_empty();
        waiting.into_iter().for_each(Waker::wake);
        some
    }

    /// Uses so many sequences for matters of its own.
    pub fn skip(&self, sequences: u64) {
        let mut state = self.state();
        for _ in 0..sequences {
            state.tail = state.tail.next();
        }
    }

    /// Drops everything up to a sequence.
    pub fn evict_through(&self, through: Sequence) {
        let mut state = self.state();
        let through = through.min(state.tail).max(state.oldest);
        state.oldest = through;
        let left = state.entries.split_off(&through.next());
        let mut dropped = (*state.dropped).clone();
        for entry in std::mem::replace(&mut state.entries, left).into_values() {
            let is_told = match entry.content {
                Content::Event(_) => true,
                Content::Stream(StreamMark::End(close, _)) => close.notice == EndNotice::Event,
                _ => false,
            };
            if is_told {
                let topics = entry.topics.as_slice().iter().cloned();
                dropped.0.extend(topics.map(|topic| (topic, entry.sequence)));
            }
        }
        state.dropped = Arc::new(dropped);
    }

    /// Loses an entry.
    pub fn lose(&self, sequence: Sequence) {
        let mut state = self.state();
        let lost = Lost::new(sequence, sequence);
        if state.entries.remove(&sequence).is_some() {
            state.damage.push(lost);
            if sequence > state.fed {
                state.lost.push(lost);
            }
        }
    }

    /// Commits nothing from now on, and ends the feed.
    pub fn stop(&self) {
        let follower = {
            let mut state = self.state();
            state.is_stopped = true;
            state.follower.take()
        };
        follower.into_iter().for_each(Waker::wake);
    }

    /// Makes reads that go on fail, or succeed again.
    pub fn set_readable(&self, is_readable: bool) {
        self.state().is_unreadable = !is_readable;
    }

    /// The place before the oldest entry.
    #[must_use]
    pub fn floor(&self) -> Sequence {
        self.state().oldest
    }

    /// The newest sequence.
    #[must_use]
    pub fn committed(&self) -> Sequence {
        self.state().tail
    }

    /// The entries after a place.
    #[must_use]
    pub fn entries_after(&self, place: Sequence) -> Vec<Entry> {
        self.state().entries.range(place.next()..).map(|(_, entry)| entry.clone()).collect()
    }

    /// How many pages were read and IDs were looked up since the last call.
    #[must_use]
    pub fn take_reads(&self) -> u64 {
        std::mem::take(&mut self.state().reads)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An answer that waits until reads [go on](SteppedJournal::go_on).
    fn later<T: Send + 'static>(
        &self,
        answer: impl FnOnce(&State) -> T + Send + 'static,
    ) -> JournalFuture<'static, Result<T, JournalError>> {
        let journal = self.clone();
        let asked_at = self.state().turns;
        let mut answer = Some(answer);
        Box::pin(poll_fn(move |cx| {
            let mut state = journal.state();
            if state.turns == asked_at && !state.is_prompt {
                state.waiting.push(cx.waker().clone());
                return Poll::Pending;
            }
            state.reads += 1;
            if state.is_unreadable {
                return Poll::Ready(Err(JournalError::new("the journal cannot be read", None)));
            }
            let answer = answer.take().map(|answer| answer(&state));
            Poll::Ready(answer.ok_or_else(|| JournalError::new("it was polled again", None)))
        }))
    }
}

impl State {
    fn commit(&mut self, submission: Submission) -> Outcome {
        if self.is_stopped {
            return Outcome::NotCommitted(NotCommitted::Stopped);
        }
        if let Some(why) = self.refusal {
            return Outcome::NotCommitted(why);
        }
        let sequence = self.tail.next();
        let entry = |topics: Topics, content| Entry::new(sequence, self.time, topics, content);
        let entry = match submission {
            Submission::Event(draft) => {
                if let Some(key) = draft.idempotency_key() {
                    if let Some(first) = self.keys.get(key) {
                        return Outcome::Duplicate(*first);
                    }
                    if draft.is_repeat() {
                        return Outcome::NotCommitted(NotCommitted::Unseen);
                    }
                    self.keys.insert(key.clone(), sequence);
                }
                let mut entry =
                    entry(draft.topics().clone(), Content::Event(draft.event().clone()));
                entry.private = draft.is_private();
                entry.via = draft.via().cloned();
                entry
            }
            Submission::Close(topic) => entry(topic.into(), Content::Close),
            Submission::Stream(topic, mark) => entry(topic.into(), Content::Stream(mark)),
            _ => return Outcome::Unknown,
        };
        self.tail = sequence;
        self.entries.insert(sequence, entry);
        Outcome::Committed(sequence)
    }

    fn page(&self, topics: &TopicSet, after: Sequence, max: PageMax) -> JournalPage {
        let after = after.max(self.oldest);
        let entries_max = max.entries.min(self.page_entries);
        let has = |entry: &&Entry| entry.topics.as_slice().iter().any(|topic| topics.has(topic));
        let next = self.entries.range(after.next()..).map(|(_, entry)| entry).filter(has);
        let entries: Vec<_> = next.take(entries_max).cloned().collect();
        let through = match entries.last() {
            Some(last) if entries.len() == entries_max => last.sequence,
            _ => self.tail,
        };
        let mut page = JournalPage::new(entries, through);
        let is_on_page = |lost: &&Lost| lost.last > after && lost.last <= through;
        page.lost = self.damage.iter().filter(is_on_page).copied().collect();
        let is_of_all = *topics == TopicSet::All;
        let topics = page.entries.iter().flat_map(|entry| entry.topics.as_slice());
        let distinct: BTreeSet<&Topic> = topics.collect();
        let newest = distinct.into_iter().filter(|topic| self.is_about_newest(topic));
        page.newest = newest.filter_map(|topic| self.newest_of(topic)).collect();
        if is_of_all {
            page.counted = self.count_on_page(&page, max.counted_through);
        }
        page
    }
}

#[derive(Clone, Debug, Default)]
struct Dropped(HashMap<Topic, Sequence>);

impl DroppedEntries for Dropped {
    fn newest(&self, topic: &Topic) -> Sequence {
        self.0.get(topic).copied().unwrap_or_default()
    }
}

impl Journal for SteppedJournal {
    fn open(&self) -> JournalFuture<'_, Result<Opened, JournalError>> {
        let State { epoch, oldest, tail, .. } = *self.state();
        Box::pin(ready(Ok(Opened::new(epoch, oldest, tail, Durability::Synced))))
    }

    fn append(&self, batch: &mut dyn Iterator<Item = Submission>, now: Now) -> Committing {
        let mut state = self.state();
        // Its clock is whatever the hub says, forward and back.
        state.time = now.time;
        Committing::All(batch.map(|submission| state.commit(submission)).collect())
    }

    fn follow(&self, after: Sequence) -> Box<dyn Feed> {
        let after = after.max(self.state().oldest);
        Box::new(SteppedFeed { journal: self.clone(), after })
    }

    fn oldest(&self) -> Option<Sequence> {
        let state = self.state();
        (!state.is_shared).then_some(state.oldest)
    }

    fn is_shared(&self) -> bool {
        self.state().is_shared
    }

    fn dropped(&self) -> Option<Arc<dyn DroppedEntries>> {
        Some(Arc::clone(&self.state().dropped) as Arc<dyn DroppedEntries>)
    }

    fn newest(&self, _bytes: usize) -> Sequence {
        let state = self.state();
        Sequence::new(state.tail.get().saturating_sub(state.newest)).unwrap_or_default()
    }

    fn tail(&self) -> JournalFuture<'static, Result<Sequence, JournalError>> {
        let journal = self.clone();
        let asked = self.later(|state| (state.tail, state.is_shared));
        Box::pin(async move {
            let (tail, is_shared) = asked.await?;
            poll_fn(|cx| {
                let mut state = journal.state();
                if !is_shared || state.fed >= tail {
                    return Poll::Ready(());
                }
                state.awaiting_feed.push(cx.waker().clone());
                Poll::Pending
            })
            .await;
            Ok(tail)
        })
    }

    fn read(
        &self,
        topics: TopicSet,
        after: Sequence,
        max: PageMax,
    ) -> JournalFuture<'static, Result<JournalPage, JournalError>> {
        self.later(move |state| state.page(&topics, after, max))
    }

    fn marks(
        &self,
        after: Sequence,
        max: PageMax,
    ) -> JournalFuture<'static, Result<JournalPage, JournalError>> {
        self.later(move |state| {
            let is_mark = |entry: &&Entry| matches!(entry.content, Content::Stream(_));
            let marks = state.entries.range(after.next()..).map(|(_, entry)| entry).filter(is_mark);
            let entries: Vec<_> =
                marks.take(max.entries.min(state.page_entries)).cloned().collect();
            let through = entries.last().map_or(after, |entry| entry.sequence);
            JournalPage::new(entries, through)
        })
    }

    fn find(
        &self,
        id: &EventId,
        after: Sequence,
    ) -> JournalFuture<'static, Result<Option<Entry>, JournalError>> {
        let id = id.clone();
        self.later(move |state| {
            let has_id = |entry: &&Entry| {
                matches!(&entry.content, Content::Event(event) if event.id() == Some(&id))
            };
            state.entries.range(after.next()..).map(|(_, entry)| entry).find(has_id).cloned()
        })
    }

    fn place_before(
        &self,
        topics: TopicSet,
        through: Sequence,
        entries: usize,
    ) -> JournalFuture<'static, Result<Option<Sequence>, JournalError>> {
        self.later(move |state| {
            let has = |entry: &&Entry| entry.topics.as_slice().iter().any(|t| topics.has(t));
            let before = state.entries.range(..=through).rev().map(|(_, entry)| entry).filter(has);
            let places: Vec<_> = before.take(entries).map(|e| e.sequence.before()).collect();
            places.last().copied().filter(|_| places.len() == entries)
        })
    }

    fn retain(&self, rules: &[RetentionRule]) {
        self.state().rules = rules.to_vec();
    }

    fn count(
        &self,
        topic: &Topic,
        limits: &TopicLimits,
        through: Sequence,
    ) -> JournalFuture<'static, Result<Counted, JournalError>> {
        let (topic, limits) = (topic.clone(), limits.clone());
        self.later(move |state| state.count(&topic, &limits, (Sequence::ZERO, through)))
    }

    fn evict(&self, what: Evict) -> JournalFuture<'static, Result<(), JournalError>> {
        if let Evict::Through(through) = what {
            self.evict_through(through);
        }
        Box::pin(ready(Ok(())))
    }
}

struct SteppedFeed {
    journal: SteppedJournal,
    after: Sequence,
}

impl Feed for SteppedFeed {
    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        entries: &mut Vec<Entry>,
    ) -> Poll<Result<(), JournalError>> {
        let mut state = self.journal.state();
        if self.after < state.fed {
            let new = state.entries.range(self.after.next()..=state.fed);
            let before = entries.len();
            entries.extend(new.map(|(_, entry)| entry.clone()));
            self.after = state.fed;
            if entries.len() > before || !state.lost.is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
        if state.is_stopped {
            return Poll::Ready(Err(JournalError::new("the journal has stopped", None)));
        }
        state.follower = Some(cx.waker().clone());
        Poll::Pending
    }

    fn take_lost(&mut self) -> Vec<Lost> {
        let mut state = self.journal.state();
        let through = self.after;
        state.lost.extract_if(.., |lost| lost.last <= through).collect()
    }

    fn through(&self) -> Sequence {
        self.after
    }
}

//! A store in memory, and hubs' logs on it.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tidings_hub::journal::shared::{Group, SharedConfig, SharedLog, Stopped, Stored};
use tidings_hub::journal::{Committing, Content, Entry, Feed, Lost, Outcome, Submission};
use tidings_hub::{Draft, Event, IdempotencyKey, Now, Sequence, Time, Topic};

pub(crate) const GENERATION: u64 = 7;

/// Messages by their places. It recognizes repeated groups as long as a test lets it.
#[derive(Clone, Default)]
pub(crate) struct Store {
    pub(crate) messages: BTreeMap<u64, Vec<u8>>,
    ids: BTreeMap<String, u64>,
    pub(crate) newest: u64,
    /// How often it has gone back, and how often it had when it took a message, if it has at all.
    went_back: u64,
    eras: BTreeMap<u64, u64>,
}

impl Store {
    /// Takes a group, and returns its place.
    pub(crate) fn take(&mut self, group: &Group) -> u64 {
        if let Some(place) = self.ids.get(&group.id) {
            return *place;
        }
        let place = self.put(group.message.clone());
        self.ids.insert(group.id.clone(), place);
        place
    }

    pub(crate) fn put(&mut self, message: Vec<u8>) -> u64 {
        self.newest += 1;
        self.messages.insert(self.newest, message);
        if self.went_back > 0 {
            self.eras.insert(self.newest, self.went_back);
        }
        self.newest
    }

    /// When it took a message.
    pub(crate) fn time(&self, place: u64) -> Time {
        /// More than all places of a test.
        const ERA: u64 = 1_000_000;
        let era = self.eras.get(&place).copied().unwrap_or(0);
        Time::from_unix_millis(at(place).unix_millis() + ERA * era)
    }

    /// The message before the oldest one.
    pub(crate) fn oldest(&self) -> u64 {
        self.messages.keys().next().map_or(self.newest, |first| first - 1)
    }

    /// Loses its newest messages, and goes on from there. One is left.
    pub(crate) fn go_back(&mut self, messages: u64) {
        let first = self.messages.keys().next().copied().unwrap_or(self.newest);
        self.newest = self.newest.saturating_sub(messages).max(first);
        let newest = self.newest;
        self.messages.retain(|place, _| *place <= newest);
        self.ids.retain(|_, place| *place <= newest);
        self.eras.retain(|place, _| *place <= newest);
        self.went_back += 1;
    }

    /// Forgets which groups it has: the next repetition is another message.
    pub(crate) fn forget_ids(&mut self) {
        self.ids.clear();
    }
}

/// A hub's log, its feed, and everything that it was fed.
pub(crate) struct Node {
    pub(crate) log: SharedLog,
    feed: Box<dyn Feed>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) lost: Vec<Lost>,
    /// The group under way.
    pub(crate) group: Option<Group>,
    answers: Vec<(Vec<Sent>, Answer)>,
}

type Answer = Pin<Box<dyn Future<Output = Vec<Outcome>> + Send>>;

/// An event as it was submitted: its data is unlike that of all others.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) data: String,
    pub(crate) key: Option<String>,
}

impl Node {
    pub(crate) fn open(store: &Store, writer: u64) -> Self {
        Self::open_with(store, writer, 2_000)
    }

    /// A node whose messages are of so many bytes at most.
    pub(crate) fn open_with(store: &Store, writer: u64, message_bytes_max: usize) -> Self {
        let oldest = store.oldest();
        let mut config = SharedConfig::new(writer, GENERATION, (oldest, store.newest));
        config.message_bytes_max = message_bytes_max;
        Self::with(config)
    }

    pub(crate) fn with(config: SharedConfig) -> Self {
        let log = SharedLog::new(config);
        let feed = log.follow();
        let (entries, lost, answers) = Default::default();
        Self { log, feed, entries, lost, group: None, answers }
    }

    pub(crate) fn submit(&mut self, sent: Vec<Sent>, now: Now) {
        let drafts: Vec<_> = sent.iter().map(Sent::submission).collect();
        let answer: Answer = match self.log.append(&mut drafts.into_iter(), now) {
            Committing::Waiting(answer) => answer,
            Committing::All(outcomes) => Box::pin(async { outcomes }),
            other => panic!("{other:?}"),
        };
        self.answers.push((sent, answer));
    }

    /// Submits events that have the next numbers, each with a key unless that is 0.
    pub(crate) fn submit_numbered(&mut self, keys: Vec<u8>, events: &mut usize, now: Now) {
        let sent = keys.into_iter().map(|key| {
            *events += 1;
            let key = (key > 0).then(|| format!("key {key}"));
            Sent::new(format!("event {events}"), key.as_deref())
        });
        self.submit(sent.collect(), now);
    }

    /// Sends the next group if there is one, which may arrive and be acknowledged or not. Returns it, so that it can
    /// arrive once more.
    pub(crate) fn send(
        &mut self,
        store: &mut Store,
        (arrives, is_acknowledged): (bool, bool),
        now: Now,
    ) -> Option<Group> {
        let group = self.next_group(now).cloned()?;
        if arrives {
            let place = store.take(&group);
            if is_acknowledged {
                self.log.acknowledged(group.number, place);
            }
        }
        Some(group)
    }

    /// Takes the next group if there is one, or the one under way again.
    pub(crate) fn next_group(&mut self, now: Now) -> Option<&Group> {
        let log = &self.log;
        self.group.take_if(|group| !log.is_under_way(group.number));
        if self.group.is_none() {
            let mut cx = Context::from_waker(Waker::noop());
            if let Poll::Ready(group) = self.log.poll_group(&mut cx, now.instant) {
                self.group = Some(group);
            }
        }
        self.group.as_ref()
    }

    /// Reads what the store has at or after the next place; `false` if there is nothing.
    pub(crate) fn read_next(&mut self, store: &Store) -> Result<bool, Stopped> {
        let next = self.log.through() + 1;
        let Some((place, bytes)) = store.messages.range(next..).next() else {
            self.log.skip_through(store.newest);
            self.take_fed();
            return Ok(false);
        };
        self.read_at(*place, store.time(*place), bytes)?;
        Ok(true)
    }

    pub(crate) fn read(&mut self, place: u64, bytes: &[u8]) -> Result<(), Stopped> {
        self.read_at(place, at(place), bytes)
    }

    pub(crate) fn read_at(&mut self, place: u64, time: Time, bytes: &[u8]) -> Result<(), Stopped> {
        self.log.read(Stored { place, time, bytes })?;
        self.take_fed();
        Ok(())
    }

    pub(crate) fn take_fed(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(Ok(())) = self.feed.poll_next(&mut cx, &mut self.entries) {
            self.lost.extend(self.feed.take_lost());
        }
    }

    /// The outcomes that are known by now.
    pub(crate) fn outcomes(&mut self) -> Vec<(Sent, Outcome)> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut known = Vec::new();
        self.answers.retain_mut(|(sent, answer)| match answer.as_mut().poll(&mut cx) {
            Poll::Ready(outcomes) => {
                assert_eq!(outcomes.len(), sent.len());
                known.extend(std::mem::take(sent).into_iter().zip(outcomes));
                false
            }
            Poll::Pending => true,
        });
        known
    }

    pub(crate) fn is_waiting(&self) -> bool {
        !self.answers.is_empty()
    }

    /// Its entries: sequence, time, and data.
    pub(crate) fn texts(&self) -> Vec<(Sequence, Time, &str)> {
        self.entries
            .iter()
            .map(|entry| match &entry.content {
                Content::Event(event) => (entry.sequence, entry.time, event.data()),
                other => panic!("{other:?}"),
            })
            .collect()
    }
}

impl Sent {
    pub(crate) fn new(data: impl Into<String>, key: Option<&str>) -> Self {
        Self { data: data.into(), key: key.map(str::to_owned) }
    }

    fn submission(&self) -> Submission {
        let mut draft = Draft::new(Topic::new("a").unwrap(), Event::new(self.data.clone()));
        if let Some(key) = &self.key {
            draft = draft.with_idempotency_key(IdempotencyKey::new(key).unwrap());
        }
        Submission::Event(draft)
    }
}

/// When the store takes the message at a place.
pub(crate) fn at(place: u64) -> Time {
    Time::from_unix_millis(1_800_000_000_000 + place)
}

pub(crate) fn later(now: Now, millis: u64) -> Now {
    now + Duration::from_millis(millis)
}

//! The queue: from publishers to groups, and back with their outcomes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use slab::Slab;

use super::message::{self, EMPTY_BYTES};
use super::opening::SharedConfig;
use super::place::ENTRIES_MAX;
use super::reading::{Own, Reading};
use crate::cursor::Sequence;
use crate::draft::IdempotencyKey;
use crate::journal::disk::shared::{Answered, Giver, answer};
use crate::journal::{Committing, NotCommitted, Outcome, Submission};
use crate::time::{Now, Time};

/// Submissions of this hub on their way to the store and back.
pub(super) struct Queue {
    writer: u64,
    newest_group: u64,
    message_bytes_max: usize,
    bytes_max: usize,
    waiting: VecDeque<Item>,
    bytes: usize,
    requests: Slab<Request>,
    /// The group that is being sent.
    under_way: Option<Sent>,
    /// Groups that the store has, and that this hub has not read back.
    acknowledged: VecDeque<(Sent, u64)>,
}

/// A group of submissions, as one message of the store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Group {
    /// Its number among those of this writer.
    pub number: u64,
    /// Identifies it among all groups, so that the store can recognize a repetition.
    pub id: String,
    /// The message.
    pub message: Vec<u8>,
}

struct Item {
    place: Place,
    submission: Submission,
    at: Instant,
    time: Time,
    bytes: usize,
}

/// A submission's place among those of its request.
#[derive(Clone, Copy)]
struct Place {
    request: usize,
    index: usize,
}

/// Submissions that one publisher made together.
struct Request {
    giver: Giver<Vec<Outcome>>,
    outcomes: Vec<Outcome>,
    left: usize,
}

struct Sent {
    number: u64,
    at: Instant,
    /// One for each record; empty once the publishers have been answered.
    places: Vec<Place>,
}

/// How long a submission waits while the store does not answer: the election of a leader takes about a second.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// How long a group's publishers wait for the store to say whether it has the group.
const UNKNOWN_AFTER: Duration = Duration::from_secs(5);
/// How long a group is sent again. A store must recognize a repeated group for longer than that.
pub const SENT_FOR: Duration = Duration::from_secs(60);
/// Groups that the store has and that have not been read back, at most: more wait for the reader.
const ACKNOWLEDGED_MAX: usize = 64;

impl Queue {
    pub(super) fn new(config: &SharedConfig) -> Self {
        Self {
            writer: config.writer,
            newest_group: 0,
            message_bytes_max: config.message_bytes_max,
            bytes_max: config.queue_bytes_max,
            waiting: VecDeque::new(),
            bytes: 0,
            requests: Slab::new(),
            under_way: None,
            acknowledged: VecDeque::new(),
        }
    }

    pub(super) fn writer(&self) -> u64 {
        self.writer
    }

    pub(super) fn submit(
        &mut self,
        batch: &mut dyn Iterator<Item = Submission>,
        now: Now,
        find_key: impl Fn(&IdempotencyKey) -> Option<Sequence>,
    ) -> Committing {
        let mut outcomes = Vec::with_capacity(batch.size_hint().0);
        let mut items = Vec::new();
        let is_full = self.bytes >= self.bytes_max;
        for submission in batch {
            let bytes = bytes_max_of(&submission);
            let first = key_of(&submission).and_then(&find_key);
            outcomes.push(if let Some(first) = first {
                Outcome::Duplicate(first)
            } else if EMPTY_BYTES + bytes > self.message_bytes_max {
                Outcome::NotCommitted(NotCommitted::TooLarge)
            } else if is_full {
                Outcome::NotCommitted(NotCommitted::Busy)
            } else {
                let place = Place { request: 0, index: outcomes.len() };
                items.push(Item { place, submission, at: now.instant, time: now.time, bytes });
                Outcome::Unknown
            });
        }
        if items.is_empty() {
            return Committing::All(outcomes);
        }
        let (giver, answer) = answer();
        let (count, left) = (outcomes.len(), items.len());
        let request = self.requests.insert(Request { giver, outcomes, left });
        for mut item in items {
            item.place.request = request;
            self.bytes += item.bytes;
            self.waiting.push_back(item);
        }
        Committing::Waiting(Box::pin(async move {
            answer.await.unwrap_or_else(|| vec![Outcome::Unknown; count])
        }))
    }

    /// Takes what waits into a group, unless one is under way. An event whose key has been read meanwhile is
    /// a duplicate, and not written: readers look for its first use only in what this hub has not read.
    pub(super) fn next_group(
        &mut self,
        reading: &Reading,
        now: Instant,
        answered: &mut Answered,
    ) -> Option<Group> {
        if self.under_way.is_some()
            || self.waiting.is_empty()
            || self.acknowledged.len() >= ACKNOWLEDGED_MAX
        {
            return None;
        }
        let (mut records, mut places) = (Vec::new(), Vec::new());
        while let Some(item) = self.waiting.front()
            && places.len() < ENTRIES_MAX
            && (EMPTY_BYTES + records.len() + item.bytes <= self.message_bytes_max)
            && let Some(item) = self.waiting.pop_front()
        {
            self.bytes -= item.bytes;
            if let Some(first) = key_of(&item.submission).and_then(|key| reading.find_key(key)) {
                self.settle(vec![item.place], |_| Outcome::Duplicate(first), answered);
                continue;
            }
            message::put_record(&mut records, places.len(), item.time, &item.submission);
            places.push(item.place);
        }
        if places.is_empty() {
            return None;
        }
        self.newest_group += 1;
        let number = self.newest_group;
        let header = reading.header(self.writer, number);
        let message = message::encode(&header, places.len(), &records);
        self.under_way = Some(Sent { number, at: now, places });
        Some(Group { number, id: format!("{:016x}-{number}", self.writer), message })
    }

    /// A message without records.
    pub(super) fn marker(&self, reading: &Reading) -> Vec<u8> {
        message::encode(&reading.header(self.writer, 0), 0, &[])
    }

    /// Returns whether a group is being sent.
    pub(super) fn is_under_way(&self, group: u64) -> bool {
        self.under_way.as_ref().is_some_and(|sent| sent.number == group)
    }

    /// Notes that the store has a group at a place. Everything up to `through` has been read.
    pub(super) fn acknowledged(
        &mut self,
        group: u64,
        (place, through): (u64, u64),
        answered: &mut Answered,
    ) {
        let Some(sent) = self.under_way.take_if(|sent| sent.number == group) else { return };
        if place > through {
            self.acknowledged.push_back((sent, place));
        } else {
            // It was read, and not recognized: the store had lost it in between, or another one is there.
            self.settle(sent.places, |_| Outcome::Unknown, answered);
        }
    }

    pub(super) fn refused(&mut self, group: u64, why: NotCommitted, answered: &mut Answered) {
        if let Some(sent) = self.under_way.take_if(|sent| sent.number == group) {
            self.settle(sent.places, |_| Outcome::NotCommitted(why), answered);
        }
    }

    /// Notes that everything up to a place has been read, and a group of this hub with it.
    pub(super) fn note_read(&mut self, own: Option<&Own>, through: u64, answered: &mut Answered) {
        if let Some(own) = own {
            let sent = self.under_way.take_if(|sent| sent.number == own.group).or_else(|| {
                let at = self.acknowledged.iter().position(|(sent, _)| sent.number == own.group)?;
                self.acknowledged.remove(at).map(|(sent, _)| sent)
            });
            let outcome = |at| own.outcomes.get(at).copied().unwrap_or(Outcome::Unknown);
            self.settle(sent.map(|sent| sent.places).unwrap_or_default(), outcome, answered);
        }
        while let Some((_, place)) = self.acknowledged.front()
            && *place <= through
            && let Some((sent, _)) = self.acknowledged.pop_front()
        {
            self.settle(sent.places, |_| Outcome::Unknown, answered);
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, answered: &mut Answered) {
        let is_over = |at: Instant, wait| now.saturating_duration_since(at) >= wait;
        let mut unknown = Vec::new();
        let acknowledged = self.acknowledged.iter_mut().map(|(sent, _)| sent);
        for sent in acknowledged.chain(&mut self.under_way) {
            if is_over(sent.at, UNKNOWN_AFTER) {
                unknown.append(&mut sent.places);
            }
        }
        self.settle(unknown, |_| Outcome::Unknown, answered);
        self.under_way.take_if(|sent| is_over(sent.at, SENT_FOR));
        if self.under_way.as_ref().is_none_or(|sent| is_over(sent.at, WAIT_MAX)) {
            while let Some(item) = self.waiting.front()
                && is_over(item.at, WAIT_MAX)
                && let Some(item) = self.waiting.pop_front()
            {
                self.bytes -= item.bytes;
                let outcome = Outcome::NotCommitted(NotCommitted::Unreachable);
                self.settle(vec![item.place], |_| outcome, answered);
            }
        }
    }

    /// Answers everybody: nothing is written from now on.
    pub(super) fn stop(&mut self, answered: &mut Answered) {
        let waiting: Vec<_> = self.waiting.drain(..).map(|item| item.place).collect();
        self.bytes = 0;
        self.settle(waiting, |_| Outcome::NotCommitted(NotCommitted::Stopped), answered);
        let sent = self.acknowledged.drain(..).map(|(sent, _)| sent).chain(self.under_way.take());
        let unknown: Vec<_> = sent.flat_map(|sent| sent.places).collect();
        self.settle(unknown, |_| Outcome::Unknown, answered);
    }

    /// Notes outcomes. Requests that have all of theirs are answered once the log is unlocked.
    fn settle(
        &mut self,
        places: Vec<Place>,
        outcome: impl Fn(usize) -> Outcome,
        answered: &mut Answered,
    ) {
        for (at, place) in places.into_iter().enumerate() {
            let Some(request) = self.requests.get_mut(place.request) else { continue };
            request.outcomes[place.index] = outcome(at);
            request.left -= 1;
            if request.left == 0 {
                let Request { giver, outcomes, .. } = self.requests.remove(place.request);
                answered.push((giver, outcomes));
            }
        }
    }
}

fn key_of(submission: &Submission) -> Option<&IdempotencyKey> {
    match submission {
        Submission::Event(draft) => draft.idempotency.as_ref(),
        Submission::Close(_) | Submission::Stream(..) => None,
    }
}

/// The size that the record of a submission has at most.
fn bytes_max_of(submission: &Submission) -> usize {
    /// The header, the kind, the flags, and numbers of at most ten bytes.
    const FIXED: usize = 80;
    /// The length of a text.
    const LENGTH: usize = 5;
    match submission {
        Submission::Event(draft) => {
            let event = &draft.event;
            let topics = draft.topics.as_slice().iter();
            let topics: usize = topics.map(|topic| topic.as_str().len() + LENGTH).sum();
            let id = event.id().map_or(0, |id| id.as_str().len());
            let key = draft.idempotency.as_ref().map_or(0, |key| key.text().len());
            let via = draft.via.as_ref().map_or(0, |via| via.as_str().len());
            FIXED + topics + id + event.event_type().as_str().len() + key + via + event.data().len()
        }
        Submission::Close(topic) => FIXED + topic.as_str().len(),
        Submission::Stream(..) => {
            let mut record = Vec::new();
            message::put_record(&mut record, 0, Time::default(), submission);
            FIXED + record.len()
        }
    }
}

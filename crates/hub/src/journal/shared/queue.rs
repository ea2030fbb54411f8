//! The queue: from publishers to groups, and back with their outcomes.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use slab::Slab;

use super::message::{self, EMPTY_BYTES};
use super::opening::SharedConfig;
use super::place::ENTRIES_MAX;
use super::reading::{Own, Reading};
use super::submitted::{bytes_max_of, is_append, is_repeat, is_together, key_of, topics_of};
use crate::cursor::Sequence;
use crate::draft::IdempotencyKey;
use crate::journal::disk::shared::{Answered, Giver, answer};
use crate::journal::{Committing, NotCommitted, Outcome, Submission};
use crate::streams::{Ask, Order, StreamMark};
use crate::time::{Now, Time};
use crate::topic::Topic;

/// Submissions of this hub on their way to the store and back.
pub(super) struct Queue {
    writer: u64,
    newest_group: u64,
    message_bytes_max: usize,
    group_bytes_max: usize,
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

/// The size that the record of a stream's state has at most, for a short topic: an ID, two keys, and numbers.
const STATE_BYTES_MAX: usize = 1_000;
/// The size of the message of a group: what is one request may be in a larger one.
const GROUP_BYTES_MAX: usize = 1 << 20;
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
            group_bytes_max: config.message_bytes_max.min(GROUP_BYTES_MAX),
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
        let mut batch = batch.peekable();
        if batch.peek().is_some_and(is_append) {
            return self.submit_append(batch.collect(), now, find_key);
        }
        let mut outcomes = Vec::with_capacity(batch.size_hint().0);
        let mut items = Vec::new();
        let is_full = self.bytes >= self.bytes_max;
        for submission in batch {
            let bytes = bytes_max_of(&submission);
            let first = key_of(&submission).and_then(&find_key);
            outcomes.push(if let Some(first) = first {
                Outcome::Duplicate(first)
            } else if is_repeat(&submission) {
                Outcome::NotCommitted(NotCommitted::Unseen)
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
        // Those that are published together are in one message, so that all of them are there or none.
        let too_large = Outcome::NotCommitted(NotCommitted::TooLarge);
        let is_together = items.first().is_some_and(|item| is_together(&item.submission));
        if is_together && (outcomes.contains(&too_large) || !self.fits(&items)) {
            return Committing::All(vec![too_large; outcomes.len()]);
        }
        self.enqueue(outcomes, items)
    }

    /// Returns whether some events fit in one message, as far as it is known before the message is made.
    fn fits(&self, items: &[Item]) -> bool {
        let announced = if items.len() > 1 { whole_bytes_max(&items[0]) } else { 0 };
        let bytes = items.iter().map(|item| item.bytes).sum::<usize>() + announced;
        EMPTY_BYTES + bytes <= self.message_bytes_max && items.len() < ENTRIES_MAX
    }

    /// Submits a request to a stream with all that belongs to it: it is in one message, and so it is done or not.
    fn submit_append(
        &mut self,
        unit: Vec<Submission>,
        now: Now,
        find_key: impl Fn(&IdempotencyKey) -> Option<Sequence>,
    ) -> Committing {
        let sizes: Vec<_> = unit.iter().map(bytes_max_of).collect();
        let bytes = EMPTY_BYTES + STATE_BYTES_MAX + sizes.iter().sum::<usize>();
        let is_too_large = bytes > self.message_bytes_max || unit.len() >= ENTRIES_MAX;
        if is_too_large || self.bytes >= self.bytes_max {
            let why = if is_too_large { NotCommitted::TooLarge } else { NotCommitted::Busy };
            return Committing::All(vec![Outcome::NotCommitted(why); unit.len()]);
        }
        let (mut outcomes, mut items) = (Vec::with_capacity(unit.len()), Vec::new());
        for (submission, bytes) in unit.into_iter().zip(sizes) {
            let first = key_of(&submission).and_then(&find_key);
            if first.is_none() {
                let place = Place { request: 0, index: outcomes.len() };
                items.push(Item { place, submission, at: now.instant, time: now.time, bytes });
            }
            outcomes.push(first.map_or(Outcome::Unknown, Outcome::Duplicate));
        }
        self.enqueue(outcomes, items)
    }

    /// Puts the items of a request into the queue. The outcomes of the others are known.
    fn enqueue(&mut self, outcomes: Vec<Outcome>, items: Vec<Item>) -> Committing {
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
        let mut filling = Filling::default();
        while let Some(front) = self.waiting.front() {
            let is_one = is_append(&front.submission) || is_together(&front.submission);
            let items = if is_one { self.items_of(front.place.request) } else { 1 };
            let announced = if items > 1 { whole_bytes_max(front) } else { 0 };
            let waiting = || self.waiting.iter().take(items);
            let states = filling.states(waiting().map(|item| &item.submission), reading.order());
            let bytes = waiting().map(|item| item.bytes).sum::<usize>();
            let bytes = bytes + announced + states.records.len();
            let bytes_max = match filling.places.is_empty() {
                true => self.message_bytes_max,
                false => self.group_bytes_max,
            };
            let places = filling.places.len() + usize::from(items > 1) + states.places.len();
            let is_within = EMPTY_BYTES + filling.records.len() + bytes <= bytes_max
                && places + items <= ENTRIES_MAX;
            if is_within {
                filling.append(states);
                self.fill(&mut filling, items, reading, answered);
            } else if filling.places.is_empty() {
                let places = self.take_front(items);
                let outcome = Outcome::NotCommitted(NotCommitted::TooLarge);
                self.settle(places, |_| outcome, answered);
            } else {
                break;
            }
        }
        let Filling { records, places, .. } = filling;
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

    /// Moves items to a group.
    fn fill(
        &mut self,
        filling: &mut Filling,
        items: usize,
        reading: &Reading,
        answered: &mut Answered,
    ) {
        let first_use =
            |item: &Item| key_of(&item.submission).and_then(|key| reading.find_key(key));
        let mut parts = 0;
        if items > 1 {
            let waiting = self.waiting.iter().take(items);
            parts = waiting.filter(|it| first_use(it).is_none()).count();
            if parts > 1 && is_together(&self.waiting[0].submission) {
                filling.announce(parts, &self.waiting[0]);
            }
        }
        for _ in 0..items {
            let Some(mut item) = self.waiting.pop_front() else { break };
            self.bytes -= item.bytes;
            if let Some(first) = first_use(&item) {
                self.settle(vec![item.place], |_| Outcome::Duplicate(first), answered);
                continue;
            }
            if let Submission::Stream(_, StreamMark::Ask(ask)) = &mut item.submission
                && let Ask::Append(_, count) = &mut **ask
            {
                *count = parts.saturating_sub(1) as u32;
            }
            let at = filling.places.len();
            message::put_record(&mut filling.records, at, item.time, &item.submission);
            filling.places.push(item.place);
        }
    }

    /// The number of items at the front that are of one request.
    fn items_of(&self, request: usize) -> usize {
        self.waiting.iter().take_while(|item| item.place.request == request).count()
    }

    fn take_front(&mut self, items: usize) -> Vec<Place> {
        let taken: Vec<_> = self.waiting.drain(..items).collect();
        self.bytes -= taken.iter().map(|item| item.bytes).sum::<usize>();
        taken.into_iter().map(|item| item.place).collect()
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

/// A group that is being filled.
#[derive(Default)]
struct Filling {
    records: Vec<u8>,
    places: Vec<Place>,
    /// The topics whose state is in it.
    told: HashSet<Topic>,
}

impl Filling {
    /// The states of the streams that submissions are about, as far as they are not in the group.
    fn states<'a>(&self, submissions: impl Iterator<Item = &'a Submission>, order: &Order) -> Self {
        let mut states = Self::default();
        if order.is_empty() {
            return states;
        }
        for topic in submissions.flat_map(topics_of) {
            let Some(state) = order.state(topic) else { continue };
            if self.told.contains(topic) || !states.told.insert(topic.clone()) {
                continue;
            }
            let mark = StreamMark::State(Box::new(state.clone()));
            let at = self.places.len() + states.places.len();
            let submission = Submission::Stream(topic.clone(), mark);
            message::put_record(&mut states.records, at, Time::default(), &submission);
            states.places.push(Place::NOBODY);
        }
        states
    }

    /// Says that so many records which follow are one request.
    fn announce(&mut self, events: usize, first: &Item) {
        let Some(topic) = topics_of(&first.submission).first() else { return };
        let mark = StreamMark::Whole(u32::try_from(events).unwrap_or(u32::MAX));
        let submission = Submission::Stream(topic.clone(), mark);
        message::put_record(&mut self.records, self.places.len(), first.time, &submission);
        self.places.push(Place::NOBODY);
    }

    fn append(&mut self, mut states: Self) {
        self.records.append(&mut states.records);
        self.places.append(&mut states.places);
        self.told.extend(states.told);
    }
}

impl Place {
    /// The place of a record that nobody has submitted.
    const NOBODY: Self = Self { request: usize::MAX, index: 0 };
}

/// The size that the record has at most which says that an event and those that follow are one request.
fn whole_bytes_max(first: &Item) -> usize {
    const FIXED: usize = 80;
    FIXED + topics_of(&first.submission).first().map_or(0, |topic| topic.as_str().len())
}

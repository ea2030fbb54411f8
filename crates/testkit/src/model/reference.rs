//! A history that keeps everything.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound::{Excluded, Included};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tidings_hub::{Cursor, Epoch, Found, Hub, Start, Topic, TopicInfo, TopicLimits, View};

use crate::waker::Flag;

/// One published event.
#[derive(Debug)]
pub struct Known {
    /// Its topics, the canonical one first.
    pub topics: Vec<Topic>,
    /// The ID that its readers see.
    pub id: String,
    /// Its data.
    pub data: String,
    /// The topics that still hold it, as the hub says.
    pub held: Vec<bool>,
    /// The topics that let go of it because a newer event stands for it.
    pub superseded: Vec<bool>,
    /// Whether a topic let go of it because it was beyond a limit, on a journal that keeps its entries.
    pub is_beyond: bool,
    /// Whether it is the end of its topic's stream.
    pub is_end: bool,
    /// The time by the schedule's clock when it was committed.
    pub at: Duration,
}

/// Bytes that an entry counts with in a limit, beside its text.
const ENTRY_BYTES: usize = 64;

impl Known {
    /// The data that readers are sent: those of exactly its topic are not told the topic of an end.
    pub(super) fn data_for(&self, is_of_one: bool) -> String {
        match self.data.split_once(r#","topic":"#).filter(|_| self.is_end && is_of_one) {
            Some((data, _)) => format!("{data}}}"),
            None => self.data.clone(),
        }
    }

    /// Bytes that it counts with in a limit; an event of a schedule with limits has no type and no ID.
    fn size(&self) -> usize {
        let names = self.topics.iter().map(|topic| topic.as_str().len()).sum::<usize>();
        ENTRY_BYTES + names + self.data.len()
    }
}

/// Everything ever published, and the ends of topics.
#[derive(Debug)]
pub struct Reference {
    /// The hub's epoch.
    pub epoch: Epoch,
    /// All events, by sequence.
    pub events: BTreeMap<u64, Known>,
    /// The ends of topics' streams, by sequence.
    pub ends: BTreeMap<u64, Topic>,
    /// The ends of the streams within topics, by sequence; those that are told are events as well.
    pub stream_ends: BTreeMap<u64, Topic>,
    /// Other entries that belong to the streams within topics, and their ends.
    marks: BTreeMap<u64, Topic>,
    /// The newest sequence in the hub's history.
    pub tail: u64,
    /// The newest sequence that was committed. The journal's feed may be behind it.
    pub committed: u64,
    /// The place up to which the journal has dropped everything.
    pub floor: u64,
    /// How often a topic has let go of an event.
    pub evictions: u64,
    /// The events of each ID, in order.
    by_id: HashMap<String, Vec<u64>>,
    /// The hub's topics at the last look.
    seen: Vec<TopicInfo>,
    /// The newest event at the last look.
    seen_through: u64,
    /// The schedule's clock.
    pub now: Duration,
    /// The limits of topics that have a rule.
    limits: HashMap<Topic, TopicLimits>,
    /// Whether the hub is asked what it holds, because it evicts what no journal keeps.
    is_observed: bool,
    /// Whether the hub forgets topics that hold nothing, because it has little room.
    pub(super) may_forget: bool,
    /// The newest loss of the topics that the hub may have forgotten. One number stands for all of them, so that a
    /// topic which the hub does not know counts as having lost as much.
    pub(super) forgotten: u64,
}

impl Reference {
    /// Creates the reference of a hub in which nothing has been published.
    #[must_use]
    pub fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            events: BTreeMap::new(),
            ends: BTreeMap::new(),
            stream_ends: BTreeMap::new(),
            marks: BTreeMap::new(),
            tail: 0,
            committed: 0,
            floor: 0,
            evictions: 0,
            by_id: HashMap::new(),
            seen: Vec::new(),
            seen_through: 0,
            now: Duration::ZERO,
            limits: HashMap::new(),
            is_observed: false,
            may_forget: false,
            forgotten: 0,
        }
    }

    /// Forgets the limits of topics.
    pub(super) fn clear_limits(&mut self) {
        self.limits.clear();
    }

    /// Notes the limits of a topic that has a rule.
    pub fn limit(&mut self, topic: Topic, limits: TopicLimits) {
        self.limits.insert(topic, limits);
    }

    fn is_latest_only(&self, topic: &Topic) -> bool {
        self.limits.get(topic).is_some_and(|limits| limits.latest_only)
    }

    /// Takes in an event that was committed next.
    pub fn publish(&mut self, sequence: u64, event: Known) {
        assert!(sequence > self.committed);
        self.committed = sequence;
        self.by_id.entry(event.id.clone()).or_default().push(sequence);
        self.events.insert(sequence, event);
    }

    /// Takes in an end of a topic's streams.
    pub fn end(&mut self, sequence: u64, topic: Topic) {
        assert!(sequence > self.committed);
        self.committed = sequence;
        self.ends.insert(sequence, topic);
    }

    /// Takes in a mark of a topic's stream that is no event.
    pub fn mark(&mut self, sequence: u64, topic: Topic) {
        assert!(sequence > self.committed);
        self.committed = sequence;
        self.marks.insert(sequence, topic);
    }

    /// Takes in the end of the stream within a topic: an event if it is told.
    pub fn end_stream(&mut self, sequence: u64, topic: Topic, told: Option<Known>) {
        self.stream_ends.insert(sequence, topic.clone());
        match told {
            Some(event) => self.publish(sequence, event),
            None => self.mark(sequence, topic),
        }
    }

    /// Returns whether a stream within a topic has ended there, and its readers are sent nothing of that.
    pub(super) fn is_silent_end(&self, end: u64) -> bool {
        self.stream_ends.contains_key(&end) && !self.events.contains_key(&end)
    }

    /// Returns whether an end is surely held, by which readers' streams end, or known without that.
    pub(super) fn holds_end(&self, end: u64) -> bool {
        if self.ends.contains_key(&end) && !self.may_forget {
            return true;
        }
        match self.events.get(&end) {
            Some(event) => event.held[0],
            // Topics let go of their oldest entries first.
            None => {
                let topic = self.stream_ends.get(&end).unwrap_or_else(|| &self.ends[&end]);
                let is_held = |event: &Known| {
                    let mut topics = event.topics.iter().zip(&event.held);
                    topics.any(|(other, held)| *held && other == topic)
                };
                let is_let_go = |event: &Known| event.topics.contains(topic) && !is_held(event);
                match self.is_observed {
                    true => self.events.range(..end).any(|(_, event)| is_held(event)),
                    false => !self.events.range(end..).any(|(_, event)| is_let_go(event)),
                }
            }
        }
    }

    /// The events of the hub's history after a place.
    pub(super) fn after(&self, place: u64) -> impl Iterator<Item = (&u64, &Known)> {
        self.events.range((Excluded(place), Included(place.max(self.tail))))
    }

    /// Takes in that the journal has dropped everything up to a place.
    pub fn evict_through(&mut self, place: u64) {
        self.floor = place;
        for (_, event) in self.events.range_mut(..=place) {
            self.evictions += event.held.iter().filter(|held| **held).count() as u64;
            event.held.fill(false);
        }
    }

    /// Takes in that the feed has handed over everything up to a place, or that time has gone on, where the reference does
    /// not ask the hub what it holds. Returns how many events topics have let go of because they are beyond a limit.
    pub fn feed(&mut self, through: u64) -> u64 {
        self.tail = self.tail.max(through);
        let limits = std::mem::take(&mut self.limits);
        let beyond = limits.iter().map(|(topic, limits)| self.hold_within(topic, limits)).sum();
        self.limits = limits;
        beyond
    }

    /// Lets a topic let go of what is beyond its limits.
    fn hold_within(&mut self, topic: &Topic, limits: &TopicLimits) -> u64 {
        let is_of_topic = |topics: &[Topic]| topics.contains(topic);
        let ends = self.ends.range(..=self.tail).chain(self.marks.range(..=self.tail));
        let ends = ends.filter(|(_, ended)| *ended == topic);
        let mut entries: Vec<(u64, bool)> = ends.map(|(sequence, _)| (*sequence, true)).collect();
        let events = self.events.range(..=self.tail).filter(|(_, e)| is_of_topic(&e.topics));
        entries.extend(events.map(|(sequence, event)| (*sequence, event.is_end)));
        entries.sort_unstable();
        let (mut newer, mut has_evicted, mut bytes, mut evicted) = (0, false, 0, 0);
        for (sequence, is_end) in entries.into_iter().rev() {
            if is_end {
                // It goes with the events after it.
                if has_evicted && let Some(event) = self.events.get_mut(&sequence) {
                    event.is_beyond |= event.held.contains(&true);
                    event.held.fill(false);
                }
                continue;
            }
            let event = self.events.get_mut(&sequence).expect("it is one of them");
            bytes += event.size();
            let at = event.topics.iter().position(|other| other == topic).expect("it is its own");
            let is_beyond = limits.events_max.is_some_and(|max| newer >= max.get())
                || limits.bytes_max.is_some_and(|max| newer > 0 && bytes > max.get())
                || limits.age_max.is_some_and(|max| event.at + max < self.now);
            let is_superseded = limits.latest_only && newer > 0;
            newer += 1;
            if event.held[at] && (is_superseded || is_beyond) {
                (event.held[at], event.superseded[at]) = (false, is_superseded);
                event.is_beyond |= !is_superseded;
                evicted += u64::from(!is_superseded);
            }
            has_evicted |= !event.held[at] && !event.superseded[at];
        }
        evicted
    }

    /// Returns whether a topic has a newer event than this one, and its readers that are behind skip all but the
    /// newest. A topic with `latest` may have let go of it by an earlier limit.
    pub(super) fn is_skipped(&self, topic: &Topic, sequence: u64) -> bool {
        let mut newer = self.after(sequence);
        let limits = self.limits.get(topic);
        limits.is_some_and(|limits| limits.conflate || limits.latest_only)
            && newer.any(|(_, event)| event.topics.contains(topic))
    }

    /// Asks the hub which events it still holds for each topic, and checks that what it holds of a
    /// topic are the newest.
    pub fn observe(&mut self, hub: &Hub, topics: &[Topic]) {
        self.is_observed = true;
        let infos = hub.topics(None, usize::MAX);
        let info = |infos: &[TopicInfo], topic: &Topic| {
            infos.iter().find(|info| info.topic == *topic).cloned()
        };
        for topic in topics {
            // A topic may have been given events and let go of all of them since.
            let mut new = self.events.range(self.seen_through + 1..);
            let is_given = new.any(|(_, event)| event.topics.contains(topic));
            // The hub does not count the ends of streams, which are let go of like events.
            let has_streams = self.stream_ends.values().any(|ended| ended == topic);
            if !is_given && !has_streams && info(&infos, topic) == info(&self.seen, topic) {
                continue;
            }
            let mut held = held_of(hub, topic);
            if self.limits.get(topic).is_some_and(|limits| limits.conflate) {
                // The page skips those that are not the newest.
                let mut of_topic = self.events.iter().rev();
                let of_topic =
                    of_topic.by_ref().filter(|(_, e)| e.topics.contains(topic) && !e.is_end);
                let count = info(&infos, topic).map_or(0, |info| info.events);
                held = of_topic.take(count).map(|(sequence, _)| *sequence).collect();
            }
            let is_latest_only = self.is_latest_only(topic);
            let (mut newest, mut has_newer) = (true, false);
            for (sequence, event) in self.events.iter_mut().rev() {
                let Some(at) = event.topics.iter().position(|other| other == topic) else {
                    continue;
                };
                let is_held = held.contains(sequence);
                assert!(newest || !is_held, "{topic} holds {sequence} and not all after it");
                assert!(event.held[at] || !is_held, "{topic} holds {sequence} again");
                newest &= is_held;
                let is_let_go = event.held[at] && !is_held;
                self.evictions += u64::from(is_let_go);
                event.superseded[at] |= is_let_go && is_latest_only && has_newer;
                event.held[at] = is_held;
                has_newer |= !event.is_end;
            }
        }
        self.seen = infos;
        self.seen_through = self.tail;
        if self.may_forget {
            let lost = topics.iter().map(|topic| self.lost_if_forgotten(topic)).max();
            self.forgotten = self.forgotten.max(lost.unwrap_or_default());
        }
    }

    /// The newest event that a topic has lost, if it holds no others: only then may the hub have forgotten it.
    fn lost_if_forgotten(&self, topic: &Topic) -> u64 {
        let mut lost = 0;
        for (sequence, event) in &self.events {
            match event.topics.iter().position(|other| other == topic) {
                Some(at) if event.held[at] => return 0,
                Some(at) if !event.superseded[at] => lost = *sequence,
                _ => {}
            }
        }
        lost
    }

    /// Data is random, so that it tells two events of the same publisher-given ID apart.
    pub fn sequence_of(&self, id: &str, data: &str) -> u64 {
        let mut same_id = self.by_id.get(id).into_iter().flatten();
        let is_it = |sequence: &&u64| {
            let event = &self.events[*sequence];
            event.data == data || event.data_for(true) == data
        };
        *same_id.find(is_it).expect("it was published")
    }

    /// Where the hub finds a last event ID: what it spells, or the earliest event of that ID that a topic
    /// of the view holds.
    pub(super) fn locate(&self, id: &str, view: &View) -> Option<u64> {
        match Cursor::parse(id).filter(|cursor| cursor.epoch == self.epoch) {
            Some(cursor) => Some(cursor.sequence.get()).filter(|s| *s <= self.committed),
            None => {
                let held = |sequence: &u64| {
                    let event = &self.events[sequence];
                    let mut topics = event.topics.iter().zip(&event.held);
                    topics.any(|(topic, held)| *held && view.matches(topic.as_str()))
                };
                self.by_id.get(id)?.iter().copied().find(held)
            }
        }
    }
}

/// The entries that a hub in memory holds of a topic: its events, and the ends of its streams that are told.
fn held_of(hub: &Hub, topic: &Topic) -> BTreeSet<u64> {
    let mut held = BTreeSet::new();
    let mut reader = hub.subscribe(topic.clone(), Start::Oldest).past_closes();
    let (flag, waker) = Flag::new();
    loop {
        match pin!(reader.next()).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(Some(Found::Event(found))) => held.insert(found.sequence.get()),
            Poll::Ready(found) => panic!("everything held is no gap: {found:?}"),
            // It looks on after a while.
            Poll::Pending if flag.take() => continue,
            Poll::Pending => return held,
        };
    }
}

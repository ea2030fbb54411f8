//! A history that keeps everything, and what it expects of every reader.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound::{Excluded, Included};

use tidings_hub::{Cursor, Epoch, Gap, Hub, Sequence, Start, Topic, TopicInfo, View};

use crate::stepped::ready;

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
    /// The topics that hold their newest event alone.
    latest_only: BTreeSet<Topic>,
}

impl Reference {
    /// Creates the reference of a hub in which nothing has been published.
    #[must_use]
    pub fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            events: BTreeMap::new(),
            ends: BTreeMap::new(),
            tail: 0,
            committed: 0,
            floor: 0,
            evictions: 0,
            by_id: HashMap::new(),
            seen: Vec::new(),
            seen_through: 0,
            latest_only: BTreeSet::new(),
        }
    }

    /// Notes a topic that holds its newest event alone.
    pub fn hold_latest_only(&mut self, topic: Topic) {
        self.latest_only.insert(topic);
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

    /// The events of the hub's history after a place.
    fn after(&self, place: u64) -> impl Iterator<Item = (&u64, &Known)> {
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

    /// Takes in that the feed has handed over everything up to a place, where the reference does not ask the hub
    /// what it holds.
    pub fn feed(&mut self, through: u64) {
        self.tail = self.tail.max(through);
        for topic in &self.latest_only {
            let mut has_newer = false;
            for (_, event) in self.events.range_mut(..=self.tail).rev() {
                let Some(at) = event.topics.iter().position(|other| other == topic) else {
                    continue;
                };
                if has_newer && event.held[at] {
                    (event.held[at], event.superseded[at]) = (false, true);
                }
                has_newer = true;
            }
        }
    }

    /// Asks the hub which events it still holds for each topic, and checks that what it holds of a
    /// topic are the newest.
    pub fn observe(&mut self, hub: &Hub, topics: &[Topic]) {
        let infos = hub.topics(None, usize::MAX);
        let info = |infos: &[TopicInfo], topic: &Topic| {
            infos.iter().find(|info| info.topic == *topic).cloned()
        };
        for topic in topics {
            // A topic may have been given events and let go of all of them since.
            let mut new = self.events.range(self.seen_through + 1..);
            let is_given = new.any(|(_, event)| event.topics.contains(topic));
            if !is_given && info(&infos, topic) == info(&self.seen, topic) {
                continue;
            }
            let page = ready(hub.page(topic.clone(), Start::Oldest, usize::MAX));
            let held: BTreeSet<u64> = page.events.iter().map(|e| e.sequence.get()).collect();
            let is_latest_only = self.latest_only.contains(topic);
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
                has_newer = true;
            }
            assert_eq!(page.gap, None, "everything held is no gap");
        }
        self.seen = infos;
        self.seen_through = self.tail;
    }

    /// Data is random, so that it tells two events of the same publisher-given ID apart.
    pub fn sequence_of(&self, id: &str, data: &str) -> u64 {
        let mut same_id = self.by_id.get(id).into_iter().flatten();
        *same_id.find(|sequence| self.events[*sequence].data == data).expect("it was published")
    }

    /// Where the hub finds a last event ID: what it spells, or the earliest event of that ID that a topic
    /// of the view holds.
    fn locate(&self, id: &str, view: &View) -> Option<u64> {
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

/// The expectations of one reader.
#[derive(Debug)]
pub struct Expectation {
    /// Its view.
    pub view: View,
    after: u64,
    /// Ends of the topic up to here were other streams'.
    joined: u64,
    /// Events that were told as lost.
    told: BTreeSet<u64>,
    /// The journal's floor when the latest gap was told.
    told_floor: u64,
    /// The place that was asked for and leads nowhere.
    lost_place: Option<String>,
    /// Whether its stream has ended.
    pub ended: bool,
    /// The ID a client would come back with.
    pub last_id: String,
}

impl Expectation {
    /// Creates the expectation of a reader that subscribes now.
    ///
    /// # Panics
    ///
    /// Never: every start is known.
    #[must_use]
    pub fn new(reference: &Reference, view: View, start: &Start) -> Self {
        let tail = reference.tail;
        let (after, joined, lost_place) = match start {
            Start::Tail => (tail, tail, None),
            Start::Oldest => (0, tail, None),
            Start::After(id) => match reference.locate(id, &view) {
                Some(after) => (after, after, None),
                // It is told cut to a length; all that is asked for here is ASCII.
                None => (0, tail, Some(id[..id.len().min(Gap::ASKED_BYTES_MAX)].to_owned())),
            },
            _ => unreachable!("there is no other start"),
        };
        let cursor = Cursor { epoch: reference.epoch, sequence: Sequence::new(after).unwrap() };
        let mut new = Self {
            view,
            after,
            joined,
            told: BTreeSet::new(),
            told_floor: 0,
            lost_place,
            ended: false,
            last_id: cursor.to_string(),
        };
        if matches!(start, Start::Oldest) || new.lost_place.is_some() {
            new.told = new.lost(reference);
            new.told_floor = reference.floor;
        }
        new
    }

    /// Makes it that of a reader that polls, and so has no stream to end.
    #[must_use]
    pub fn past_ends(mut self) -> Self {
        self.joined = u64::MAX - 1;
        self
    }

    /// The filters of the view that match an event: more than one must not double it.
    pub fn filters_matching(&self, event: &Known) -> usize {
        let matches = |filter: &&tidings_hub::TopicFilter| {
            event.topics.iter().any(|topic| filter.matches(topic.as_str()))
        };
        self.view.filters().iter().filter(matches).count()
    }

    fn wants(&self, event: &Known) -> bool {
        event.topics.iter().any(|topic| self.view.matches(topic.as_str()))
    }

    /// Returns whether a topic of the view holds the event.
    fn is_held(&self, event: &Known) -> bool {
        let mut topics = event.topics.iter().zip(&event.held);
        topics.any(|(topic, held)| *held && self.view.matches(topic.as_str()))
    }

    /// Returns whether the event is lost to the view: no topic of the view holds it, and one of them has
    /// no newer event that stands for it.
    fn is_lost(&self, event: &Known) -> bool {
        let mut superseded = event.topics.iter().zip(&event.superseded);
        !self.is_held(event)
            && superseded.any(|(topic, is)| !*is && self.view.matches(topic.as_str()))
    }

    /// Returns whether the reader may be sent nothing of the event: it has no part in it, or a newer one
    /// stands for it.
    fn may_miss(&self, event: &Known) -> bool {
        !self.is_held(event) && !self.is_lost(event)
    }

    fn lost(&self, reference: &Reference) -> BTreeSet<u64> {
        let after = reference.after(self.after);
        after.filter(|(_, event)| self.is_lost(event)).map(|(s, _)| *s).collect()
    }

    /// Returns whether there is something the reader has not been sent, or must be told.
    pub fn has_more(&self, reference: &Reference) -> bool {
        let mut after = reference.after(self.after);
        self.lost_place.is_some()
            || after.any(|(s, e)| !self.may_miss(e) && (self.is_held(e) || !self.told.contains(s)))
            || self.end(reference).is_some()
    }

    fn end(&self, reference: &Reference) -> Option<u64> {
        // An end that the journal has dropped need not be known any more.
        self.end_after(reference, reference.floor)
    }

    fn end_after(&self, reference: &Reference, place: u64) -> Option<u64> {
        let [filter] = self.view.filters() else { return None };
        let tidings_hub::TopicFilter::Exact(topic) = filter else { return None };
        let from = self.after.max(self.joined).max(place) + 1;
        let mut ends = reference.ends.range(from..).take_while(|(s, _)| **s <= reference.tail);
        ends.find(|(_, ended)| *ended == topic).map(|(s, _)| *s)
    }

    /// The reader was sent an event.
    pub fn event(&mut self, reference: &Reference, sequence: u64, id: &str, data: &str) {
        assert!(!self.ended, "{sequence} after the end");
        assert_eq!(self.lost_place, None, "{sequence} before the gap");
        assert!(sequence <= reference.tail, "{sequence} is not in the history");
        assert!(sequence > self.after, "{sequence} doubled or out of order, after {}", self.after);
        let event = &reference.events[&sequence];
        assert!(self.wants(event), "{sequence} misdelivered");
        assert_eq!((id, data), (&*event.id, &*event.data), "{sequence} differs");
        for (skipped, event) in reference.events.range(self.after + 1..sequence) {
            let may_skip = self.may_miss(event) || self.told.contains(skipped);
            assert!(may_skip, "{skipped} lost before {sequence} and not told: {event:?} {self:?}");
        }
        if let Some(end) = self.end(reference) {
            assert!(sequence < end, "{sequence} sent past the end at {end}: {self:?}");
        }
        self.after = sequence;
        self.last_id = id.to_owned();
    }

    /// The reader was told of a gap: what it had asked for, the oldest event that follows, and the
    /// place it is given.
    pub fn gap(&mut self, reference: &Reference, asked: &str, oldest: Option<&str>, place: Cursor) {
        assert!(!self.ended, "a gap after the end");
        let lost = self.lost(reference);
        match self.lost_place.take() {
            Some(expected) => assert_eq!(asked, expected),
            None => {
                // Of what a journal has dropped, it is not known in which topics it lay.
                let is_unknown = self.after < reference.floor && self.told_floor < reference.floor;
                let is_lost = is_unknown || !lost.is_subset(&self.told);
                assert!(is_lost, "a false gap: {self:?} lost {lost:?}");
            }
        }
        self.told.extend(lost);
        self.told_floor = reference.floor;
        let mut after = reference.after(self.after);
        let held = after.find(|(_, e)| self.wants(e) && self.is_held(e));
        // What comes after the end of its topic is other streams'.
        let end = self.end(reference);
        let held = held.filter(|(sequence, _)| end.is_none_or(|end| **sequence < end));
        assert_eq!(oldest, held.map(|(_, e)| &*e.id), "not the oldest held: {self:?}");
        assert_eq!(place.epoch, reference.epoch);
        let place = place.sequence.get();
        assert!(held.is_none_or(|(sequence, _)| *sequence > place), "the gap passes {held:?}");
        self.last_id =
            Cursor { epoch: reference.epoch, sequence: Sequence::new(place).unwrap() }.to_string();
    }

    /// The reader was given a place without an event: it may have passed nothing that is owed.
    pub fn place(&mut self, reference: &Reference, place: Cursor) {
        assert!(!self.ended, "a place after the end");
        assert_eq!(self.lost_place, None, "a place before the gap");
        assert_eq!(place.epoch, reference.epoch);
        let sequence = place.sequence.get();
        // Sequences that a journal has used for matters of its own are no places of the hub's.
        let between = reference
            .events
            .range((Excluded(sequence.min(self.after)), Included(self.after)))
            .next();
        assert!(between.is_none() || sequence >= self.after, "{sequence} is behind: {self:?}");
        for (passed, event) in
            reference.events.range(self.after + 1..).take_while(|(s, _)| **s <= sequence)
        {
            let may_pass = self.may_miss(event) || self.told.contains(passed);
            assert!(may_pass, "the place passes {passed}: {self:?}");
        }
        let end = self.end(reference);
        assert!(end.is_none_or(|end| end > sequence), "the place passes the end: {self:?}");
        self.after = self.after.max(sequence);
        self.last_id = place.to_string();
    }

    /// The reader asked for the latest events, and was given those with these IDs.
    pub fn latest<'a>(
        &self,
        reference: &Reference,
        events_max: usize,
        ids: impl Iterator<Item = &'a str>,
    ) {
        let held = reference.after(0).filter(|(_, e)| self.wants(e) && self.is_held(e));
        let held: Vec<_> = held.map(|(_, event)| &*event.id).collect();
        let latest = &held[held.len().saturating_sub(events_max)..];
        assert_eq!(ids.collect::<Vec<_>>(), latest, "not the latest: {self:?}");
    }

    /// The stream ended.
    pub fn end_seen(&mut self, reference: &Reference) {
        // A page that was read before may still have one that the journal has dropped.
        let end = self.end_after(reference, 0);
        assert!(end.is_some(), "ended without an end: {self:?}");
        self.ended = true;
    }

    /// The reader has read to the tail: it must have been told of every event that it was not sent.
    pub fn at_tail(&self, reference: &Reference) {
        if self.ended {
            return;
        }
        assert_eq!(self.lost_place, None, "a lost place is not told");
        assert_eq!(self.end(reference), None, "an end is not seen");
        for (sequence, event) in reference.after(self.after) {
            let ok = self.may_miss(event) || (!self.is_held(event) && self.told.contains(sequence));
            assert!(ok, "{sequence} lost");
        }
    }
}

//! The expectations that a reference has of every reader.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included};

use tidings_hub::{Cursor, Gap, Sequence, Start, Topic, TopicFilter, View};

use super::reference::{Known, Reference};

/// The latest other stream of a reader that reads on over all ends.
const PAST_ENDS: u64 = u64::MAX - 1;

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
    /// Events that a topic let go of by its rule before a reader that asked for everything held was sent the first:
    /// they may be told as lost, or not.
    spared: BTreeSet<u64>,
    /// Events after its place that it may have skipped because it was behind. It does not go back to them when the
    /// rules of their topics change, so that readers skip nothing any more.
    skipped: BTreeSet<u64>,
    /// Whether it has read nothing yet.
    is_earliest: bool,
    /// The journal's floor when the latest gap was told.
    told_floor: u64,
    /// The place that was asked for and leads nowhere.
    lost_place: Option<String>,
    /// Whether it was sent the end of its topic's stream, so that its own ends next.
    is_ending: bool,
    /// Whether it was sent an event.
    is_in_stream: bool,
    /// The tail at which it was opened.
    opened_at: u64,
    /// The tail at which it stands, if it is sent what comes from the run that the hub has committed, and does not read it.
    fed_after: Option<u64>,
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
            spared: BTreeSet::new(),
            skipped: BTreeSet::new(),
            is_earliest: matches!(start, Start::Oldest),
            told_floor: 0,
            lost_place,
            is_ending: false,
            is_in_stream: false,
            opened_at: tail,
            fed_after: None,
            ended: false,
            last_id: cursor.to_string(),
        };
        if new.is_earliest || new.lost_place.is_some() {
            new.told = new.lost(reference);
            new.told_floor = reference.floor;
        }
        new
    }

    /// Makes it that of a reader that polls, and so has no stream to end.
    #[must_use]
    pub fn past_ends(mut self) -> Self {
        self.joined = PAST_ENDS;
        self
    }

    fn is_past_ends(&self) -> bool {
        self.joined == PAST_ENDS
    }

    /// The filters of the view that match an event: more than one must not double it.
    pub fn filters_matching(&self, event: &Known) -> usize {
        let matches =
            |filter: &&TopicFilter| event.topics.iter().any(|topic| filter.matches(topic.as_str()));
        self.view.filters().iter().filter(matches).count()
    }

    fn wants(&self, event: &Known) -> bool {
        let is_sent = !(event.is_end && self.is_past_ends());
        is_sent && self.has_part_in(event)
    }

    fn has_part_in(&self, event: &Known) -> bool {
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
        !self.wants(event) || (!self.is_held(event) && !self.is_lost(event))
    }

    /// Returns whether the reader may skip an event because it is behind: each of its topics by which the view has
    /// it asks for that and has a newer one.
    fn may_skip(&self, reference: &Reference, (sequence, event): (u64, &Known)) -> bool {
        let topics = event.topics.iter().zip(&event.superseded);
        let topics = topics.filter(|(topic, _)| self.view.matches(topic.as_str()));
        if event.is_end {
            return false;
        }
        let mut skips =
            topics.map(|(topic, superseded)| *superseded || reference.is_skipped(topic, sequence));
        self.skipped.contains(&sequence) || skips.all(|skips| skips)
    }

    fn is_of_one_topic(&self) -> bool {
        matches!(self.view.filters(), [TopicFilter::Exact(_)])
    }

    fn is_exact(&self) -> bool {
        self.view.filters().iter().all(|filter| matches!(filter, TopicFilter::Exact(_)))
    }

    fn is_told(&self, sequence: u64) -> bool {
        self.told.contains(&sequence) || self.spared.contains(&sequence)
    }

    fn lost(&self, reference: &Reference) -> BTreeSet<u64> {
        let after = reference.after(self.after);
        after.filter(|(_, event)| self.is_lost(event)).map(|(s, _)| *s).collect()
    }

    /// Returns whether there is something the reader has not been sent, or must be told.
    pub fn has_more(&self, reference: &Reference) -> bool {
        let mut after = reference.after(self.after);
        self.lost_place.is_some()
            || self.is_ending
            || after.any(|(s, e)| !self.may_miss(e) && (self.is_held(e) || !self.is_told(*s)))
            || self.end(reference).is_some()
    }

    /// The end at which its stream surely ends.
    fn end(&self, reference: &Reference) -> Option<u64> {
        // An end that the journal has dropped need not be known any more.
        // One that is not told is no end to a reader that came back after it.
        let is_own =
            |end| self.is_in_stream || end > self.opened_at || !reference.is_silent_end(end);
        self.end_after(reference, reference.floor, |end| is_own(end) && reference.holds_end(end))
    }

    fn end_after(
        &self,
        reference: &Reference,
        place: u64,
        is_held: impl Fn(u64) -> bool,
    ) -> Option<u64> {
        let [filter] = self.view.filters() else { return None };
        let TopicFilter::Exact(topic) = filter else { return None };
        let ends_after = |ends: &BTreeMap<u64, Topic>, from: u64| {
            let ends = ends.range(from + 1..).take_while(|(s, _)| **s <= reference.tail);
            ends.filter(|(_, ended)| *ended == topic).map(|(s, _)| *s).collect::<Vec<_>>()
        };
        let from = self.after.max(self.joined).max(place);
        let end = ends_after(&reference.ends, from).into_iter().find(|end| is_held(*end));
        let of_stream = match self.is_past_ends() {
            true => None,
            false => ends_after(&reference.stream_ends, self.after.max(place))
                .into_iter()
                .find(|end| is_held(*end)),
        };
        end.into_iter().chain(of_stream).min()
    }

    /// Notes which events after its place the reader may skip as it reads now: those up to the first that it is owed.
    fn note_skipped(&mut self, reference: &Reference) {
        self.skipped = self.skipped.split_off(&(self.after + 1));
        for (sequence, event) in reference.after(self.after) {
            if self.may_miss(event) || self.is_told(*sequence) {
                continue;
            }
            if !self.may_skip(reference, (*sequence, event)) {
                break;
            }
            self.skipped.insert(*sequence);
        }
    }

    /// The reader is polled.
    pub fn look(&mut self, reference: &Reference) {
        self.note_skipped(reference);
        if self.is_earliest {
            self.spared = self.lost(reference);
            self.spared.retain(|lost| reference.events[lost].is_beyond);
        }
    }

    /// The reader has been sent everything, and is sent what comes next from the runs that the hub commits; otherwise it reads
    /// that.
    pub fn stand(&mut self, reference: &Reference, is_at_tail: bool) {
        self.fed_after = is_at_tail.then_some(reference.tail);
    }

    /// The reader was sent an event.
    pub fn event(&mut self, reference: &Reference, sequence: u64, id: &str, data: &str) {
        self.is_earliest = false;
        assert!(!self.ended, "{sequence} after the end");
        assert_eq!(self.lost_place, None, "{sequence} before the gap");
        assert!(sequence <= reference.tail, "{sequence} is not in the history");
        assert!(sequence > self.after, "{sequence} doubled or out of order, after {}", self.after);
        let event = &reference.events[&sequence];
        assert!(self.wants(event), "{sequence} misdelivered");
        // Of a run, it is sent all events, also those for which others of the run left no room.
        let is_fed = self.fed_after.is_some_and(|tail| sequence > tail);
        let is_within = !event.is_beyond || is_fed || self.is_held(event);
        assert!(is_within, "{sequence} is beyond a limit: {event:?} {self:?}");
        let is_of_one = matches!(self.view.filters(), [TopicFilter::Exact(_)]);
        let expected = event.data_for(is_of_one);
        assert_eq!((id, data), (&*event.id, &*expected), "{sequence} differs");
        for (skipped, event) in reference.events.range(self.after + 1..sequence) {
            let may_skip = self.may_miss(event)
                || self.is_told(*skipped)
                || self.may_skip(reference, (*skipped, event));
            assert!(may_skip, "{skipped} lost before {sequence} and not told: {event:?} {self:?}");
        }
        assert!(!self.is_ending, "{sequence} after the end of its stream");
        if let Some(end) = self.end(reference) {
            let is_before = sequence < end || (sequence == end && event.is_end);
            assert!(is_before, "{sequence} sent past the end at {end}: {self:?}");
        }
        self.is_ending = event.is_end && self.is_of_one_topic();
        self.is_in_stream = true;
        self.after = sequence;
        self.last_id = id.to_owned();
        self.note_skipped(reference);
    }

    /// The reader was told of a gap: what it had asked for, the oldest event that follows, and the
    /// place it is given.
    pub fn gap(&mut self, reference: &Reference, asked: &str, oldest: Option<&str>, place: Cursor) {
        self.is_earliest = false;
        assert!(!self.ended, "a gap after the end");
        let lost = self.lost(reference);
        match self.lost_place.take() {
            Some(expected) => assert_eq!(asked, expected),
            None => {
                // Of what a journal has dropped, a view with patterns does not know in which topics it lay.
                let is_unknown = !self.is_exact()
                    && self.after < reference.floor
                    && self.told_floor < reference.floor;
                // A topic of the view may be one that the hub has forgotten.
                let is_forgotten = reference.forgotten > self.after;
                let is_lost = is_unknown || is_forgotten || !lost.is_subset(&self.told);
                assert!(is_lost, "a false gap: {self:?} lost {lost:?}");
            }
        }
        self.told.extend(lost);
        self.told_floor = reference.floor;
        // Events after the end of its topic are other streams'. An end that is not told may be held or not.
        let mut end = self.end(reference);
        let possible = self.end_after(reference, reference.floor, |_| true);
        if oldest.is_none() && end != possible {
            end = possible;
        }
        let after = reference.after(self.after);
        let after = after.take_while(|(sequence, event)| {
            end.is_none_or(|end| **sequence < end || (**sequence == end && event.is_end))
        });
        // One that is skipped, or passed, may be named or not.
        let mut held = after.filter(|(_, e)| self.has_part_in(e)).filter(|(s, e)| {
            // Publishers may give the same ID to several events.
            let is_named = oldest == Some(&*e.id) && **s > place.sequence.get();
            let may_pass = !self.wants(e) || self.may_skip(reference, (**s, e));
            self.is_held(e) && (is_named || !may_pass)
        });
        let held = held.next();
        let right = held.map(|(_, event)| &*event.id);
        assert_eq!(oldest, right, "not the oldest held, which is {held:?}: {self:?}");
        assert_eq!(place.epoch, reference.epoch);
        let place = place.sequence.get();
        assert!(held.is_none_or(|(sequence, _)| *sequence > place), "the gap passes {held:?}");
        self.last_id =
            Cursor { epoch: reference.epoch, sequence: Sequence::new(place).unwrap() }.to_string();
        self.note_skipped(reference);
    }

    /// The reader was given a place without an event: it may have passed nothing that is owed.
    pub fn place(&mut self, reference: &Reference, place: Cursor) {
        assert!(!self.ended, "a place after the end");
        assert_eq!(self.lost_place, None, "a place before the gap");
        assert!(!self.is_ending, "a place after the end of its stream");
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
            let may_pass = self.may_miss(event)
                || self.is_told(*passed)
                || self.may_skip(reference, (*passed, event));
            assert!(may_pass, "the place passes {passed}: {event:?} {self:?}");
        }
        let end = self.end(reference);
        assert!(end.is_none_or(|end| end > sequence), "the place passes the end: {self:?}");
        self.after = self.after.max(sequence);
        self.last_id = place.to_string();
        self.note_skipped(reference);
    }

    /// The reader asked for the latest events, and was given those of these sequences.
    pub fn latest(
        &self,
        reference: &Reference,
        events_max: usize,
        sequences: impl Iterator<Item = u64>,
    ) {
        let held = reference.after(0).filter(|(_, e)| self.wants(e) && self.is_held(e));
        let held: Vec<_> = held.collect();
        let mut given = sequences.collect::<Vec<_>>();
        assert!(given.len() <= events_max, "too many: {self:?}");
        // Events that are skipped may count as some of the latest, or not.
        for (newer, (sequence, event)) in held.into_iter().rev().enumerate() {
            if given.pop_if(|given| given == sequence).is_none() {
                let is_before = given.is_empty() && newer >= events_max;
                let may_miss = is_before || self.may_skip(reference, (*sequence, event));
                assert!(
                    may_miss,
                    "{sequence} is not among the latest {given:?}: {event:?} {self:?}"
                );
            }
        }
        assert!(given.is_empty(), "{given:?} are not the latest: {self:?}");
    }

    /// The stream ended.
    pub fn end_seen(&mut self, reference: &Reference) {
        // A page that was read before may still have one that the journal has dropped.
        let end = self.end_after(reference, 0, |_| true);
        assert!(self.is_ending || end.is_some(), "ended without an end: {self:?}");
        self.ended = true;
    }

    /// The reader has read to the tail: it must have been told of every event that it was not sent.
    pub fn at_tail(&self, reference: &Reference) {
        if self.ended {
            return;
        }
        assert_eq!(self.lost_place, None, "a lost place is not told");
        assert!(!self.is_ending, "it does not end");
        assert_eq!(self.end(reference), None, "an end is not seen: {self:?}");
        for (sequence, event) in reference.after(self.after) {
            let ok = self.may_miss(event)
                || (!self.is_held(event) && self.is_told(*sequence))
                || self.may_skip(reference, (*sequence, event));
            assert!(ok, "{sequence} lost");
        }
    }
}

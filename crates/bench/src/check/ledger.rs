//! The ledger of a run: which deliveries are due, which arrived, and what is wrong with them.

use std::collections::BTreeSet;

use crate::check::data::{DataKind, Shape, Stamp};
use crate::check::faults::Faults;
use crate::measure::latency::Latencies;

/// The position of one subscriber in its topic.
#[derive(Debug)]
pub(crate) struct Position {
    topic: u32,
    /// The number of the event that is due next.
    next: u32,
    /// The numbers that were skipped and may still arrive. Empty if there are no faults.
    missing: BTreeSet<u32>,
}

impl Position {
    /// Stands before the first event of `topic` after the first `passed` events.
    pub(crate) fn new(topic: u32, passed: u32) -> Self {
        Self { topic, next: passed + 1, missing: BTreeSet::new() }
    }

    pub(crate) fn topic(&self) -> u32 {
        self.topic
    }

    /// Returns the number of the event that is due next.
    pub(crate) fn next(&self) -> u32 {
        self.next
    }

    /// Returns whether all events up to `number` have arrived or are known to be lost.
    pub(crate) fn is_past(&self, number: u32) -> bool {
        self.next > number
    }
}

/// All events of a run, and what became of them.
///
/// Events go to the topics in turn. So the topic and the number of an event give its index in
/// `remaining`, and a delivery costs one decrement there.
#[derive(Debug)]
pub(crate) struct Ledger {
    shape: Shape,
    scope: Scope,
    /// By topic: the number of subscribers that its next event is due to.
    due: Vec<u32>,
    /// By topic: the number of events published.
    published: Vec<u32>,
    /// By event: the number of deliveries still to come.
    remaining: Vec<u32>,
    under_way: u64,
    delivered: u64,
    latencies: Latencies,
    faults: Faults,
    foreign: ForeignEvents,
}

/// Whether the topics belong to this run alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Own,
    Shared,
}

/// Events from elsewhere that were received, which is not a fault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ForeignEvents {
    pub(crate) count: u64,
    /// The first of them, truncated.
    pub(crate) first: Option<String>,
}

/// Marks an event that the server refused, so that no delivery of it is due.
const WITHDRAWN: u32 = u32::MAX;
/// The maximum number of skipped events that are remembered for a subscriber. A skipped event
/// beyond them that arrives late is reported as doubled.
const MISSING_MAX: usize = 10_000;
/// The maximum number of characters shown of a foreign event.
const SHOWN_CHARS: usize = 120;

impl Ledger {
    pub(crate) fn new(shape: Shape, topics: u32, scope: Scope) -> Self {
        Self {
            shape,
            scope,
            due: vec![0; topics as usize],
            published: vec![0; topics as usize],
            remaining: Vec::new(),
            under_way: 0,
            delivered: 0,
            latencies: Latencies::default(),
            faults: Faults::default(),
            foreign: ForeignEvents::default(),
        }
    }

    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Adds a subscriber to which every event of `topic` is due from now on.
    pub(crate) fn join(&mut self, topic: u32) {
        self.due[topic as usize] += 1;
    }

    /// Makes every published event due to `subscribers` subscribers of its topic, which are yet to
    /// connect.
    pub(crate) fn replay(&mut self, subscribers: u32) {
        for remaining in self.remaining.iter_mut().filter(|remaining| **remaining != WITHDRAWN) {
            self.under_way += u64::from(*remaining == 0 && subscribers > 0);
            *remaining += subscribers;
        }
    }

    /// Returns how many events of `topic` were published.
    pub(crate) fn published(&self, topic: u32) -> u32 {
        self.published[topic as usize]
    }

    /// Returns how many events were published in total.
    pub(crate) fn events(&self) -> u64 {
        self.remaining.len() as u64
    }

    /// Returns how many events have not reached all their subscribers.
    pub(crate) fn under_way(&self) -> u64 {
        self.under_way
    }

    pub(crate) fn delivered(&self) -> u64 {
        self.delivered
    }

    pub(crate) fn faults(&self) -> Faults {
        self.faults
    }

    pub(crate) fn foreign(&self) -> &ForeignEvents {
        &self.foreign
    }

    /// Takes the latencies of all deliveries since the last call.
    pub(crate) fn take_latencies(&mut self) -> Latencies {
        std::mem::take(&mut self.latencies)
    }

    /// Adds the next event, published at `now`.
    pub(crate) fn publish(&mut self, now: u64) -> Stamp {
        let topic = self.remaining.len() % self.due.len();
        self.published[topic] += 1;
        let due = self.due[topic];
        self.remaining.push(due);
        self.under_way += u64::from(due > 0);
        Stamp { topic: topic as u32, number: self.published[topic], sent: now }
    }

    /// Removes an event that the server has refused.
    pub(crate) fn withdraw(&mut self, stamp: Stamp) {
        let index = self.index(stamp.topic, stamp.number);
        if self.remaining[index] != WITHDRAWN {
            self.under_way -= u64::from(self.remaining[index] > 0);
            self.remaining[index] = WITHDRAWN;
        }
    }

    /// Checks data that arrived at the subscriber at `position`, and advances the position. Returns
    /// the stamp if this was the event that was due next.
    #[inline]
    pub(crate) fn deliver(
        &mut self,
        position: &mut Position,
        event_type: &str,
        data: &str,
        now: u64,
    ) -> Option<Stamp> {
        match self.shape.read(data.as_bytes()) {
            DataKind::Ours(stamp) => return self.stamped(position, stamp, now),
            DataKind::Corrupt => self.faults.corrupt += 1,
            // The topics of this run have names that no other run uses.
            DataKind::OtherRun if self.scope == Scope::Own => self.faults.misdelivered += 1,
            DataKind::OtherRun | DataKind::Foreign => self.note_foreign(event_type, data),
        }
        None
    }

    /// Advances the subscriber at `position` over the event that is due next, whose text is the
    /// same as another subscriber's and needs no checking.
    #[inline]
    pub(crate) fn deliver_known(&mut self, position: &mut Position, stamp: Stamp, now: u64) {
        debug_assert_eq!((stamp.topic, stamp.number), (position.topic, position.next));
        self.arrive(position, stamp, now);
    }

    fn stamped(&mut self, position: &mut Position, stamp: Stamp, now: u64) -> Option<Stamp> {
        let is_due = stamp.topic == position.topic && stamp.number == position.next;
        if is_due && stamp.number <= self.published(stamp.topic) {
            self.arrive(position, stamp, now);
            return Some(stamp);
        }
        self.irregular(position, stamp, now);
        None
    }

    #[inline]
    fn arrive(&mut self, position: &mut Position, stamp: Stamp, now: u64) {
        position.next = stamp.number + 1;
        self.count(stamp, now);
        self.settle(self.index(stamp.topic, stamp.number));
    }

    #[inline]
    fn count(&mut self, stamp: Stamp, now: u64) {
        self.delivered += 1;
        self.latencies.add(now.saturating_sub(stamp.sent));
    }

    #[cold]
    fn irregular(&mut self, position: &mut Position, stamp: Stamp, now: u64) {
        if stamp.topic != position.topic {
            self.faults.misdelivered += 1;
        } else if stamp.number > self.published[stamp.topic as usize] {
            self.faults.corrupt += 1;
        } else if stamp.number > position.next {
            self.pass_over(position, stamp.number);
            self.arrive(position, stamp, now);
        } else if position.missing.remove(&stamp.number) {
            self.faults.lost -= 1;
            self.faults.out_of_order += 1;
            self.count(stamp, now);
        } else {
            self.faults.doubled += 1;
        }
    }

    /// Counts everything that is due before `number` as lost.
    fn pass_over(&mut self, position: &mut Position, number: u32) {
        for passed in position.next..number {
            let index = self.index(position.topic, passed);
            if self.remaining[index] == WITHDRAWN {
                continue;
            }
            self.faults.lost += 1;
            self.settle(index);
            if position.missing.len() < MISSING_MAX {
                position.missing.insert(passed);
            }
        }
        position.next = position.next.max(number);
    }

    #[inline]
    fn settle(&mut self, index: usize) {
        let remaining = &mut self.remaining[index];
        if *remaining == WITHDRAWN || *remaining == 0 {
            return;
        }
        *remaining -= 1;
        self.under_way -= u64::from(*remaining == 0);
    }

    #[inline]
    fn index(&self, topic: u32, number: u32) -> usize {
        (number as usize - 1) * self.due.len() + topic as usize
    }

    #[cold]
    fn note_foreign(&mut self, event_type: &str, data: &str) {
        self.foreign.count += 1;
        self.foreign.first.get_or_insert_with(|| {
            format!("{event_type}: {data}").chars().take(SHOWN_CHARS).collect()
        });
    }

    /// Removes a subscriber whose stream has ended. Everything still due to it is lost.
    pub(crate) fn leave(&mut self, position: &mut Position) {
        self.faults.closed += 1;
        self.pass_over(position, self.published(position.topic) + 1);
        let due = &mut self.due[position.topic as usize];
        *due = due.saturating_sub(1);
    }

    /// Counts all deliveries still to come as lost.
    pub(crate) fn give_up(&mut self) {
        for remaining in &mut self.remaining {
            if *remaining != WITHDRAWN {
                self.faults.lost += u64::from(std::mem::take(remaining));
            }
        }
        self.under_way = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a ledger with `subscribers` for each topic, and their positions.
    fn ledger(topics: u32, subscribers: u32) -> (Ledger, Vec<Position>) {
        let mut ledger = Ledger::new(Shape::new(7, 100), topics, Scope::Own);
        let positions = (0..topics * subscribers).map(|n| Position::new(n % topics, 0)).collect();
        (0..topics * subscribers).for_each(|n| ledger.join(n % topics));
        (ledger, positions)
    }

    fn publish(ledger: &mut Ledger, now: u64) -> String {
        let stamp = ledger.publish(now);
        text(ledger, stamp)
    }

    fn text(ledger: &Ledger, stamp: Stamp) -> String {
        let mut data = Vec::new();
        ledger.shape().write(&mut data, stamp);
        String::from_utf8(data).unwrap()
    }

    /// Delivers the events with these numbers to a subscriber of four events, and checks the
    /// faults.
    #[track_caller]
    fn check(numbers: &[u32], expected: Faults) {
        let (mut ledger, mut positions) = ledger(1, 1);
        let events: Vec<String> = (0..4).map(|n| publish(&mut ledger, n)).collect();
        for number in numbers {
            let data = &events[*number as usize - 1];
            ledger.deliver(&mut positions[0], "message", data, 10);
        }
        ledger.give_up();
        assert_eq!(ledger.faults(), expected, "{numbers:?}");
        assert_eq!(ledger.under_way(), 0);
    }

    #[test]
    fn in_order_once_each_is_no_fault() {
        check(&[1, 2, 3, 4], Faults::default());
    }

    #[test]
    fn what_does_not_come_is_lost() {
        check(&[], Faults { lost: 4, ..Faults::default() });
        check(&[2, 3, 4], Faults { lost: 1, ..Faults::default() });
        check(&[1, 4], Faults { lost: 2, ..Faults::default() });
        check(&[1, 2, 3], Faults { lost: 1, ..Faults::default() });
    }

    #[test]
    fn what_comes_again_is_doubled() {
        check(&[1, 1, 2, 3, 4], Faults { doubled: 1, ..Faults::default() });
        check(&[1, 2, 3, 4, 1, 2], Faults { doubled: 2, ..Faults::default() });
        check(&[1, 3, 2, 2, 4], Faults { doubled: 1, out_of_order: 1, ..Faults::default() });
    }

    #[test]
    fn what_comes_late_is_out_of_order_and_not_lost() {
        check(&[2, 1, 3, 4], Faults { out_of_order: 1, ..Faults::default() });
        check(&[4, 1, 2], Faults { lost: 1, out_of_order: 2, ..Faults::default() });
    }

    #[test]
    fn an_event_is_under_way_until_each_of_its_subscribers_has_it() {
        let (mut ledger, mut positions) = ledger(2, 3);
        let first = publish(&mut ledger, 0);
        let second = publish(&mut ledger, 0);
        assert_eq!(ledger.under_way(), 2);
        for position in &mut positions {
            let data = if position.topic() == 0 { &first } else { &second };
            assert!(ledger.under_way() > 0);
            ledger.deliver(position, "message", data, 5);
        }
        assert_eq!((ledger.under_way(), ledger.delivered()), (0, 6));
        assert_eq!(ledger.faults(), Faults::default());
    }

    #[test]
    fn an_event_of_another_topic_or_run_is_misdelivered() {
        let (mut ledger, mut positions) = ledger(2, 1);
        let first = publish(&mut ledger, 0);
        ledger.deliver(&mut positions[1], "message", &first, 5);
        assert_eq!(ledger.faults(), Faults { misdelivered: 1, ..Faults::default() });
        let mut other = Vec::new();
        Shape::new(8, 100).write(&mut other, Stamp { topic: 0, number: 1, sent: 0 });
        let other = String::from_utf8(other).unwrap();
        ledger.deliver(&mut positions[0], "message", &other, 5);
        assert_eq!(ledger.faults(), Faults { misdelivered: 2, ..Faults::default() });
        ledger.scope = Scope::Shared;
        ledger.deliver(&mut positions[0], "message", &other, 5);
        assert_eq!(ledger.faults(), Faults { misdelivered: 2, ..Faults::default() });
        assert_eq!(ledger.foreign().count, 1);
    }

    #[test]
    fn an_altered_event_or_one_nobody_published_is_corrupt() {
        let (mut ledger, mut positions) = ledger(1, 1);
        let data = publish(&mut ledger, 0);
        ledger.deliver(&mut positions[0], "message", &data[..99], 5);
        for number in [1, 2, 9] {
            let unheard = text(&ledger, Stamp { topic: 0, number: number + 1, sent: 0 });
            ledger.deliver(&mut positions[0], "message", &unheard, 5);
        }
        assert_eq!(ledger.faults(), Faults { corrupt: 4, ..Faults::default() });
        ledger.deliver(&mut positions[0], "message", &data, 5);
        assert_eq!((ledger.delivered(), ledger.under_way()), (1, 0));
    }

    #[test]
    fn what_the_server_says_by_itself_is_shown_and_no_fault() {
        let (mut ledger, mut positions) = ledger(1, 1);
        ledger.deliver(&mut positions[0], "hello", &"x".repeat(1_000), 5);
        ledger.deliver(&mut positions[0], "hello", "again", 5);
        let foreign = ledger.foreign();
        assert_eq!(foreign.count, 2);
        assert_eq!(foreign.first.as_deref().map(str::len), Some(SHOWN_CHARS));
        assert_eq!(ledger.faults().total(), 0);
    }

    #[test]
    fn a_refused_event_is_nobodys_due() {
        let (mut ledger, mut positions) = ledger(1, 2);
        let first = ledger.publish(0);
        let second = publish(&mut ledger, 0);
        ledger.withdraw(first);
        ledger.withdraw(first);
        assert_eq!(ledger.under_way(), 1);
        for position in &mut positions {
            ledger.deliver(position, "message", &second, 5);
        }
        ledger.give_up();
        assert_eq!((ledger.faults(), ledger.under_way()), (Faults::default(), 0));
    }

    #[test]
    fn a_stream_that_ends_loses_what_was_under_way_and_is_due_nothing_more() {
        let (mut ledger, mut positions) = ledger(1, 2);
        publish(&mut ledger, 0);
        ledger.leave(&mut positions[0]);
        assert_eq!(ledger.faults(), Faults { lost: 1, closed: 1, ..Faults::default() });
        let second = publish(&mut ledger, 0);
        ledger.deliver(&mut positions[1], "message", &second, 5);
        assert_eq!(ledger.faults(), Faults { lost: 2, closed: 1, ..Faults::default() });
        assert_eq!(ledger.under_way(), 0);
    }

    #[test]
    fn what_is_replayed_is_due_from_the_first_event_on() {
        let (mut ledger, _) = ledger(1, 0);
        let events: Vec<String> = (0..3).map(|n| publish(&mut ledger, n)).collect();
        assert_eq!(ledger.under_way(), 0);
        ledger.replay(2);
        assert_eq!(ledger.under_way(), 3);
        let mut position = Position::new(0, 0);
        for event in &events {
            ledger.deliver(&mut position, "message", event, 5);
        }
        assert!(position.is_past(3) && ledger.faults() == Faults::default());
        // The second subscriber never connects.
        ledger.give_up();
        assert_eq!(ledger.faults(), Faults { lost: 3, ..Faults::default() });
    }

    #[test]
    fn latency_is_from_the_time_in_the_event() {
        let (mut ledger, mut positions) = ledger(1, 1);
        let data = publish(&mut ledger, 1_000_000);
        ledger.deliver(&mut positions[0], "message", &data, 3_000_000);
        let told = ledger.take_latencies().percentiles().unwrap();
        assert_eq!(told.max, 2.0);
        assert_eq!(ledger.take_latencies().percentiles(), None);
    }
}

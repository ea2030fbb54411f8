//! Counts of a topic's events, some of which the journal alone has.

use std::num::NonZeroUsize;

use super::{Fixture, by_bytes};
use crate::cursor::Sequence;
use crate::filter::TopicFilter;
use crate::history::{Patience, Uncounted};
use crate::journal::Counted;
use crate::retention::{Retention, RetentionRule, TopicLimits};
use crate::topic::Topic;

fn sequence(number: u64) -> Sequence {
    Sequence::new(number).unwrap()
}

/// A count of a topic that keeps its newest five events.
fn counted(beyond: u64, newest: [u64; 5]) -> Counted {
    let mut counted = Counted::default();
    (counted.beyond, counted.events, counted.bytes) = (Some(sequence(beyond)), 5, 500);
    counted.next = newest.map(|event| (sequence(event), 100)).into();
    counted
}

/// Memory has let go of events that came after the count, so that the limits are not known now.
#[test]
fn a_reader_that_has_waited_often_takes_the_limits_of_a_moment_since_it_began_to_wait() {
    let limits = TopicLimits::default().with_events_max(NonZeroUsize::new(5).unwrap());
    let rule = RetentionRule::new(TopicFilter::pattern("a").unwrap(), limits.clone());
    let mut fixture = Fixture::new(Retention { rules: vec![rule], ..by_bytes(4_000) });
    fixture.history = fixture.history.with_past(Sequence::ZERO, true, None);
    let view = fixture.view(&["a"]);
    let key = view.keys()[0];
    let topic: Uncounted = (Topic::new("a").unwrap(), limits);
    (0..20).for_each(|_| fixture.publish("a"));
    (0..100).for_each(|_| fixture.publish("b"));
    assert_eq!(fixture.history.bound(key, Patience::Patient), None);
    fixture.history.note_count(&topic, sequence(120), counted(15, [16, 17, 18, 19, 20]));
    (0..3).for_each(|_| fixture.publish("a"));
    assert_eq!(fixture.history.bound(key, Patience::Patient), Some(sequence(18)));
    (0..100).for_each(|_| fixture.publish("b"));
    for (patience, bound) in [
        (Patience::Patient, None),
        (Patience::Over { since: sequence(120) }, Some(15)),
        (Patience::Over { since: sequence(121) }, None),
    ] {
        assert_eq!(fixture.history.bound(key, patience), bound.map(sequence), "{patience:?}");
    }
    // An answer that was asked for earlier comes later.
    fixture.history.note_count(&topic, sequence(223), counted(18, [19, 20, 121, 122, 123]));
    fixture.history.note_count(&topic, sequence(120), counted(15, [16, 17, 18, 19, 20]));
    assert_eq!(fixture.history.bound(key, Patience::Patient), Some(sequence(18)));
}

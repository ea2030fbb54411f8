//! Looks and reads take a bounded number of steps, whatever there is that does not concern them.

use super::{Fixture, by_count};
use crate::cursor::{Cursor, Sequence};
use crate::filter::TopicFilter;
use crate::history::{Latest, LookBack, Passed, ReadMax, ReadPosition, Steps, Stop};
use crate::retention::Retention;
use crate::view::View;

/// A look walked up to 8,192 entries and asked every pattern about each: 26 ms for 100 patterns, with the
/// history locked.
#[test]
fn a_look_takes_a_bounded_number_of_steps_whatever_the_patterns() {
    const PATTERNS: usize = 100;
    let mut history = Fixture::new(Retention::default());
    // More topics than are asked for their names.
    (0..1000).for_each(|number| history.publish(&format!("a{number}")));
    history.publish("wanted");
    (0..1000).for_each(|number| history.publish(&format!("b{number}")));
    let filters = (0..PATTERNS - 1).map(|number| format!("*/none/{number}"));
    let filters = filters.chain(["wanted".to_owned()]);
    let filters = filters.map(|text| TopicFilter::pattern(text).unwrap());
    let view = history.history.resolve(&View::new(filters));

    // The event is too far back, so a place after it is named, and none before. Opening a stream walked
    // 65,536 entries for it: 8 ms.
    let mut back = LookBack::from(history.history.tail());
    let found = history.history.last_id(&view, &mut back).expect("it takes one look");
    let place = Cursor::parse(found.unwrap().as_str()).unwrap().sequence.get();
    assert!((2001 - 2048_u64.div_ceil(PATTERNS as u64)..2001).contains(&place), "{place}");

    let (mut looks, mut latest) = (1, Latest::new(history.history.tail(), 1));
    while !history.history.find_latest(&view, &mut latest) {
        looks += 1;
    }
    assert_eq!(latest.after.get(), 1000);
    assert!(looks >= 1000 * PATTERNS / Steps::MAX, "{looks} looks");

    let (mut place, mut found) = (ReadPosition::default(), 0);
    loop {
        let before = place.after.get();
        let mut max = ReadMax { bytes: usize::MAX, entries: usize::MAX, steps: Steps::new(500) };
        let stop = history.history.read(&view, &mut place, &mut max, |_| found += 1);
        if stop == Stop::Tail {
            break;
        }
        assert_eq!(stop, Stop::Full);
        assert!(place.after.get() - before <= 5, "{} entries", place.after.get() - before);
    }
    assert_eq!(found, 1);
    history.history.release(&view);
}

/// Beyond 8,192 entries without a match, a gap named no event to go on with, though there was one.
#[test]
fn the_oldest_event_after_a_gap_is_found_however_far_it_is() {
    let mut history = Fixture::new(by_count(1));
    history.publish("a");
    for number in 0..20_000 {
        history.publish(&format!("other/{number}"));
    }
    history.publish("a");
    // A pattern that begins with a wildcard has to ask all topics.
    let view = history.view(&["*/a", "a"]);
    let mut place = ReadPosition::default();
    let mut steps = Steps::default();
    assert_eq!(history.history.look_for_loss(&view, &mut place, &mut steps), Some(true));
    let mut looks = 0;
    let oldest = loop {
        let mut steps = Steps::default();
        if let Passed::To(oldest) = history.history.pass_lost(&view, &mut place, &mut steps) {
            break oldest;
        }
        assert_eq!(steps.taken(), Steps::MAX);
        looks += 1;
    };
    assert!(oldest.is_some());
    assert_eq!(looks, 40_000 / Steps::MAX);
    assert_eq!(place.after.get(), 20_001);
    history.history.release(&view);
}

/// A pattern that begins with a wildcard walked over every event of every topic.
#[test]
fn topics_are_asked_for_their_names_where_that_is_less_than_walking() {
    let mut history = Fixture::new(Retention::default());
    history.publish("first/late");
    for number in 0..20_000 {
        history.publish(&format!("{}/early", number % 900));
    }
    history.publish("last/late");
    let view = history.view(&["*/late"]);
    let (mut place, mut found) = (ReadPosition::default(), Vec::new());
    let mut looks = 0;
    loop {
        let mut max = ReadMax { bytes: usize::MAX, entries: usize::MAX, steps: Steps::new(100) };
        let stop = history
            .history
            .read(&view, &mut place, &mut max, |held| found.push(held.sequence().get()));
        looks += 1;
        assert!(max.steps.taken() > 900, "asking is counted");
        if stop == Stop::Tail {
            break;
        }
    }
    assert_eq!((&found[..], looks), (&[1, 20_002][..], 1));

    // A short way is walked: its entries are fewer than the names.
    let mut place = ReadPosition { after: Sequence::new(20_000).unwrap(), ..place };
    let mut max = ReadMax { bytes: usize::MAX, entries: usize::MAX, steps: Steps::default() };
    assert_eq!(history.history.read(&view, &mut place, &mut max, |_| {}), Stop::Tail);
    assert!(max.steps.taken() < 10, "{} steps", max.steps.taken());
    history.history.release(&view);
}

#[test]
fn a_pattern_is_read_by_the_lists_of_its_topics_however_many_others_there_are() {
    let mut history = Fixture::new(by_count(2));
    (0..3).for_each(|_| history.publish("user/7/inbox"));
    for number in 0..20_000 {
        history.publish(&format!("user/{}/inbox", 100 + number));
    }
    history.publish("user/7/outbox");
    for filters in [&["user/7/*"][..], &["user/7/**", "none"], &["user/7/*", "none/*/x"]] {
        let view = history.view(filters);
        let mut place = ReadPosition::default();
        let mut steps = Steps::default();
        assert_eq!(history.history.look_for_loss(&view, &mut place, &mut steps), Some(true));
        let passed = history.history.pass_lost(&view, &mut place, &mut steps);
        assert!(matches!(passed, Passed::To(Some(_))), "{passed:?}");
        let mut found = Vec::new();
        let mut max = ReadMax { bytes: usize::MAX, entries: usize::MAX, steps };
        let stop = history
            .history
            .read(&view, &mut place, &mut max, |held| found.push(held.sequence().get()));
        assert_eq!((stop, &found[..]), (Stop::Tail, &[2, 3, 20_004][..]), "{filters:?}");
        assert!(max.steps.taken() < 30, "{} steps for {filters:?}", max.steps.taken());
        history.history.release(&view);
    }
}

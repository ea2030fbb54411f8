//! Promises of a hub, whatever its journal does.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use futures_core::Stream as _;
use smol::stream;
use tidings_hub::journal::{Journal as _, MemoryJournal, NotCommitted, Submission};
use tidings_hub::{
    Cursor, Draft, Epoch, Event, EventId, Found, Hub, HubConfig, Now, PublishError, Start, Time,
    TopicFilter, View,
};
use tidings_testkit::stepped::ready;
use tidings_testkit::stepped_journal::SteppedJournal;
use tidings_testkit::waker::Flag;

use crate::driven::{Driven, draft, sequence, topic, with_past};

#[test]
fn what_lies_before_the_oldest_entry_is_told_as_lost_after_a_restart() {
    let journal = with_past(200);
    journal.evict_through(sequence(100));
    let mut driven = Driven::open(&journal);
    let mut away = driven.hub.subscribe(topic("a"), driven.cursor(50));
    let found = driven.read(&mut away);
    assert_eq!(found.len(), 51);
    let oldest = Cursor { epoch: driven.hub.epoch(), sequence: sequence(101) };
    assert_eq!(found[..2], [format!("gap {:?}", Some(oldest.to_string())), "101".to_owned()]);
    // One that was away for less, and one that asks for everything, have lost nothing.
    for (start, first) in [(driven.cursor(120), "121"), (Start::Oldest, "101")] {
        let mut back = driven.hub.subscribe(topic("a"), start);
        assert_eq!(driven.read(&mut back)[0], first);
    }
}

#[test]
fn a_journal_that_keeps_nothing_has_lost_what_it_had_before_the_hub() {
    let journal = MemoryJournal::new();
    for number in 1..=2 {
        let event = Submission::Event(draft("a", &number.to_string()));
        drop(journal.append(&mut std::iter::once(event), Now::read()));
    }
    let hub = Hub::builder().memory(journal).build();
    let place = |number| Cursor { epoch: hub.epoch(), sequence: sequence(number) };
    let mut cx = Context::from_waker(Waker::noop());
    let mut away = hub.subscribe(topic("a"), place(1).into());
    let found = pin!(&mut away).poll_next(&mut cx);
    assert!(matches!(found, Poll::Ready(Some(Found::Gap(_)))), "{found:?}");
    let mut there = hub.subscribe(topic("a"), place(2).into());
    assert!(pin!(&mut there).poll_next(&mut cx).is_pending());
}

#[test]
fn a_hub_is_made_when_its_feed_has_reached_the_tail() {
    // Its memory is far smaller than its past, all of which is read from a place behind memory.
    let journal = with_past(1_000).beginning_with(20);
    let mut driven = Driven::open(&journal);
    assert!(driven.hub.stats().events_held <= 20);
    let all = View::from(TopicFilter::pattern("*").unwrap());
    let mut back = driven.hub.subscribe(all, driven.cursor(300));
    let expected: Vec<_> = (301..=1_000).map(|number| number.to_string()).collect();
    assert_eq!(driven.read(&mut back), expected);
    drop(driven.hub.publish(draft("b", "live")));
    journal.feed();
    assert_eq!(driven.read(&mut back), ["live"]);
}

#[test]
fn a_place_that_the_feed_has_not_reached_is_waited_for() {
    let journal = with_past(10);
    let mut driven = Driven::open(&journal);
    let own = ready(driven.hub.publish(draft("a", "own"))).unwrap();
    let mut after_own = driven.hub.subscribe(topic("a"), Start::After(own.id().as_str().into()));
    assert_eq!(driven.read(&mut after_own), [""; 0]);
    ready(driven.hub.publish(draft("a", "next"))).unwrap();
    journal.feed();
    assert_eq!(driven.read(&mut after_own), ["next"]);
    // A place that is not in the journal either leads nowhere.
    let mut nowhere = driven.hub.subscribe(topic("b"), driven.cursor(5_000));
    assert!(driven.read(&mut nowhere)[0].starts_with("gap "));
}

/// The entries of a journal that others commit to come from the feed alone, to a memory that is the only past.
#[test]
fn a_place_of_another_hub_is_waited_for_although_memory_is_the_only_past() {
    let journal = SteppedJournal::new(Epoch::new(7).unwrap(), 16).shared();
    let mut driven = Driven::open_empty(&journal);
    let commit = |event: Event| {
        let event = Submission::Event(Draft::new(topic("a"), event));
        drop(journal.append(&mut std::iter::once(event), Now::read()));
    };
    for number in 1..=3 {
        let id = EventId::new(format!("given {number}")).unwrap();
        commit(Event::new(number.to_string()).with_id(id));
    }
    journal.feed_through(sequence(1));
    let given = |number| Start::After(format!("given {number}").into());
    let mut back = [driven.cursor(2), given(2), driven.cursor(1), given(1), given(4)]
        .map(|start| driven.hub.subscribe(topic("a"), start));
    for (at, back) in back.iter_mut().enumerate() {
        assert_eq!(driven.read(back), [""; 0], "reader {at} before the feed has reached its place");
    }
    journal.feed();
    let [place, id, fed_place, fed_id, unknown] = &mut back;
    for (reader, expected) in [
        (place, &["3"][..]),
        (id, &["3"]),
        (fed_place, &["2", "3"]),
        (fed_id, &["2", "3"]),
        (unknown, &["gap Some(\"given 1\")", "1", "2", "3"]),
    ] {
        assert_eq!(driven.read(reader), expected);
    }
    // A place that was never committed leads nowhere, once the journal can be asked.
    journal.set_readable(false);
    let mut nowhere = driven.hub.subscribe(topic("a"), driven.cursor(5_000));
    assert_eq!(driven.read(&mut nowhere), [""; 0]);
    journal.set_readable(true);
    driven.hub.tick(Now::read() + std::time::Duration::from_secs(1));
    assert!(driven.read(&mut nowhere)[0].starts_with("gap "));
}

#[test]
fn commit_times_that_go_back_are_clamped() {
    let journal = with_past(0);
    let mut driven = Driven::open_empty(&journal);
    let (now, mut live) = (Now::read(), driven.hub.subscribe(topic("a"), Start::Tail));
    for millis in [5_000, 3_000, 9_000] {
        let now = Now { time: Time::from_unix_millis(millis), ..now };
        let event = Submission::Event(draft("a", "x"));
        drop(journal.append(&mut std::iter::once(event), now));
    }
    journal.feed();
    assert_eq!(driven.read(&mut live), ["x"; 3]);
    let page = ready(driven.hub.page(topic("a"), Start::Oldest, 10));
    let times = page.events.iter().map(|event| event.time.unix_millis());
    assert_eq!(times.collect::<Vec<_>>(), [5_000, 5_000, 9_000]);
}

#[test]
fn entries_that_the_feed_has_lost_are_told_to_every_reader_before_them() {
    let journal = with_past(4);
    let mut driven = Driven::open(&journal);
    let mut quiet = driven.hub.subscribe(topic("quiet"), Start::Tail);
    assert_eq!(driven.read(&mut quiet), [""; 0]);
    let (flag, waker) = Flag::new();
    assert!(pin!(&mut quiet).poll_next(&mut Context::from_waker(&waker)).is_pending());
    let lost = ready(driven.hub.publish(draft("a", "lost"))).unwrap();
    journal.lose(lost.sequence);
    journal.feed();
    driven.work();
    assert!(flag.take(), "its topic may have been the lost one's");
    assert_eq!(driven.read(&mut quiet), ["gap None"]);
    let mut after = driven.hub.subscribe(topic("quiet"), driven.cursor(lost.sequence.get()));
    assert_eq!(driven.read(&mut after), [""; 0], "told once");
}

#[test]
fn damage_that_a_page_finds_is_told_once_and_the_rest_is_read() {
    let journal = with_past(300).beginning_with(10);
    journal.lose(sequence(99));
    let mut driven = Driven::open(&journal);
    let mut back = driven.hub.subscribe(topic("a"), driven.cursor(50));
    let found = driven.read(&mut back);
    let gaps = found.iter().filter(|found| found.starts_with("gap")).count();
    assert_eq!(gaps, 1, "{found:?}");
    let events: Vec<_> = found.into_iter().filter(|found| !found.starts_with("gap")).collect();
    let expected = (51..300).filter(|n| n % 2 == 1 && *n != 99).map(|n| n.to_string());
    assert_eq!(events, expected.collect::<Vec<_>>());
    let mut again = driven.hub.subscribe(topic("b"), driven.cursor(120));
    assert_eq!(driven.read(&mut again)[0], "122", "nothing after its place is lost");
}

#[test]
fn an_id_that_the_journal_alone_has_is_found_within_the_view() {
    let journal = SteppedJournal::new(Epoch::new(7).unwrap(), 16).beginning_with(5);
    for number in 1..=100_u64 {
        for name in ["a", "b"] {
            let event = Event::new(format!("{name}{number}"));
            let id = EventId::new(number.to_string()).unwrap();
            let event = Submission::Event(Draft::new(topic(name), event.with_id(id)));
            drop(journal.append(&mut std::iter::once(event), Now::read()));
        }
    }
    let mut driven = Driven::open(&journal);
    for lookup in [false, true] {
        let mut start = Start::After("40".into());
        if lookup {
            let view = View::from(topic("b"));
            let hub = driven.hub.clone();
            let mut locating = Box::pin(async move { hub.locate(&view, start).await });
            let (_, waker) = Flag::new();
            let mut cx = Context::from_waker(&waker);
            assert!(locating.as_mut().poll(&mut cx).is_pending());
            driven.work();
            let Poll::Ready(located) = locating.as_mut().poll(&mut cx) else { panic!("found") };
            start = located;
        }
        let mut back = driven.hub.subscribe(topic("b"), start);
        if lookup {
            assert_eq!(back.started_after().map(EventId::as_str), Some("40"));
        }
        let found = driven.read(&mut back);
        assert_eq!((found.len(), &*found[0]), (60, "b41"));
    }
    let mut unknown = driven.hub.subscribe(topic("b"), Start::After("4711".into()));
    let found = driven.read(&mut unknown);
    assert_eq!((found.len(), &*found[0], &*found[1]), (101, "gap Some(\"1\")", "b1"));
}

#[test]
fn a_topic_that_was_closed_behind_memory_ends_its_readers_streams() {
    let journal = SteppedJournal::new(Epoch::new(7).unwrap(), 16).beginning_with(5);
    let append = |submission| drop(journal.append(&mut std::iter::once(submission), Now::read()));
    append(Submission::Event(draft("a", "first")));
    append(Submission::Close(topic("a")));
    (0..50).for_each(|_| append(Submission::Event(draft("b", "x"))));
    let mut driven = Driven::open(&journal);
    let mut back = driven.hub.subscribe(topic("a"), driven.cursor(1));
    assert!(!back.is_closed(), "memory does not know yet");
    assert_eq!(driven.read(&mut back), [""; 0]);
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(pin!(&mut back).poll_next(&mut cx), Poll::Ready(None));
    drop(back);
    assert!(driven.hub.subscribe(topic("a"), driven.cursor(1)).is_closed());
    assert!(!driven.hub.subscribe(topic("a"), Start::Tail).is_closed());
}

#[test]
fn pages_are_shared_and_bounded() {
    let journal = with_past(2_000).beginning_with(10);
    let mut driven = Driven::open(&journal);
    let mut readers: Vec<_> =
        (0..100).map(|_| driven.hub.subscribe(topic("a"), Start::Oldest)).collect();
    let wakers: Vec<_> = readers.iter().map(|_| Flag::new()).collect();
    let mut counts = vec![0; readers.len()];
    // All of them in turn, so that they stand at the same place.
    let mut is_moving = true;
    while is_moving {
        is_moving = false;
        for ((reader, (_, waker)), count) in readers.iter_mut().zip(&wakers).zip(&mut counts) {
            let mut cx = Context::from_waker(waker);
            while let Poll::Ready(Some(Found::Event(_))) = pin!(&mut *reader).poll_next(&mut cx) {
                (*count, is_moving) = (*count + 1, true);
            }
        }
        driven.work();
        is_moving |= wakers.iter().any(|(flag, _)| flag.take());
    }
    assert_eq!(counts, [1_000; 100]);
    let pages = journal.take_reads();
    assert!(pages <= 1_000_u64.div_ceil(16) + 2, "{pages} pages for 100 readers");
    assert!(driven.hub.stats().topics <= 2, "pages make no topics known");
}

#[test]
fn readers_at_many_places_have_a_bounded_number_of_pages_between_them() {
    const READERS: u64 = 60;
    let journal = SteppedJournal::new(Epoch::new(7).unwrap(), 1_000).beginning_with(10);
    for number in 0..6_000_u64 {
        let name = format!("topic/{}", number % READERS);
        let event = Submission::Event(draft(&name, &format!("{number:0500}")));
        drop(journal.append(&mut std::iter::once(event), Now::read()));
    }
    let mut config = HubConfig::default();
    config.pages_bytes_max = 600_000;
    let mut driven = Driven::open_with(&journal, config);
    assert_eq!(driven.hub.stats().published, 0, "they were published before");
    let topics = (0..READERS).map(|number| topic(&format!("topic/{number}")));
    let mut readers: Vec<_> =
        topics.map(|topic| driven.hub.subscribe(topic, Start::Oldest)).collect();
    let mut counts = vec![0_u32; readers.len()];
    let (flag, waker) = Flag::new();
    let mut most = 0;
    waker.wake_by_ref();
    while flag.take() {
        let mut cx = Context::from_waker(&waker);
        for (reader, count) in readers.iter_mut().zip(&mut counts) {
            // None takes a page whole at once: it is read again if it had to make room.
            for _ in 0..30 {
                match pin!(&mut *reader).poll_next(&mut cx) {
                    Poll::Ready(Some(Found::Event(_))) => *count += 1,
                    other => {
                        assert_eq!(other, Poll::Pending);
                        break;
                    }
                }
                waker.wake_by_ref();
            }
        }
        driven.work();
        most = most.max(driven.hub.stats().pages_bytes);
    }
    assert_eq!(counts, vec![100; READERS as usize]);
    assert!((100_000..600_000).contains(&most), "{most}");
}

#[test]
fn a_journal_that_has_stopped_refuses_and_the_hub_goes_on() {
    let journal = with_past(100).beginning_with(10);
    let mut driven = Driven::open(&journal);
    journal.stop();
    let refused = ready(driven.hub.publish(draft("a", "late"))).unwrap_err();
    assert_eq!(refused, PublishError::NotCommitted(NotCommitted::Stopped));
    let hub = driven.hub.clone();
    let before = hub.uptime();
    // The ticks go on after the feed's end, and the error is the future's.
    let drive = hub.drive_with(stream::repeat(()));
    driven.run = Box::pin(async { drop(drive.await) });
    let (_, waker) = Flag::new();
    let mut cx = Context::from_waker(&waker);
    while hub.uptime() == before {
        assert!(driven.run.as_mut().poll(&mut cx).is_pending());
        std::thread::yield_now();
    }
    let mut back = hub.subscribe(topic("a"), driven.cursor(50));
    let mut count = 0;
    while count < 25 {
        match pin!(&mut back).poll_next(&mut cx) {
            Poll::Ready(Some(Found::Event(_))) => count += 1,
            other => assert_eq!(other, Poll::Pending),
        }
        journal.go_on();
        assert!(driven.run.as_mut().poll(&mut cx).is_pending());
    }
    let ended = smol::block_on(hub.drive_with(stream::iter([(); 3])));
    assert!(ended.is_err(), "told when its ticks are over");
}

//! Readers behind memory that wait in line for the journal.

use std::num::NonZeroUsize;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream as _;
use tidings_hub::engine::{Read, Tap, TurnMax};
use tidings_hub::journal::{Journal as _, Submission};
use tidings_hub::{
    Epoch, Event, EventId, Found, HubConfig, Now, Start, Subscriber, TopicFilter, View,
};
use tidings_testkit::stepped_journal::SteppedJournal;
use tidings_testkit::waker::Flag;

use crate::driven::{Driven, draft, topic, with_past};

fn append(journal: &SteppedJournal, submission: Submission) {
    drop(journal.append(&mut std::iter::once(submission), Now::read()));
}

/// Beyond some number of readers, each one that asked pushed out another, which asked again.
#[test]
fn readers_get_on_in_the_order_in_which_they_asked_however_many_there_are() {
    const READERS: u64 = 20_000;
    let journal = with_past(2 * READERS + 100).beginning_with(10);
    let mut driven = Driven::open(&journal);
    let mut readers: Vec<(Subscriber, _, bool)> = (0..READERS)
        .map(|n| {
            let name = if n % 2 == 0 { "a" } else { "b" };
            (driven.hub.subscribe(topic(name), driven.cursor(n)), Flag::new(), false)
        })
        .collect();
    readers.iter().for_each(|(_, (_, waker), _)| waker.wake_by_ref());
    let (_, waker) = Flag::new();
    // Each turn reads some pages, and those who have read one ask for the next.
    for _ in 0..READERS.div_ceil(4) + 10 {
        for (reader, (flag, waker), has_read) in &mut readers {
            while flag.take() {
                let mut cx = Context::from_waker(waker);
                while pin!(&mut *reader).poll_next(&mut cx).is_ready() {
                    *has_read = true;
                }
            }
        }
        // The driver looks at the feed after each page.
        for _ in 0..4 {
            journal.go_on();
            assert!(driven.run.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
    }
    let left = readers.iter().filter(|(.., has_read)| !has_read).count();
    assert_eq!(left, 0, "readers have got nothing while others went on");
}

/// A journal that is read faster than readers come for their pages dropped the pages that were needed next.
#[test]
fn readers_that_were_called_first_find_their_pages_however_many_are_read_meanwhile() {
    const READERS: u64 = 60;
    let journal = SteppedJournal::new(Epoch::new(7).unwrap(), 1_000).beginning_with(10);
    for number in 0..6_000_u64 {
        let name = format!("topic/{}", number % READERS);
        append(&journal, Submission::Event(draft(&name, &format!("{number:0500}"))));
    }
    let mut config = HubConfig::default();
    config.pages_bytes_max = 600_000;
    let mut driven = Driven::open_with(&journal, config);
    let mut readers: Vec<_> = (0..READERS)
        .map(|n| driven.hub.subscribe(topic(&format!("topic/{n}")), Start::Oldest))
        .collect();
    let (_, waker) = Flag::new();
    let mut cx = Context::from_waker(&waker);
    readers.iter_mut().for_each(|reader| assert!(pin!(reader).poll_next(&mut cx).is_pending()));
    let _ = journal.take_reads();
    driven.work();
    assert_eq!(journal.take_reads(), READERS, "no reader waits for another one to come");
    assert!(driven.hub.stats().pages_bytes <= 600_000);
    for reader in &mut readers[..5] {
        for _ in 0..99 {
            assert!(pin!(&mut *reader).poll_next(&mut cx).is_ready(), "its page is there");
        }
    }
    assert_eq!(journal.take_reads(), 0);
}

/// Each heartbeat lets a slot read again, and each read listed it once more.
#[test]
fn a_slot_that_asks_again_and_again_is_called_once() {
    let journal = with_past(200).beginning_with(10);
    let mut driven = Driven::open(&journal);
    journal.set_readable(false);
    let (_, waker) = Flag::new();
    let tap = Tap::open(&driven.hub, 16, waker);
    let view = View::from(topic("a"));
    let (mut after, mut state) = tap.subscribe(&view, driven.cursor(50)).into_state();
    let max = TurnMax { bytes: 1_000, steps: 1_000 };
    let (mut hints, mut slots) = (Vec::new(), Vec::new());
    let mut now = Now::read();
    for _ in 0..100 {
        let (read, _) = tap.read(7, (&mut state, &mut after), max, |_, _| ());
        assert_eq!(read, Read::Waiting);
        driven.work();
        now = now + Duration::from_secs(5);
        driven.hub.tick(now);
    }
    tap.drain(&mut hints, &mut slots);
    assert!(slots.len() <= 1, "told of the failure once: {slots:?}");
    slots.clear();
    journal.set_readable(true);
    driven.hub.tick(now + Duration::from_secs(5));
    driven.work();
    tap.drain(&mut hints, &mut slots);
    assert_eq!(slots, [7]);
    let mut count = 0;
    tap.read(7, (&mut state, &mut after), max, |_, _| count += 1);
    assert!(count > 0);
    tap.release(state);
}

/// Only 1,024 counts were kept, so the first ones were gone when the last were made.
#[test]
fn a_view_of_many_topics_with_a_limit_is_read_behind_memory() {
    const TOPICS: usize = 1_500;
    let journal = SteppedJournal::new(Epoch::new(7).unwrap(), 1_000).beginning_with(10);
    for number in 0..3 * TOPICS {
        let name = format!("topic/{}", number % TOPICS);
        append(&journal, Submission::Event(draft(&name, &(number / TOPICS).to_string())));
    }
    let mut config = HubConfig::default();
    config.retention.topic_events_max = NonZeroUsize::new(2);
    let mut driven = Driven::open_with(&journal, config);
    let filters = (0..TOPICS).map(|n| TopicFilter::Exact(topic(&format!("topic/{n}"))));
    let mut reader = driven.hub.subscribe(View::new(filters), Start::Oldest);
    let found = driven.read(&mut reader);
    assert_eq!(found.len(), 2 * TOPICS);
    assert!(found.iter().all(|data| data != "0"), "the oldest of each topic is beyond its limit");
}

#[test]
fn the_largest_limit_is_no_limit_behind_memory() {
    let journal = with_past(200).beginning_with(10);
    let mut config = HubConfig::default();
    config.retention.topic_events_max = Some(NonZeroUsize::MAX);
    let mut driven = Driven::open_with(&journal, config);
    let mut reader = driven.hub.subscribe(topic("a"), Start::Oldest);
    assert_eq!(driven.read(&mut reader).len(), 100);
}

#[test]
fn readers_that_look_up_their_ids_wait_in_line_and_are_told_no_gap() {
    const READERS: u64 = 3_000;
    let journal = SteppedJournal::new(Epoch::new(7).unwrap(), 16).beginning_with(5);
    for number in 1..=READERS + 1 {
        let id = EventId::new(format!("id/{number}")).unwrap();
        let event = Event::new(number.to_string()).with_id(id);
        append(&journal, Submission::Event(tidings_hub::Draft::new(topic("a"), event)));
    }
    let mut driven = Driven::open(&journal);
    let subscribe =
        |n: u64| driven.hub.subscribe(topic("a"), Start::After(format!("id/{n}").as_str().into()));
    // Those who leave take their look with them.
    (0..10_000).for_each(|n| drop(subscribe(1 + n % READERS)));
    let _ = journal.take_reads();
    let mut readers: Vec<_> = (1..=READERS).map(subscribe).collect();
    let (flag, waker) = Flag::new();
    for (n, reader) in (1..).zip(&mut readers) {
        let found = loop {
            match pin!(&mut *reader).poll_next(&mut Context::from_waker(&waker)) {
                Poll::Ready(found) => break found,
                Poll::Pending => {
                    driven.work();
                    assert!(flag.take());
                }
            }
        };
        let Some(Found::Event(held)) = found else { panic!("{found:?}") };
        assert_eq!(held.event.data(), (n + 1_u64).to_string());
    }
    assert!(journal.take_reads() < 2 * READERS);
}

#[test]
fn a_close_behind_memory_is_known_once_the_place_is_located() {
    let journal = SteppedJournal::new(Epoch::new(7).unwrap(), 16).beginning_with(5);
    append(&journal, Submission::Event(draft("a", "first")));
    append(&journal, Submission::Close(topic("a")));
    (0..50).for_each(|_| append(&journal, Submission::Event(draft("b", "x"))));
    let mut driven = Driven::open(&journal);
    let locate = |driven: &mut Driven, name: &str| {
        let (hub, view, start) = (driven.hub.clone(), View::from(topic(name)), driven.cursor(1));
        let mut locating = Box::pin(async move { hub.locate(&view, start).await });
        let (_, waker) = Flag::new();
        let mut cx = Context::from_waker(&waker);
        assert!(locating.as_mut().poll(&mut cx).is_pending(), "it is behind memory");
        driven.work();
        let Poll::Ready(start) = locating.as_mut().poll(&mut cx) else { panic!("it is located") };
        driven.hub.subscribe(topic(name), start)
    };
    journal.set_readable(false);
    assert!(
        !locate(&mut driven, "a").is_closed(),
        "a journal that cannot be read is not waited for"
    );
    journal.set_readable(true);
    driven.hub.tick(Now::read());
    driven.work();
    assert!(locate(&mut driven, "a").is_closed());
    let mut other = locate(&mut driven, "b");
    assert!(!other.is_closed());
    assert_eq!(driven.read(&mut other).len(), 50);
}

//! Readers of a topic that is published to faster than the journal counts its events.

use std::num::NonZeroUsize;
use std::pin::pin;
use std::task::{Context, Poll};

use futures_core::Stream as _;
use tidings_hub::journal::{Journal as _, Submission};
use tidings_hub::{Epoch, Found, HubConfig, Now, RetentionRule, Start, TopicLimits};
use tidings_testkit::stepped_journal::SteppedJournal;
use tidings_testkit::waker::Flag;

use crate::driven::{Driven, draft, topic};

/// Events that the topic keeps: more than memory has room for.
const KEPT: u64 = 1_000;
/// Events that there are when the reader asks.
const ASKED: u64 = 1_200;
/// Events that are published while it waits for one answer: as many as push all older ones out of memory.
const MEANWHILE: u64 = 20;

fn publish(journal: &SteppedJournal, events: u64) {
    let data = "x".repeat(1_000);
    let mut events = (0..events).map(|_| Submission::Event(draft("a", &data)));
    drop(journal.append(&mut events, Now::read()));
}

/// It is sent no more than if it had been answered at some moment since it asked, and it is sent something at last.
#[test]
fn a_reader_that_a_topic_outruns_is_sent_no_more_than_the_limit_of_a_moment_since_it_asked() {
    let journal = SteppedJournal::new(Epoch::new(7).unwrap(), 1_000).beginning_with(10);
    publish(&journal, ASKED);
    let mut config = HubConfig::default();
    config.retention.bytes_max = 8_000;
    let limits = TopicLimits::default().with_events_max(NonZeroUsize::new(KEPT as usize).unwrap());
    config.retention.rules = vec![RetentionRule::new(topic("a").into(), limits)];
    let mut driven = Driven::open_with(&journal, config);
    let mut reader = driven.hub.subscribe(topic("a"), Start::Oldest);
    let (_, waker) = Flag::new();
    let mut cx = Context::from_waker(&waker);
    let (mut rounds, mut found) = (0, Vec::new());
    while found.is_empty() {
        // It is told of a gap if events are lost that there were when it asked.
        while let Poll::Ready(next) = pin!(&mut reader).poll_next(&mut cx) {
            match next {
                Some(Found::Event(event)) => found.push(event.sequence.get()),
                Some(Found::Gap(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        rounds += 1;
        assert!(rounds < 100, "it is sent nothing while it is outrun");
        publish(&journal, MEANWHILE);
        journal.feed();
        driven.work();
    }
    assert!(rounds > 16, "it was answered after {rounds} rounds, and not outrun");
    assert!(found.iter().all(|&sequence| sequence > ASKED - KEPT), "{found:?}");
}

//! A hub on a stepped journal, driven by hand.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use futures_core::Stream as _;
use tidings_hub::journal::{Journal as _, Submission};
use tidings_hub::{
    Cursor, Draft, Epoch, Event, EventId, Found, Hub, HubConfig, Now, Sequence, Start, Subscriber,
    Topic,
};
use tidings_testkit::stepped::ready;
use tidings_testkit::stepped_journal::SteppedJournal;
use tidings_testkit::waker::Flag;

pub(crate) fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

pub(crate) fn sequence(number: u64) -> Sequence {
    Sequence::new(number).unwrap()
}

pub(crate) fn draft(name: &str, data: &str) -> Draft {
    Draft::new(topic(name), Event::new(data))
}

/// A hub on a journal, and the future that drives it.
pub(crate) struct Driven {
    pub(crate) hub: Hub,
    journal: SteppedJournal,
    pub(crate) run: Pin<Box<dyn Future<Output = ()>>>,
}

impl Driven {
    /// Opens a hub whose memory is small.
    pub(crate) fn open(journal: &SteppedJournal) -> Self {
        let mut config = HubConfig::default();
        config.retention.bytes_max = 8_000;
        Self::open_with(journal, config)
    }

    pub(crate) fn open_with(journal: &SteppedJournal, config: HubConfig) -> Self {
        let opening = Hub::builder().config(config).open(Box::new(journal.clone()));
        let mut opening = pin!(opening);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(opening.as_mut().poll(&mut cx).is_pending(), "the feed has not reached the tail");
        journal.feed();
        let hub = loop {
            match opening.as_mut().poll(&mut cx) {
                Poll::Ready(hub) => break hub.unwrap(),
                // It reads back streams.
                Poll::Pending => assert!(journal.go_on(), "the feed has reached it"),
            }
        };
        let _reads_of_marks = journal.take_reads();
        let run = Box::pin({
            let hub = hub.clone();
            async move { hub.run().await.unwrap() }
        });
        Self { hub, journal: journal.clone(), run }
    }

    /// Opens a hub on a journal without a past.
    pub(crate) fn open_empty(journal: &SteppedJournal) -> Self {
        let hub = ready(Hub::builder().open(Box::new(journal.clone()))).unwrap();
        let run = Box::pin({
            let hub = hub.clone();
            async move { hub.run().await.unwrap() }
        });
        let mut driven = Self { hub, journal: journal.clone(), run };
        driven.work();
        driven
    }

    /// Lets the hub and the journal work until nothing moves.
    pub(crate) fn work(&mut self) {
        let (flag, waker) = Flag::new();
        waker.wake_by_ref();
        while self.journal.go_on() | flag.take() {
            assert!(self.run.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
    }

    /// Reads what a subscriber finds until it waits for something new: data, or `gap` with the oldest event's ID.
    pub(crate) fn read(&mut self, subscriber: &mut Subscriber) -> Vec<String> {
        let (flag, waker) = Flag::new();
        let mut found = Vec::new();
        loop {
            match Pin::new(&mut *subscriber).poll_next(&mut Context::from_waker(&waker)) {
                Poll::Ready(Some(Found::Event(held))) => found.push(held.event.data().to_owned()),
                Poll::Ready(Some(Found::Gap(gap))) => {
                    found.push(format!("gap {:?}", gap.oldest.as_ref().map(EventId::as_str)));
                }
                Poll::Ready(_) => return found,
                Poll::Pending => {
                    self.work();
                    if !flag.take() {
                        return found;
                    }
                }
            }
        }
    }

    pub(crate) fn cursor(&self, number: u64) -> Start {
        Cursor { epoch: self.hub.epoch(), sequence: sequence(number) }.into()
    }
}

/// A journal with a past: events numbered from 1 in topics `a` and `b` in turn.
pub(crate) fn with_past(events: u64) -> SteppedJournal {
    let journal = SteppedJournal::new(Epoch::new(7).unwrap(), 16);
    for number in 1..=events {
        let name = if number % 2 == 1 { "a" } else { "b" };
        let event = Submission::Event(draft(name, &number.to_string()));
        drop(journal.append(&mut std::iter::once(event), Now::read()));
    }
    journal
}

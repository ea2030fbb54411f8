//! Async subscribers and bodies as the readers of a schedule.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_core::Stream as _;
use tidings_hub::{Client, EventId, Found, Start, Subscriber};
use tidings_testkit::model::{Expectation, Readers, Schedule};
use tidings_testkit::waker::Flag;

use crate::bytewise::Bytewise;

pub(crate) struct AsyncReaders {
    subscribers: Vec<Async>,
    bytewise: Vec<Bytewise>,
}

struct Async {
    subscriber: Subscriber,
    expected: Expectation,
    flag: Arc<Flag>,
    waker: Waker,
    pending: bool,
}

impl Readers for AsyncReaders {
    const HAVE_STREAMS: bool = true;

    fn new(_: &mut Schedule) -> Self {
        Self { subscribers: Vec::new(), bytewise: Vec::new() }
    }

    fn step(&mut self, schedule: &mut Schedule) {
        match schedule.rng.u32(0..44) {
            0..9 => self.subscribe(schedule),
            9..15 => self.open_bytewise(schedule),
            15..27 => self.read(schedule),
            27..36 => self.read_bytes(schedule),
            36 => read_pages(schedule),
            37..39 => self.leave(schedule),
            _ => self.cut(schedule),
        }
    }

    fn check_woken(&mut self, schedule: &mut Schedule) {
        for reader in self.subscribers.iter_mut().filter(|reader| reader.pending) {
            let (woken, expected) = (reader.flag.take(), &reader.expected);
            let is_asleep = !woken && expected.has_more(&schedule.reference);
            assert!(!is_asleep, "asleep at an event: {expected:?}");
            reader.pending &= !woken;
        }
        self.bytewise.iter_mut().for_each(|reader| reader.check_woken(&schedule.reference));
    }

    fn leave_all(&mut self, schedule: &mut Schedule) -> bool {
        while !self.subscribers.is_empty() {
            self.leave(schedule);
        }
        while !self.bytewise.is_empty() {
            self.cut(schedule);
        }
        true
    }

    fn finish(mut self, schedule: &mut Schedule) {
        for reader in &mut self.subscribers {
            while reader.poll(schedule) {}
        }
        for reader in &mut self.bytewise {
            while reader.take_piece(schedule) {}
            reader.text.take(usize::MAX);
        }
    }
}

impl AsyncReaders {
    fn subscribe(&mut self, schedule: &mut Schedule) {
        let (start, view, expected) = schedule.open();
        let subscriber = schedule.hub.subscribe(view, start);
        // The meaning of an ID is decided now.
        schedule.drive();
        let (flag, waker) = Flag::new();
        self.subscribers.push(Async { subscriber, expected, flag, waker, pending: false });
    }

    fn read(&mut self, schedule: &mut Schedule) {
        let Some(at) = any(self.subscribers.len(), schedule) else { return };
        let mut polls = schedule.rng.usize(1..50);
        while polls > 0 && self.subscribers[at].poll(schedule) {
            polls -= 1;
            schedule.press();
            self.check_woken(schedule);
        }
    }

    fn open_bytewise(&mut self, schedule: &mut Schedule) {
        let (start, view, expected) = schedule.open();
        let client = if schedule.rng.bool() { Client::EventSource } else { Client::Other };
        let body = schedule.hub.subscribe(view, start).into_body().for_client(client);
        schedule.drive();
        self.bytewise.push(Bytewise::new(body, expected));
    }

    /// Lets one reader take some pieces, and some bytes of them one at a time.
    fn read_bytes(&mut self, schedule: &mut Schedule) {
        let Some(at) = any(self.bytewise.len(), schedule) else { return };
        for _ in 0..schedule.rng.usize(1..4) {
            self.bytewise[at].take_piece(schedule);
            schedule.press();
            self.check_woken(schedule);
        }
        // Few or many: most are cut in the midst of an event.
        let bytes = if schedule.rng.bool() { schedule.rng.usize(0..200) } else { usize::MAX };
        self.bytewise[at].text.take(bytes);
    }

    fn leave(&mut self, schedule: &mut Schedule) {
        let Some(at) = any(self.subscribers.len(), schedule) else { return };
        let expected = self.subscribers.swap_remove(at).expected;
        if !expected.ended {
            schedule.left.push((expected.last_id, expected.view));
        }
    }

    /// Cuts a reader off wherever it is. It comes back with the ID of the last event it had whole.
    fn cut(&mut self, schedule: &mut Schedule) {
        let Some(at) = any(self.bytewise.len(), schedule) else { return };
        let text = self.bytewise.swap_remove(at).text;
        schedule.counts.add("streams cut in an event", u64::from(text.is_within_an_event()));
        schedule.left.extend(text.leave());
    }
}

impl Async {
    /// Polls the subscriber once; `false` if it has nothing more.
    fn poll(&mut self, schedule: &mut Schedule) -> bool {
        let Self { subscriber, expected, flag, waker, pending } = self;
        if expected.ended {
            return false;
        }
        flag.take();
        expected.look(&schedule.reference);
        let polled = pin!(subscriber).poll_next(&mut Context::from_waker(waker));
        let is_woken = polled.is_pending() && (flag.take() || schedule.drive() && flag.take());
        let Schedule { reference, counts, .. } = schedule;
        match polled {
            // It is to be polled again.
            Poll::Pending if is_woken => {
                *pending = false;
                true
            }
            Poll::Pending => {
                *pending = true;
                expected.at_tail(reference);
                false
            }
            Poll::Ready(Some(Found::Event(found))) => {
                let sequence = found.sequence.get();
                expected.event(reference, sequence, found.id.as_str(), found.event.data());
                let merged = expected.filters_matching(&reference.events[&sequence]) > 1;
                counts.add("merged filters", u64::from(merged));
                true
            }
            Poll::Ready(Some(Found::Gap(gap))) => {
                let oldest = gap.oldest.as_ref().map(EventId::as_str);
                expected.gap(reference, &gap.asked, oldest, gap.place);
                counts.add("gaps", 1);
                true
            }
            Poll::Ready(None) => {
                expected.end_seen(reference);
                counts.add("ends", 1);
                false
            }
            Poll::Ready(Some(_)) => unreachable!("there is nothing else to receive"),
        }
    }
}

/// Reads everything after a start by pages, one after the other, as a client that polls does.
fn read_pages(schedule: &mut Schedule) {
    let (mut start, view, _) = schedule.open();
    let (events_max, is_latest) = (schedule.rng.usize(1..20), start == Start::Tail);
    loop {
        let mut expected = Expectation::new(&schedule.reference, view.clone(), &start).past_ends();
        let page = schedule.hub.page(view.clone(), start.clone(), events_max);
        expected.look(&schedule.reference);
        let page = schedule.wait(page);
        assert!(page.events.len() <= events_max);
        if is_latest {
            let sequences = page.events.iter().map(|held| held.sequence.get());
            return expected.latest(&schedule.reference, events_max, sequences);
        }
        if let Some(gap) = &page.gap {
            let oldest = gap.oldest.as_ref().map(EventId::as_str);
            expected.gap(&schedule.reference, &gap.asked, oldest, gap.place);
        }
        for held in &page.events {
            let (sequence, id) = (held.sequence.get(), held.id.as_str());
            expected.event(&schedule.reference, sequence, id, held.event.data());
        }
        if page.events.is_empty() {
            expected.at_tail(&schedule.reference);
            schedule.counts.add("reads by pages", 1);
            return;
        }
        start = page.place.into();
    }
}

/// One of so many, at random.
fn any(len: usize, schedule: &mut Schedule) -> Option<usize> {
    (len > 0).then(|| schedule.rng.usize(0..len))
}

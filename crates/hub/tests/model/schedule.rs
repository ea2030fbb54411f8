//! One random schedule: publish, subscribe, read, leave, come back, evict, end.

use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fastrand::Rng;
use futures_core::Stream as _;
use tidings_hub::journal::MemoryJournal;
use tidings_hub::{
    Client, Cursor, Draft, Epoch, Event, EventId, Hub, HubConfig, IdempotencyKey, Now, Received,
    Sequence, Start, Subscriber, Time, Topic, TopicFilter, Topics, View,
};
use tidings_testkit::shard::{FakeShard, Sent};
use tidings_testkit::stepped::ready;
use tidings_testkit::waker::Flag;

use crate::Counts;
use crate::bytewise::Bytewise;
use crate::reference::{Expectation, Known, Reference};

pub(crate) struct Schedule {
    rng: Rng,
    hub: Hub,
    now: Now,
    topics: Vec<Topic>,
    reference: Reference,
    readers: Vec<Async>,
    bytewise: Vec<Bytewise>,
    shard: FakeShard,
    slots: Vec<(usize, Expectation)>,
    /// Last event IDs of readers that left.
    left: Vec<(String, View)>,
    keys: u32,
    limits: Limits,
    /// How often, in percent, something is evicted between two steps.
    pressure: u32,
    counts: Counts,
}

/// What evicts in a schedule.
struct Limits {
    bytes: bool,
    count: bool,
    age_max: Option<Duration>,
}

struct Async {
    subscriber: Subscriber,
    expected: Expectation,
    flag: Arc<Flag>,
    waker: Waker,
    pending: bool,
}

impl Schedule {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut config = HubConfig::default();
        config.heartbeat_interval = Duration::from_secs(3);
        let (bytes, count) = (rng.bool(), rng.bool());
        let age_max = rng.bool().then(|| Duration::from_secs(rng.u64(1..30)));
        if bytes {
            config.retention.bytes_max = rng.usize(8_000..25_000);
        }
        if count {
            config.retention.topic_events_max = NonZeroUsize::new(rng.usize(1..6));
        }
        config.retention.age_max = age_max;
        let limits = Limits { bytes, count, age_max };
        let pressure = [0, 0, 20, 100][rng.usize(0..4)];
        let names = ["a", "b", "a/1", "a/2", "a/2/x", "b/1"];
        let epoch = Epoch::new(rng.u64(1..1 << 60)).unwrap();
        let now = Now { time: Time::from_unix_millis(1_700_000_000_000), ..Now::read() };
        let hub = Hub::with_memory(config, MemoryJournal::with_epoch(epoch), now);
        let shard = FakeShard::new(&hub, rng.usize(1..20), Waker::noop().clone());
        Self {
            topics: names.map(|name| Topic::new(name).unwrap()).to_vec(),
            reference: Reference::new(epoch),
            readers: Vec::new(),
            bytewise: Vec::new(),
            slots: Vec::new(),
            left: Vec::new(),
            keys: 0,
            limits,
            pressure,
            counts: Counts::default(),
            rng,
            hub,
            now,
            shard,
        }
    }

    pub(crate) fn run(mut self, steps: usize) -> Counts {
        for _ in 0..steps {
            self.press();
            match self.rng.u32(0..100) {
                0..29 => self.publish(),
                29..32 => self.end(),
                32..39 => self.subscribe(),
                39..46 => self.add_slot(),
                46..50 => self.open_bytewise(),
                50..63 => self.read(),
                63..72 => self.read_bytes(),
                72..82 => self.turn(),
                82..85 => self.leave(),
                85..88 => self.remove_slot(),
                88..92 => self.cut(),
                92..94 => self.shard.overflow(),
                _ => self.tick(3_000),
            }
        }
        self.finish()
    }

    fn publish(&mut self) {
        let batch = if self.rng.u32(0..10) == 0 { self.rng.usize(2..60) } else { 1 };
        let drafts: Vec<Draft> = (0..batch).map(|_| self.draft(300)).collect();
        self.publish_drafts(drafts);
    }

    /// Lets something be evicted between two steps, in schedules that are under pressure: by age, by
    /// count, or by bytes.
    fn press(&mut self) {
        if self.rng.u32(0..100) >= self.pressure {
            return;
        }
        match self.limits {
            Limits { age_max: Some(age_max), .. } if self.rng.u32(0..3) == 0 => {
                self.tick(age_max.as_millis() as u64);
            }
            Limits { count: true, .. } if self.rng.bool() => {
                let draft = self.draft(10);
                self.publish_drafts(vec![draft]);
            }
            Limits { bytes: true, .. } => {
                let draft = self.draft(2_000);
                self.publish_drafts(vec![draft]);
            }
            _ => {}
        }
    }

    fn publish_drafts(&mut self, drafts: Vec<Draft>) {
        let repeat = self.rng.u32(0..8) == 0;
        let mut drafts_sent = drafts.clone();
        if repeat {
            self.keys += 1;
            let key = IdempotencyKey::new(&self.keys.to_string()).unwrap();
            for (index, draft) in drafts_sent.iter_mut().enumerate() {
                *draft = draft.clone().with_idempotency_key(key.at(index as u64));
            }
        }
        let published = ready(self.hub.publish_all(drafts_sent.clone()).unwrap()).unwrap();
        for (draft, published) in drafts.iter().zip(&published) {
            assert!(!published.is_duplicate);
            assert_eq!(published.sequence.get(), self.reference.tail + 1);
            self.reference.tail += 1;
            let topics = draft.topics().as_slice().to_vec();
            let known = Known {
                held: vec![true; topics.len()],
                topics,
                id: published.id().to_string(),
                data: draft.event().data().to_owned(),
            };
            self.reference.events.insert(self.reference.tail, known);
        }
        if repeat {
            let again = ready(self.hub.publish_all(drafts_sent).unwrap()).unwrap();
            assert!(again.iter().zip(&published).all(|(a, p)| a.is_duplicate && a.id() == p.id()));
            self.counts.add("duplicates", again.len() as u64);
        }
        let evicted = self.observe();
        match (self.limits.count, self.limits.bytes) {
            (true, false) => self.counts.add("evictions by count", evicted),
            (false, true) => self.counts.add("evictions by bytes", evicted),
            _ => {}
        }
        self.check_woken();
    }

    fn draft(&mut self, len_max: usize) -> Draft {
        let data = format!("{}{}", self.rng.u32(..), "x".repeat(self.rng.usize(0..len_max)));
        let mut event = Event::new(data);
        if self.rng.u32(0..5) == 0 {
            event = event.with_id(EventId::new(self.given_id()).unwrap());
            self.counts.add("publisher-given IDs", 1);
        }
        let count = if self.rng.u32(0..4) == 0 { self.rng.usize(2..4) } else { 1 };
        let topics: Vec<_> = (0..count).map(|_| self.topic()).collect();
        Draft::with_topics(Topics::new(topics).unwrap(), event).with_private(self.rng.bool())
    }

    /// One of few, so that events share them; some are of another hub's making, as a relay's are.
    fn given_id(&mut self) -> String {
        match self.rng.u64(0..14) {
            foreign @ 0..4 => {
                let sequence = Sequence::new(foreign).unwrap();
                Cursor { epoch: Epoch::new(1).unwrap(), sequence }.to_string()
            }
            own => format!("given-{own}"),
        }
    }

    fn topic(&mut self) -> Topic {
        self.topics[self.rng.usize(0..self.topics.len())].clone()
    }

    fn end(&mut self) {
        let topic = self.topic();
        ready(self.hub.end(topic.clone())).unwrap();
        self.reference.tail += 1;
        self.reference.ends.insert(self.reference.tail, topic);
        self.observe();
        self.check_woken();
    }

    /// Looks at what the hub still holds; the answer is how much it has evicted.
    fn observe(&mut self) -> u64 {
        let before = self.reference.evictions;
        self.reference.observe(&self.hub, &self.topics);
        self.reference.evictions - before
    }

    /// Whoever waits and has something to read must have been woken.
    fn check_woken(&mut self) {
        for reader in self.readers.iter_mut().filter(|reader| reader.pending) {
            let woken = reader.flag.take();
            assert!(woken || !reader.expected.has_more(&self.reference), "asleep at an event");
            reader.pending &= !woken;
        }
        self.bytewise.iter_mut().for_each(|reader| reader.check_woken(&self.reference));
    }

    fn view(&mut self) -> View {
        let patterns = ["a/*", "**", "*/1", "a/**", "*"];
        let filter = |this: &mut Self| match this.rng.u32(0..4) {
            0 => TopicFilter::pattern(patterns[this.rng.usize(0..patterns.len())]).unwrap(),
            _ => this.topic().into(),
        };
        match self.rng.u32(0..30) {
            // Sees nothing.
            0 => View::new([]),
            1..10 => self.topic().into(),
            10..20 => {
                let topics: Vec<_> =
                    (0..self.rng.usize(1..4)).map(|_| self.topic().into()).collect();
                View::new(topics)
            }
            _ => {
                let filters: Vec<_> = (0..self.rng.usize(1..4)).map(|_| filter(self)).collect();
                View::new(filters)
            }
        }
    }

    fn start(&mut self) -> (Start, View) {
        let view = self.view();
        let cursor = |epoch, sequence| Cursor { epoch, sequence: Sequence::new(sequence).unwrap() };
        let tail = self.reference.tail;
        let start = match self.rng.u32(0..20) {
            0..3 => Start::Tail,
            3..6 => Start::Oldest,
            6 => {
                self.counts.add("foreign epochs", 1);
                cursor(Epoch::new(2).unwrap(), self.rng.u64(0..tail + 2)).into()
            }
            7 => {
                self.counts.add("places past the tail", 1);
                let past = [1, 2, 1_000, Sequence::MAX.get() - tail][self.rng.usize(0..4)];
                cursor(self.reference.epoch, tail + past).into()
            }
            8 => cursor(self.reference.epoch, self.rng.u64(0..tail + 1)).into(),
            9..12 => Start::After(self.given_id().into()),
            12 => Start::After("nowhere".repeat(self.rng.usize(1..60)).into()),
            _ => {
                let Some(at) = self.left.len().checked_sub(1) else { return (Start::Tail, view) };
                let (id, view) = self.left.swap_remove(self.rng.usize(0..=at));
                self.counts.add("resumes", 1);
                return (Start::After(id.into()), view);
            }
        };
        (start, view)
    }

    fn subscribe(&mut self) {
        let (start, view) = self.start();
        let expected = Expectation::new(&self.reference, view.clone(), &start);
        let subscriber = self.hub.subscribe(view, start);
        let (flag, waker) = Flag::new();
        self.readers.push(Async { subscriber, expected, flag, waker, pending: false });
    }

    fn add_slot(&mut self) {
        let (start, view) = self.start();
        let expected = Expectation::new(&self.reference, view.clone(), &start);
        let slot = self.shard.add(&view, start);
        self.slots.push((slot, expected));
    }

    fn read(&mut self) {
        if self.readers.is_empty() {
            return;
        }
        let at = self.rng.usize(0..self.readers.len());
        let mut polls = self.rng.usize(1..50);
        while polls > 0 && self.poll(at) {
            polls -= 1;
            self.press();
        }
    }

    fn open_bytewise(&mut self) {
        let (start, view) = self.start();
        let expected = Expectation::new(&self.reference, view.clone(), &start);
        let client = if self.rng.bool() { Client::EventSource } else { Client::Other };
        let body = self.hub.subscribe(view, start).into_body().for_client(client);
        self.bytewise.push(Bytewise::new(body, expected));
    }

    /// Lets one reader take some pieces, and some bytes of them one at a time.
    fn read_bytes(&mut self) {
        if self.bytewise.is_empty() {
            return;
        }
        let at = self.rng.usize(0..self.bytewise.len());
        for _ in 0..self.rng.usize(1..4) {
            self.bytewise[at].take_piece(&self.reference, &mut self.counts);
            self.press();
        }
        // Few or many: most are cut in the midst of an event.
        let bytes = if self.rng.bool() { self.rng.usize(0..200) } else { usize::MAX };
        self.bytewise[at].take_bytes(bytes);
    }

    /// Cuts a reader off wherever it is. It comes back with the ID of the last event it had whole.
    fn cut(&mut self) {
        if self.bytewise.is_empty() {
            return;
        }
        let at = self.rng.usize(0..self.bytewise.len());
        let reader = self.bytewise.swap_remove(at);
        self.counts.add("streams cut in an event", u64::from(reader.is_within_an_event()));
        self.left.extend(reader.leave());
    }

    /// Polls a subscriber once; `false` if it has nothing more.
    fn poll(&mut self, at: usize) -> bool {
        let Async { subscriber, expected, flag, waker, pending } = &mut self.readers[at];
        if expected.ended {
            return false;
        }
        flag.take();
        match pin!(subscriber).poll_next(&mut Context::from_waker(waker)) {
            Poll::Pending if flag.take() => true,
            Poll::Pending => {
                *pending = true;
                expected.at_tail(&self.reference);
                false
            }
            Poll::Ready(Some(Received::Event(found))) => {
                let sequence = found.sequence.get();
                expected.event(&self.reference, sequence, found.id.as_str(), found.event.data());
                let known = &self.reference.events[&sequence];
                self.counts.add("merged filters", u64::from(expected.filters_matching(known) > 1));
                true
            }
            Poll::Ready(Some(Received::Gap(gap))) => {
                let oldest = gap.oldest.as_ref().map(EventId::as_str);
                expected.gap(&self.reference, &gap.asked, oldest, gap.place);
                self.counts.add("gaps", 1);
                true
            }
            Poll::Ready(None) => {
                expected.end_seen(&self.reference);
                self.counts.add("ends", 1);
                false
            }
            Poll::Ready(Some(_)) => unreachable!("there is nothing else to receive"),
        }
    }

    fn turn(&mut self) {
        let Self { shard, rng, .. } = self;
        shard.turn(|_| rng.u32(0..4) > 0);
        self.check_slots();
    }

    fn check_slots(&mut self) {
        for (slot, expected) in &mut self.slots {
            for sent in self.shard.take_sent(*slot) {
                match sent {
                    Sent::Gap(gap) => {
                        let oldest = gap.oldest.as_ref().map(EventId::as_str);
                        expected.gap(&self.reference, &gap.asked, oldest, gap.place);
                        self.counts.add("gaps", 1);
                    }
                    Sent::End => {
                        expected.end_seen(&self.reference);
                        self.counts.add("ends", 1);
                    }
                    Sent::Chunk(chunk) => {
                        let (id, data) = decode(&chunk);
                        let sequence = self.reference.sequence_of(&id, &data);
                        expected.event(&self.reference, sequence, &id, &data);
                        let known = &self.reference.events[&sequence];
                        let merged = expected.filters_matching(known) > 1;
                        self.counts.add("merged filters", u64::from(merged));
                    }
                }
            }
        }
    }

    fn leave(&mut self) {
        if self.readers.is_empty() {
            return;
        }
        let reader = self.readers.swap_remove(self.rng.usize(0..self.readers.len()));
        if !reader.expected.ended {
            self.left.push((reader.expected.last_id, reader.expected.view));
        }
    }

    fn remove_slot(&mut self) {
        if self.slots.is_empty() {
            return;
        }
        let (slot, expected) = self.slots.swap_remove(self.rng.usize(0..self.slots.len()));
        self.shard.remove(slot);
        if !expected.ended {
            self.left.push((expected.last_id, expected.view));
        }
    }

    fn tick(&mut self, millis_max: u64) {
        self.now = self.now + Duration::from_millis(self.rng.u64(0..millis_max));
        self.hub.tick(self.now);
        let evicted = self.observe();
        self.counts.add("evictions by age", evicted);
    }

    /// Lets everybody read to the tail.
    fn finish(mut self) -> Counts {
        for at in 0..self.readers.len() {
            while self.poll(at) {}
        }
        for reader in &mut self.bytewise {
            while reader.take_piece(&self.reference, &mut self.counts) {}
            reader.take_bytes(usize::MAX);
        }
        // The first turn may find the tap overflowed; after the second all stand at the tail.
        for _ in 0..2 {
            self.shard.turn(|_| true);
            self.check_slots();
        }
        self.slots.iter().for_each(|(_, expected)| expected.at_tail(&self.reference));
        let met = self.shard.counts();
        self.counts.add("dropped taps", met.dropped);
        self.counts.add("runs taken whole", met.taken);
        self.counts.add("runs passed over", met.past);
        self.counts
    }
}

/// Takes a chunk of HTTP/1.1's chunked coding apart, and the event in it.
fn decode(chunk: &[u8]) -> (String, String) {
    let text = std::str::from_utf8(chunk).unwrap();
    let (len, rest) = text.split_once("\r\n").unwrap();
    let frame = rest.strip_suffix("\r\n").unwrap();
    assert_eq!(usize::from_str_radix(len, 16).unwrap(), frame.len());
    let (id, data) = frame.split_once('\n').unwrap();
    let data = data.strip_prefix("data: ").unwrap().strip_suffix("\n\n").unwrap();
    (id.strip_prefix("id: ").unwrap().to_owned(), data.to_owned())
}

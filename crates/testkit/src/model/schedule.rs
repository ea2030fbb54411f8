//! One random schedule: publish, close, evict, step the time, and let readers read.
//!
//! Half of the schedules are on a journal in memory, and half on one that keeps its entries, feeds them
//! late, and drops them later.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fastrand::Rng;
use tidings_hub::journal::MemoryJournal;
use tidings_hub::{
    Cursor, Draft, Epoch, Event, EventId, Hub, HubConfig, IdempotencyKey, Now, PublishError,
    RetentionRule, Sequence, Start, Time, Topic, TopicFilter, Topics, View,
};

use super::Counts;
use super::driver::Driver;
use super::expectation::Expectation;
use super::reference::{Known, Reference};
use super::rules::{conflate, rules};
use super::streams::Streams;
use crate::stepped::ready;
use crate::stepped_journal::SteppedJournal;

/// The readers of a schedule: what is tested against the reference.
pub trait Readers {
    /// Whether topics have streams in some of the schedules.
    const HAVE_STREAMS: bool = false;

    /// Creates no readers yet.
    fn new(schedule: &mut Schedule) -> Self;

    /// Does one random thing: opens a reader, lets one read, leave, or be cut off.
    fn step(&mut self, schedule: &mut Schedule);

    /// Checks that every waiting reader that has something to read was woken.
    fn check_woken(&mut self, schedule: &mut Schedule);

    /// Lets all of them read to the tail, and checks that nothing is missing.
    fn finish(self, schedule: &mut Schedule);
}

/// A hub in stepped time, its reference, and all that is random.
#[derive(Debug)]
pub struct Schedule {
    /// Decides everything.
    pub rng: Rng,
    /// The hub that is tested.
    pub hub: Hub,
    /// The reference.
    pub reference: Reference,
    /// Last event IDs and views of readers that left: they may come back.
    pub left: Vec<(String, View)>,
    /// How often the schedule met what it is there for.
    pub counts: Counts,
    now: Now,
    topics: Vec<Topic>,
    /// How many events of each topic have an ID, in schedules whose publishers number them from 1; so
    /// events of different topics have the same IDs.
    numbers: Option<HashMap<Topic, u64>>,
    /// Whether publishers give IDs.
    has_ids: bool,
    keys: u32,
    limits: Limits,
    /// A journal that keeps its entries, and what drives the hub on it.
    kept: Option<(SteppedJournal, Driver)>,
    /// How often, in percent, something is evicted between two steps.
    pressure: u32,
    /// Decides when rules change, in schedules in which they do, and to which.
    changes: Option<Rng>,
    /// Whether topics have streams.
    has_streams: bool,
    pub(super) streams: Streams,
}

/// The limits by which a schedule evicts.
#[derive(Debug)]
struct Limits {
    bytes: bool,
    count: bool,
    age_max: Option<Duration>,
}

impl Schedule {
    /// Creates the schedule of a seed.
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut config = HubConfig::default();
        config.heartbeat_interval = Duration::from_secs(3);
        let is_kept = rng.bool();
        let (bytes, count) = (!is_kept && rng.bool(), !is_kept && rng.bool());
        let age_max = (!is_kept && rng.bool()).then(|| Duration::from_secs(rng.u64(1..30)));
        if bytes {
            config.retention.bytes_max = rng.usize(8_000..25_000);
        }
        if is_kept {
            config.retention.bytes_max = rng.usize(4_000..12_000);
            config.pages_bytes_max = rng.usize(0..2_000_000);
        }
        if count {
            config.retention.topic_events_max = NonZeroUsize::new(rng.usize(1..6));
        }
        config.retention.age_max = age_max;
        let has_rules = rng.bool();
        if has_rules {
            config.retention.rules = rules(&mut rng, is_kept);
            if seed % 4 == 1 {
                conflate(&mut config.retention.rules, seed);
            }
        }
        let rules = config.retention.rules.clone();
        let limits = Limits { bytes, count: count || (has_rules && !is_kept), age_max };
        let pressure = [0, 0, 20, 100][rng.usize(0..4)];
        let names = ["a", "b", "a/1", "a/2", "a/2/x", "b/1"];
        let epoch = Epoch::new(rng.u64(1..1 << 60)).unwrap();
        let now = Now { time: Time::from_unix_millis(1_700_000_000_000), ..Now::read() };
        let builder = Hub::builder().config(config).at(now);
        let (hub, kept) = if is_kept {
            let journal = SteppedJournal::new(epoch, rng.usize(1..30));
            let hub = ready(builder.open(Box::new(journal.clone()))).unwrap();
            let driver = Driver::new(&hub);
            (hub, Some((journal, driver)))
        } else {
            (builder.memory(MemoryJournal::with_epoch(epoch)).build(), None)
        };
        let mut schedule = Self {
            kept,
            topics: names.map(|name| Topic::new(name).unwrap()).to_vec(),
            reference: Reference::new(epoch),
            left: Vec::new(),
            numbers: rng.bool().then(HashMap::new),
            // The journal also finds the IDs of superseded events, which it has not dropped.
            has_ids: !(is_kept && has_rules),
            keys: 0,
            limits,
            pressure,
            // A generator of its own, so that seeds that have failed before make the schedules they made then.
            changes: (!is_kept && seed % 3 == 2).then(|| Rng::with_seed(!seed)),
            counts: Counts::default(),
            has_streams: false,
            streams: Streams::new(seed),
            rng,
            hub,
            now,
        };
        schedule.note_rules(&rules);
        schedule.drive();
        schedule
    }

    /// Runs the schedule of a seed; the answer is what it met.
    pub(super) fn run<R: Readers>(seed: u64, steps: usize) -> Counts {
        let mut schedule = Self::new(seed);
        schedule.has_streams = R::HAVE_STREAMS && seed % 3 == 1;
        schedule.reference.may_forget = schedule.has_streams && schedule.limits.bytes;
        let mut readers = R::new(&mut schedule);
        for step in 0..steps {
            schedule.press();
            schedule.change_rules();
            if schedule.has_streams && step % 4 == 0 {
                schedule.stream_step();
                readers.check_woken(&mut schedule);
            }
            match schedule.rng.u32(0..100) {
                0..25 => schedule.publish(),
                25..29 => schedule.feed(),
                29..32 => schedule.end(),
                32..94 => readers.step(&mut schedule),
                _ => schedule.tick(3_000),
            }
            readers.check_woken(&mut schedule);
        }
        schedule.feed_all();
        readers.finish(&mut schedule);
        schedule.counts
    }

    fn note_rules(&mut self, rules: &[RetentionRule]) {
        self.reference.clear_limits();
        for topic in &self.topics {
            if let Some(rule) = rules.iter().find(|rule| rule.filter.matches(topic.as_str())) {
                self.reference.limit(topic.clone(), rule.limits.clone());
            }
        }
    }

    /// Lets the limits of topics change now and then.
    fn change_rules(&mut self) {
        let Some(rng) = &mut self.changes else { return };
        if rng.u32(0..40) > 0 {
            return;
        }
        let mut retention = self.hub.config().retention.clone();
        retention.topic_events_max = NonZeroUsize::new(rng.usize(0..6));
        retention.age_max = rng.bool().then(|| Duration::from_secs(rng.u64(1..30)));
        retention.rules = if rng.u32(0..4) > 0 { rules(rng, false) } else { Vec::new() };
        if rng.bool() {
            conflate(&mut retention.rules, rng.u64(..));
        }
        self.limits.count |= retention.topic_events_max.is_some() || !retention.rules.is_empty();
        self.limits.age_max = retention.age_max;
        self.note_rules(&retention.rules);
        self.hub.limit_topics(&retention);
        let evicted = self.observe();
        self.counts.add("changes of rules", 1);
        self.counts.add("evictions by changes of rules", evicted);
    }

    fn publish(&mut self) {
        let batch = if self.rng.u32(0..10) == 0 { self.rng.usize(2..60) } else { 1 };
        let drafts: Vec<Draft> = (0..batch).map(|_| self.draft(300)).collect();
        self.publish_drafts(drafts);
    }

    /// Lets something be evicted between two steps, in schedules that are under pressure: by age, by
    /// count, or by bytes.
    pub fn press(&mut self) {
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
            _ => self.drop_kept(),
        }
    }

    /// Lets the journal drop something that the hub's memory holds no longer.
    fn drop_kept(&mut self) {
        /// More than memory holds.
        const ENTRIES: u64 = 200;
        let Some((journal, _)) = &self.kept else { return };
        if !self.hub.config().retention.rules.is_empty() {
            // Superseded events make room in memory, which may then reach further back than that.
            return;
        }
        let Some(most) = self.reference.tail.checked_sub(ENTRIES) else { return };
        let floor = journal.floor().get();
        if floor < most {
            let through = self.rng.u64(floor..=most);
            journal.evict_through(Sequence::new(through).unwrap());
            let before = self.reference.evictions;
            self.reference.evict_through(through);
            self.counts.add("evictions of the journal", self.reference.evictions - before);
        }
    }

    /// Lets the journal and the hub's driver work until nothing moves; `false` if nothing did.
    pub fn drive(&mut self) -> bool {
        let Some((journal, driver)) = &mut self.kept else { return false };
        let has_moved = driver.run(journal);
        self.counts.add("reads of the journal", journal.take_reads());
        has_moved
    }

    /// The value of a future that waits for the journal at most.
    ///
    /// # Panics
    ///
    /// If it waits for something else.
    pub fn wait<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(value) =
                future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
            {
                return value;
            }
            assert!(self.drive(), "it waits, and nothing moves");
        }
    }

    /// Lets the feed hand over some of what was committed.
    fn feed(&mut self) {
        let (tail, committed) = (self.reference.tail, self.reference.committed);
        if tail < committed {
            let through = self.rng.u64(tail..=committed);
            self.feed_through(through);
        }
    }

    fn feed_all(&mut self) {
        self.feed_through(self.reference.committed);
    }

    fn feed_through(&mut self, through: u64) {
        if let Some((journal, _)) = &self.kept {
            journal.feed_through(Sequence::new(through).unwrap());
            let beyond = self.reference.feed(through);
            self.counts.add("evictions by rules beneath memory", beyond);
            self.drive();
        }
    }

    /// Brings the latest commit into history: that of a hub in memory, and of others perhaps.
    pub(super) fn committed(&mut self) {
        match &self.kept {
            None => self.reference.tail = self.reference.committed,
            Some((journal, _)) => {
                if self.rng.u32(0..5) > 0 {
                    self.feed();
                } else {
                    journal.skip(self.rng.u64(0..3));
                    self.reference.committed = journal.committed().get();
                    self.counts.add("entries fed late", 1);
                }
            }
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
        let topics = || drafts.iter().flat_map(|draft| draft.topics().as_slice());
        if let Err(why) = topics().try_for_each(|topic| self.streams.check(topic)) {
            let refused = ready(self.hub.publish_all(drafts_sent)).unwrap_err();
            assert_eq!(refused, PublishError::Stream(why));
            return self.counts.add("events refused by streams", 1);
        }
        let published = ready(self.hub.publish_all(drafts_sent.clone())).unwrap();
        for (draft, published) in drafts.iter().zip(&published) {
            assert!(!published.is_duplicate);
            assert!(self.kept.is_some() || published.sequence.get() == self.reference.tail + 1);
            let sequence = published.sequence.get();
            self.known(draft, sequence, published.id().to_string());
            for topic in draft.topics().as_slice() {
                self.streams.count(topic, sequence);
            }
            if self.kept.is_none() {
                self.reference.tail = self.reference.committed;
            }
        }
        self.committed();
        if repeat {
            let again = ready(self.hub.publish_all(drafts_sent)).unwrap();
            assert!(again.iter().zip(&published).all(|(a, p)| a.is_duplicate && a.id() == p.id()));
            self.counts.add("duplicates", again.len() as u64);
        }
        let evicted = self.observe();
        match (self.limits.count, self.limits.bytes) {
            (true, false) => self.counts.add("evictions by count", evicted),
            (false, true) => self.counts.add("evictions by bytes", evicted),
            _ => {}
        }
    }

    /// Takes in an event that was committed.
    pub(super) fn known(&mut self, draft: &Draft, sequence: u64, id: String) {
        let topics = draft.topics().as_slice().to_vec();
        let known = Known {
            held: vec![true; topics.len()],
            superseded: vec![false; topics.len()],
            beyond_at: None,
            topics,
            id,
            data: draft.event().data().to_owned(),
            is_end: false,
        };
        self.reference.publish(sequence, known);
    }

    /// The topics that may have streams: of others, some events are not sent.
    pub(super) fn topics_of_streams(&self) -> Vec<Topic> {
        let rules = &self.hub.config().retention.rules;
        let skips = |topic: &Topic| {
            let rule = rules.iter().find(|rule| rule.filter.matches(topic.as_str()));
            rule.is_some_and(|rule| rule.limits.latest_only || rule.limits.conflate)
        };
        self.topics.iter().filter(|topic| !skips(topic)).cloned().collect()
    }

    fn draft(&mut self, len_max: usize) -> Draft {
        let data = format!("{}{}", self.rng.u32(..), "x".repeat(self.rng.usize(0..len_max)));
        let mut event = Event::new(data);
        let count = if self.rng.u32(0..4) == 0 { self.rng.usize(2..4) } else { 1 };
        let topics: Vec<_> = (0..count).map(|_| self.topic()).collect();
        let with_id = if self.numbers.is_some() { 4 } else { 1 };
        if self.rng.u32(0..5) < with_id && self.has_ids {
            let id = match &mut self.numbers {
                Some(numbers) => {
                    let number = numbers.entry(topics[0].clone()).or_default();
                    *number += 1;
                    number.to_string()
                }
                None => self.given_id(),
            };
            event = event.with_id(EventId::new(id).unwrap());
            self.counts.add("publisher-given IDs", 1);
        }
        Draft::new(Topics::new(topics).unwrap(), event).with_private(self.rng.bool())
    }

    /// One of few, so that events share them; some are of another hub's making, as a relay's are.
    fn given_id(&mut self) -> String {
        if let Some(numbers) = &self.numbers {
            let newest = numbers.values().copied().max().unwrap_or_default();
            return self.rng.u64(0..newest + 2).to_string();
        }
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
        let before = self.reference.committed;
        ready(self.hub.close(topic.clone())).unwrap();
        let sequence = match &self.kept {
            Some((journal, _)) => journal.committed().get(),
            None => before + 1,
        };
        self.reference.end(sequence, topic);
        self.committed();
        self.observe();
    }

    /// Looks at what the hub still holds; the answer is how much it has evicted.
    pub(super) fn observe(&mut self) -> u64 {
        if self.kept.is_some() {
            // It holds what the journal has not dropped.
            return 0;
        }
        let before = self.reference.evictions;
        self.reference.observe(&self.hub, &self.topics);
        self.reference.evictions - before
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

    /// Returns whether nothing is ever evicted.
    #[must_use]
    pub fn keeps_everything(&self) -> bool {
        let Limits { bytes, count, age_max } = &self.limits;
        !bytes && !count && age_max.is_none() && self.kept.is_none()
    }

    /// Where a reader starts, its view, and what is expected of it.
    pub fn open(&mut self) -> (Start, View, Expectation) {
        let (start, view) = self.start();
        let expected = Expectation::new(&self.reference, view.clone(), &start);
        (start, view, expected)
    }

    fn start(&mut self) -> (Start, View) {
        let view = self.view();
        let cursor = |epoch, sequence| Cursor { epoch, sequence: Sequence::new(sequence).unwrap() };
        let (tail, committed) = (self.reference.tail, self.reference.committed);
        let start = match self.rng.u32(0..20) {
            0..3 => Start::Tail,
            3..6 => Start::Oldest,
            6 => {
                self.counts.add("foreign epochs", 1);
                cursor(Epoch::new(2).unwrap(), self.rng.u64(0..tail + 2)).into()
            }
            7 => {
                self.counts.add("places past the tail", 1);
                let past = [1, 2, 1_000, Sequence::MAX.get() - committed][self.rng.usize(0..4)];
                cursor(self.reference.epoch, committed + past).into()
            }
            8 => cursor(self.reference.epoch, self.rng.u64(0..tail + 1)).into(),
            // As a publisher that subscribes after its own event, of which the feed knows nothing yet.
            13 if tail < committed => {
                self.counts.add("places past the feed", 1);
                cursor(self.reference.epoch, self.rng.u64(tail + 1..committed + 1)).into()
            }
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

    fn tick(&mut self, millis_max: u64) {
        let step = Duration::from_millis(self.rng.u64(0..millis_max));
        self.now = self.now + step;
        self.reference.now += step;
        self.hub.tick(self.now);
        self.end_left_stream();
        let evicted = self.observe();
        self.counts.add("evictions by age", evicted);
    }
}

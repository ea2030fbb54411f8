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
use tidings_hub::{Epoch, Hub, HubConfig, Now, RetentionRule, Sequence, Time, Topic, View};

use super::Counts;
use super::driver::{Driver, open};
use super::reference::Reference;
use super::rules::{age, conflate, rules};
use super::streams::Streams;
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

    /// Lets all of them leave, since the hub is closed; `false` if they cannot come back to another one.
    fn leave_all(&mut self, schedule: &mut Schedule) -> bool {
        let _ = schedule;
        false
    }

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
    pub(super) now: Now,
    pub(super) topics: Vec<Topic>,
    /// How many events of each topic have an ID, in schedules whose publishers number them from 1; so
    /// events of different topics have the same IDs.
    pub(super) numbers: Option<HashMap<Topic, u64>>,
    /// Whether publishers give IDs.
    pub(super) has_ids: bool,
    pub(super) keys: u32,
    pub(super) limits: Limits,
    /// A journal that keeps its entries, and what drives the hub on it.
    pub(super) kept: Option<(SteppedJournal, Driver)>,
    /// How often, in percent, something is evicted between two steps.
    pressure: u32,
    /// Decides when rules change, in schedules in which they do, and to which.
    changes: Option<Rng>,
    /// Decides when the hub is restarted, in schedules in which it is.
    pub(super) restarts: Option<Rng>,
    /// Whether topics have streams.
    has_streams: bool,
    pub(super) streams: Streams,
}

/// The limits by which a schedule evicts.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) bytes: bool,
    pub(super) count: bool,
    pub(super) age_max: Option<Duration>,
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
            if is_kept && seed % 8 == 7 {
                age(&mut config.retention.rules, seed);
            }
        }
        let rules = config.retention.rules.clone();
        let limits = Limits { bytes, count: count || (has_rules && !is_kept), age_max };
        let pressure = [0, 0, 20, 100][rng.usize(0..4)];
        let names = ["a", "b", "a/1", "a/2", "a/2/x", "b/1"];
        let epoch = Epoch::new(rng.u64(1..1 << 60)).unwrap();
        let now = Now { time: Time::from_unix_millis(1_700_000_000_000), ..Now::read() };
        let (hub, kept) = if is_kept {
            let journal = SteppedJournal::new(epoch, rng.usize(1..30));
            let (hub, driver) = open(config, &journal, now);
            (hub, Some((journal, driver)))
        } else {
            let builder = Hub::builder().config(config).at(now);
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
            restarts: Self::restarts_of(seed, is_kept),
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
            schedule.restart(&mut readers);
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

    pub(super) fn feed_all(&mut self) {
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

    /// Returns whether topics have limits on age on a journal that keeps its entries.
    fn has_ages_beneath_memory(&self) -> bool {
        let rules = &self.hub.config().retention.rules;
        self.kept.is_some() && rules.iter().any(|rule| rule.limits.age_max.is_some())
    }

    /// The topics that may have streams: of others, some events are not sent, or ends that are not told are not known after
    /// their time.
    pub(super) fn topics_of_streams(&self) -> Vec<Topic> {
        let rules = &self.hub.config().retention.rules;
        let skips = |topic: &Topic| {
            let rule = rules.iter().find(|rule| rule.filter.matches(topic.as_str()));
            let limits = rule.map(|rule| &rule.limits);
            let is_aged = |age_max: Option<Duration>| age_max.is_some() && self.kept.is_some();
            limits.is_some_and(|it| it.latest_only || it.conflate || is_aged(it.age_max))
        };
        self.topics.iter().filter(|topic| !skips(topic)).cloned().collect()
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

    /// Returns whether nothing is ever evicted.
    #[must_use]
    pub fn keeps_everything(&self) -> bool {
        let Limits { bytes, count, age_max } = &self.limits;
        !bytes && !count && age_max.is_none() && self.kept.is_none()
    }

    fn tick(&mut self, millis_max: u64) {
        /// The hub looks at ages that often.
        const PASS: Duration = Duration::from_millis(300);
        let mut step = Duration::from_millis(self.rng.u64(0..millis_max));
        let has_ages = self.has_ages_beneath_memory();
        if has_ages {
            // In memory, events are as old as it is since the feed handed them over.
            self.feed_all();
            step = step.max(PASS);
        }
        self.now = self.now + step;
        self.reference.now += step;
        self.hub.tick(self.now);
        if has_ages {
            let evicted = self.reference.feed(self.reference.tail);
            self.counts.add("evictions by age beneath memory", evicted);
        }
        self.end_left_streams();
        let evicted = self.observe();
        self.counts.add("evictions by age", evicted);
    }
}

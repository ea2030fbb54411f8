//! A store that loses messages: its oldest ones, single ones, damaged ones, or its newest ones, when it goes back. Hubs
//! that are left in the same past have the same, or are told what they lack; whoever has read what is gone notices.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tidings_hub::journal::Outcome;
use tidings_hub::journal::shared::{Decoded, Group, SharedConfig, SharedLog, Stopped, end_of};
use tidings_hub::{Now, Sequence};

use crate::store::{GENERATION, Node, Sent, Store, later};

#[derive(Clone, Debug)]
enum Step {
    Submit {
        node: usize,
        keys: Vec<u8>,
    },
    Send {
        node: usize,
        arrives: bool,
        is_acknowledged: bool,
    },
    /// The store gets a copy of a group that was under way for long.
    Arrive {
        copy: prop::sample::Index,
    },
    Read {
        node: usize,
        messages: usize,
    },
    Pass {
        millis: u64,
    },
    /// The store drops some of its oldest messages.
    Drop {
        messages: usize,
    },
    /// It has a hole.
    Hole {
        at: prop::sample::Index,
    },
    /// A byte is not what it was.
    Damage {
        at: prop::sample::Index,
        byte: prop::sample::Index,
    },
    /// It loses its newest messages, and goes on from there. Hubs connect again.
    GoBack {
        messages: u64,
    },
    /// A hub that waits for what the store has lost is told, as by a look at the store.
    Look {
        node: usize,
    },
    Restart {
        node: usize,
    },
}

const NODES: usize = 3;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let node = || 0..NODES;
    let index = any::<prop::sample::Index>;
    let step = prop_oneof![
        8 => (node(), prop::collection::vec(0..4_u8, 1..4))
            .prop_map(|(node, keys)| Step::Submit { node, keys }),
        12 => (node(), prop::bool::weighted(0.8), prop::bool::weighted(0.7)).prop_map(
            |(node, arrives, is_acknowledged)| Step::Send { node, arrives, is_acknowledged }
        ),
        1 => index().prop_map(|copy| Step::Arrive { copy }),
        12 => (node(), 1..5_usize).prop_map(|(node, messages)| Step::Read { node, messages }),
        1 => (0..3_000_u64).prop_map(|millis| Step::Pass { millis }),
        1 => (1..4_usize).prop_map(|messages| Step::Drop { messages }),
        1 => index().prop_map(|at| Step::Hole { at }),
        1 => (index(), index()).prop_map(|(at, byte)| Step::Damage { at, byte }),
        1 => (1..6_u64).prop_map(|messages| Step::GoBack { messages }),
        1 => node().prop_map(|node| Step::Look { node }),
        1 => node().prop_map(|node| Step::Restart { node }),
    ];
    prop::collection::vec(step, 0..150)
}

/// A hub in the past of the store that it has opened.
struct Hub {
    node: Node,
    generation: u64,
    /// The end of what was gone when it was opened, and the newest message then.
    oldest: Sequence,
    tail: u64,
    /// Whether it has to begin with the message that it has read last, because its connection has changed.
    reads_again: bool,
}

struct World {
    store: Store,
    hubs: Vec<Hub>,
    copies: Vec<Group>,
    /// The answers of publishers, the past that their hub was in, and which hub that was.
    answers: Vec<((u64, usize), Sent, Outcome)>,
    events: usize,
    writers: u64,
    now: Now,
}

/// The generation of a message; zero of one that is damaged.
fn generation_of(message: &[u8]) -> u64 {
    match Decoded::of(message) {
        Decoded::Message(message) => message.generation(),
        _ => 0,
    }
}

impl World {
    fn new() -> Self {
        let (store, hubs, copies, answers) = Default::default();
        let mut world =
            Self { store, hubs, copies, answers, events: 0, writers: 0, now: Now::read() };
        for _ in 0..NODES {
            let hub = world.open(None);
            world.hubs.push(hub);
        }
        world
    }

    /// Opens the store as a hub does: in the past of its newest message, or in a new one if that is over.
    fn open(&mut self, after: Option<u64>) -> Hub {
        self.writers += 1;
        let newest = self.store.messages.get(&self.store.newest);
        let newest = newest.map_or(GENERATION, |newest| generation_of(newest));
        let mut generation = newest;
        if newest == 0 || after.is_some_and(|after| newest <= after) {
            generation = newest.max(after.unwrap_or(GENERATION)) + 1;
            let tail = self.store.newest;
            let log = SharedLog::new(SharedConfig::new(u64::MAX, generation, (tail, tail)));
            self.store.put(log.marker());
        }
        let oldest = self.store.oldest();
        let mut config = SharedConfig::new(self.writers, generation, (oldest, self.store.newest));
        config.message_bytes_max = 2_000;
        let node = Node::with(config);
        let tail = self.store.newest;
        Hub { node, generation, oldest: end_of(oldest), tail, reads_again: false }
    }

    /// Opens the store again for a hub whose past is over, or that is restarted.
    fn reopen(&mut self, at: usize, after: Option<u64>) {
        self.note_answers(at);
        self.hubs[at] = self.open(after);
    }

    fn note_answers(&mut self, at: usize) {
        let Hub { node, generation, .. } = &mut self.hubs[at];
        let known = node.outcomes().into_iter();
        self.answers.extend(known.map(|(sent, outcome)| ((*generation, at), sent, outcome)));
    }

    /// Reads a message if there is one; `false` if there is none, or the hub cannot read on yet.
    fn read(&mut self, at: usize) -> bool {
        let Hub { node, reads_again, generation, tail, .. } = &mut self.hubs[at];
        let through = node.log.through();
        let mut read = Ok(true);
        if *reads_again {
            if through.max(*tail) > self.store.newest {
                return false;
            }
            *reads_again = false;
            if let Some(bytes) = self.store.messages.get(&through) {
                let time = self.store.time(through);
                read = node.read_at(through, time, bytes).map(|()| true);
            }
        }
        let read = read.and_then(|_| node.read_next(&self.store));
        let after = Some(*generation);
        self.note_answers(at);
        match read {
            Ok(has_read) => has_read,
            Err(Stopped::PastChanged { .. }) => {
                self.reopen(at, after);
                true
            }
            Err(other) => panic!("{other}"),
        }
    }

    /// Tells a hub that the store has lost what it has read.
    fn look(&mut self, at: usize) {
        let Hub { node, generation, tail, .. } = &self.hubs[at];
        if node.log.through().max(*tail) > self.store.newest {
            let (why, after) = ("the store has lost its newest messages", *generation);
            node.log.stop(Stopped::PastChanged { why, generation: after });
            self.reopen(at, Some(after));
        }
    }

    fn step(&mut self, step: Step) {
        let is_loss = matches!(step, Step::Drop { .. } | Step::Hole { .. });
        if is_loss && self.hubs.iter().any(|hub| hub.reads_again) {
            // Another past is noticed by the messages that were read last, or by the next ones. No limit takes them
            // in the seconds that a hub needs to connect again.
            return;
        }
        match step {
            Step::Submit { node, keys } => {
                self.hubs[node].node.submit_numbered(keys, &mut self.events, self.now);
            }
            Step::Send { node, arrives, is_acknowledged } => {
                let fate = (arrives, is_acknowledged);
                let sent = self.hubs[node].node.send(&mut self.store, fate, self.now);
                self.copies.extend(sent);
            }
            Step::Arrive { copy } => {
                if !self.copies.is_empty() {
                    self.store.take(copy.get(&self.copies));
                }
            }
            Step::Read { node, messages } => {
                for _ in 0..messages {
                    self.read(node);
                }
            }
            Step::Pass { millis } => {
                self.now = later(self.now, millis);
                self.hubs.iter().for_each(|hub| hub.node.log.handle_timeout(self.now.instant));
            }
            Step::Drop { messages } => {
                for _ in 0..messages {
                    let mut kept = self.store.messages.values();
                    let (first, next) = (kept.next(), kept.next());
                    // One is left, as hubs see to it.
                    let (Some(first), Some(next)) = (first, next) else { return };
                    if generation_of(first) > generation_of(next) {
                        // A message of an older past after the first one of a newer past was written in the same
                        // seconds: they are dropped together.
                        return;
                    }
                    self.store.messages.pop_first();
                }
            }
            Step::Hole { at } => {
                let holes = self.holes();
                if !holes.is_empty() {
                    self.store.messages.remove(at.get(&holes));
                }
            }
            Step::Damage { at, byte } => self.damage(at, byte),
            Step::GoBack { messages } => {
                self.store.go_back(messages);
                self.hubs.iter_mut().for_each(|hub| hub.reads_again = true);
            }
            Step::Look { node } => self.look(node),
            Step::Restart { node } => {
                self.hubs[node] = self.open(None);
                // Events that it alone had read may be lost while it is not there to notice.
                self.answers.retain(|answer| answer.0.1 != node);
            }
        }
    }

    /// The messages that may be lost alone: those between others of the same past. By the first message of a past,
    /// hubs that start later tell what was written in another one at the same time.
    fn holes(&self) -> Vec<u64> {
        let all: Vec<_> = self.store.messages.iter().collect();
        let is_same = |of: &[(&u64, &Vec<u8>)]| {
            let generation = generation_of(of[0].1);
            generation > 0 && of.iter().all(|(_, bytes)| generation_of(bytes) == generation)
        };
        all.windows(3).filter(|of| is_same(of)).map(|of| *of[1].0).collect()
    }

    /// Damages a message that nobody has read.
    fn damage(&mut self, at: prop::sample::Index, byte: prop::sample::Index) {
        let read = self.hubs.iter().map(|hub| hub.node.log.through()).max().unwrap_or(0);
        let unread: Vec<_> = self.holes().into_iter().filter(|at| *at > read).collect();
        if unread.is_empty() {
            return;
        }
        let message = self.store.messages.get_mut(at.get(&unread)).expect("it is there");
        // Without its first bytes, it would be nobody's.
        let at = 12 + byte.index(message.len() - 12);
        message[at] ^= 1;
    }

    /// Lets everything arrive, and checks what came of it.
    fn finish(mut self) {
        // A hub in another past than the others says so with its next message.
        for node in 0..NODES {
            self.look(node);
            self.step(Step::Submit { node, keys: vec![0] });
        }
        for _ in 0..100 {
            self.step(Step::Pass { millis: 100 });
            for node in 0..NODES {
                self.look(node);
                self.step(Step::Send { node, arrives: true, is_acknowledged: true });
            }
            for node in 0..NODES {
                while self.read(node) {}
            }
            if self.hubs.iter().all(|hub| !hub.node.is_waiting()) {
                break;
            }
        }
        for node in 0..NODES {
            while self.read(node) {}
            assert!(!self.hubs[node].node.is_waiting(), "everybody is answered");
        }
        let last = self.open(None);
        self.hubs.push(last);
        while self.read(NODES) {}
        let generation = self.hubs[NODES].generation;
        for at in 0..NODES {
            assert_eq!(self.hubs[at].generation, generation, "all are in the same past");
        }
        for one in 0..=NODES {
            for other in 0..=NODES {
                self.check_same(one, other);
            }
        }
        self.check_answers(generation);
    }

    /// All that one hub has, the other one has as well, or is told that it lacks it, or had no chance to have it.
    fn check_same(&self, one: usize, other: usize) {
        let (one, other) = (&self.hubs[one], &self.hubs[other]);
        let others = other.node.texts();
        for text in one.node.texts() {
            let found = others.binary_search_by_key(&text.0, |other| other.0);
            match found {
                Ok(at) => assert_eq!(others[at], text),
                Err(_) => assert!(other.lacks(text.0), "{text:?} is missing: {others:?}"),
            }
        }
    }

    fn check_answers(&self, generation: u64) {
        let last = &self.hubs[NODES];
        let texts = last.node.texts();
        let place = |sent: &Sent| texts.iter().find(|text| text.2 == sent.data).map(|text| text.0);
        for (of, sent, outcome) in self.answers.iter().filter(|answer| answer.0.0 == generation) {
            match outcome {
                Outcome::Committed(sequence) => match place(sent) {
                    Some(found) => assert_eq!(found, *sequence, "{sent:?} in {of:?}"),
                    None => assert!(last.lacks(*sequence), "{sent:?} is lost in silence"),
                },
                Outcome::NotCommitted(_) | Outcome::Duplicate(_) => {
                    assert_eq!(place(sent), None, "{sent:?} was said not to be there: {outcome:?}");
                }
                _ => {}
            }
        }
    }
}

impl Hub {
    /// Returns whether the hub is told that it lacks an entry.
    fn lacks(&self, sequence: Sequence) -> bool {
        let is_in =
            |lost: &tidings_hub::journal::Lost| (lost.first..=lost.last).contains(&sequence);
        sequence <= self.oldest || self.node.lost.iter().any(is_in)
    }
}

/// The same cases each time. With `PROPTEST_CASES`, as many others.
fn config() -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => {
            let rng_seed = RngSeed::Fixed(18);
            ProptestConfig { cases: 300, rng_seed, ..ProptestConfig::default() }
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_a_store_loses_is_told_or_never_was(steps in steps()) {
        let mut world = World::new();
        steps.into_iter().for_each(|step| world.step(step));
        world.finish();
    }
}

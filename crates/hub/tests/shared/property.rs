//! Every hub comes to the same entries, and every answer is true of them, whatever the transport does.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidings_hub::journal::{NotCommitted, Outcome};
use tidings_hub::{Now, Sequence};

use crate::store::{Node, Sent, Store, at, later};

#[derive(Clone, Debug)]
enum Step {
    /// A hub's publisher submits events with these keys; zero is none.
    Submit { node: usize, keys: Vec<u8> },
    /// A hub sends its group, or sends it again. The store gets it or not, and the acknowledgement comes or not.
    Send { node: usize, arrives: bool, is_acknowledged: bool },
    /// The store gets a copy of a hub's group that was under way for long.
    Arrive { copy: usize },
    /// A hub reads some messages.
    Read { node: usize, messages: usize },
    /// A hub reads some messages that it has read before.
    ReadAgain { node: usize, messages: u64 },
    /// The store refuses a hub's group.
    Refuse { node: usize },
    /// Time passes.
    Pass { millis: u64 },
    /// The store forgets which groups it has taken.
    Forget,
    /// Something else writes to the store.
    Foreign { bytes: Vec<u8> },
    /// A hub ends, and another one starts.
    Restart { node: usize },
}

const NODES: usize = 3;
/// A message has some requests, and not all that wait.
const MESSAGE_BYTES_MAX: usize = 700;

fn open(store: &Store, writer: u64) -> Node {
    Node::open_with(store, writer, MESSAGE_BYTES_MAX)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let node = || 0..NODES;
    // Repetitions are answered at once, so that few of them would fill no message.
    let key = prop_oneof![2 => Just(0_u8), 1 => 1..6_u8];
    let step = prop_oneof![
        6 => (node(), prop::collection::vec(key, 1..7))
            .prop_map(|(node, keys)| Step::Submit { node, keys }),
        8 => (node(), prop::bool::weighted(0.8), prop::bool::weighted(0.7)).prop_map(
            |(node, arrives, is_acknowledged)| Step::Send { node, arrives, is_acknowledged }
        ),
        2 => any::<prop::sample::Index>().prop_map(|copy| Step::Arrive { copy: copy.index(1 << 20) }),
        8 => (node(), 1..5_usize).prop_map(|(node, messages)| Step::Read { node, messages }),
        1 => (node(), 1..5_u64).prop_map(|(node, messages)| Step::ReadAgain { node, messages }),
        1 => node().prop_map(|node| Step::Refuse { node }),
        2 => (0..3_000_u64).prop_map(|millis| Step::Pass { millis }),
        1 => Just(Step::Forget),
        1 => prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| Step::Foreign { bytes }),
        1 => node().prop_map(|node| Step::Restart { node }),
    ];
    prop::collection::vec(step, 0..120)
}

/// The hubs, and everything that publishers were told.
struct World {
    store: Store,
    nodes: Vec<Node>,
    /// Copies of groups that may still arrive.
    copies: Vec<tidings_hub::journal::shared::Group>,
    answers: Vec<(Sent, Outcome)>,
    /// The events that were submitted together: the number of the first one, and the key of each.
    requests: Vec<(usize, Vec<u8>)>,
    events: usize,
    writers: u64,
    now: Now,
}

impl World {
    fn new() -> Self {
        let store = Store::default();
        let nodes = (1..=NODES as u64).map(|writer| open(&store, writer)).collect();
        let (copies, answers, requests) = Default::default();
        let (writers, now) = (NODES as u64, Now::read());
        Self { store, nodes, copies, answers, requests, events: 0, writers, now }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Submit { node, keys } => {
                self.requests.push((self.events + 1, keys.clone()));
                self.nodes[node].submit_numbered(keys, &mut self.events, self.now);
            }
            Step::Send { node, arrives, is_acknowledged } => {
                let fate = (arrives, is_acknowledged);
                let sent = self.nodes[node].send(&mut self.store, fate, self.now);
                self.copies.extend(sent);
            }
            Step::Arrive { copy } => {
                if let Some(at) = copy.checked_rem(self.copies.len()) {
                    self.store.take(&self.copies[at]);
                }
            }
            Step::Read { node, messages } => {
                for _ in 0..messages {
                    self.nodes[node].read_next(&self.store).unwrap();
                }
            }
            Step::ReadAgain { node, messages } => {
                let node = &mut self.nodes[node];
                let through = node.log.through();
                for place in through.saturating_sub(messages) + 1..=through {
                    if let Some(bytes) = self.store.messages.get(&place) {
                        node.read(place, bytes).unwrap();
                    }
                }
            }
            Step::Refuse { node } => {
                let node = &mut self.nodes[node];
                // The store says so of a group that it has never had.
                let Some(group) = node.next_group(self.now).cloned() else { return };
                if !self.copies.iter().any(|copy| copy.id == group.id) {
                    node.log.refused(group.number, NotCommitted::Full);
                }
            }
            Step::Pass { millis } => {
                self.now = later(self.now, millis);
                self.nodes.iter().for_each(|node| node.log.handle_timeout(self.now.instant));
            }
            Step::Forget => self.store.forget_ids(),
            Step::Foreign { bytes } => {
                self.store.put(bytes);
            }
            Step::Restart { node } => {
                self.writers += 1;
                let new = open(&self.store, self.writers);
                let mut old = std::mem::replace(&mut self.nodes[node], new);
                self.answers.extend(old.outcomes());
            }
        }
        for node in &mut self.nodes {
            self.answers.extend(node.outcomes());
        }
    }

    /// Lets everything arrive, and checks what came of it.
    fn finish(mut self) {
        while self.nodes.iter().any(Node::is_waiting) {
            self.step(Step::Pass { millis: 100 });
            for node in 0..NODES {
                self.step(Step::Send { node, arrives: true, is_acknowledged: true });
                while self.nodes[node].read_next(&self.store).unwrap() {}
            }
            self.nodes.iter_mut().for_each(|node| self.answers.extend(node.outcomes()));
        }
        self.nodes.push(open(&self.store, u64::MAX));
        for node in &mut self.nodes {
            while node.read_next(&self.store).unwrap() {}
            assert_eq!(node.lost, [], "nothing was removed");
        }
        let all = self.nodes[NODES].texts();
        for node in &self.nodes[..NODES] {
            assert_eq!(node.texts(), all, "hubs that have read the same have the same");
        }
        assert!(all.is_sorted_by(|one, next| one.0 < next.0), "{all:?}");
        let by_data: BTreeMap<&str, Sequence> =
            all.iter().map(|(sequence, _, data)| (*data, *sequence)).collect();
        assert_eq!(by_data.len(), all.len(), "an event is committed once: {all:?}");
        assert!(all.iter().all(|(sequence, time, _)| *time == at(sequence.get() >> 14)));
        self.check_answers(&by_data);
        self.check_requests(&by_data);
    }

    /// The events of a request are in one message or nowhere, but for repetitions, whatever died in between.
    fn check_requests(&self, by_data: &BTreeMap<&str, Sequence>) {
        for (first, keys) in &self.requests {
            let name = |at: usize| format!("event {}", first + at);
            let message = |at: usize| by_data.get(&*name(at)).map(|found| found.get() >> 14);
            let messages: Vec<_> = (0..keys.len()).map(message).collect();
            let Some(whole) = messages.iter().flatten().next() else { continue };
            for (message, key) in messages.iter().zip(keys) {
                let is_with = |message: &u64| message == whole;
                assert!(message.as_ref().map_or(*key > 0, is_with), "{messages:?} of {keys:?}");
            }
        }
    }

    fn check_answers(&self, by_data: &BTreeMap<&str, Sequence>) {
        let mut by_key: BTreeMap<&str, Vec<Sequence>> = BTreeMap::new();
        for (sent, outcome) in &self.answers {
            let committed = by_data.get(&*sent.data).copied();
            match outcome {
                Outcome::Committed(sequence) => assert_eq!(committed, Some(*sequence), "{sent:?}"),
                Outcome::Duplicate(_) | Outcome::NotCommitted(_) => {
                    assert_eq!(
                        committed, None,
                        "{sent:?} was said not to be committed: {outcome:?}"
                    );
                }
                Outcome::Unknown => {}
                _ => panic!("{outcome:?}"),
            }
            if let (Some(key), Some(sequence)) = (&sent.key, committed) {
                by_key.entry(&**key).or_default().push(sequence);
            }
        }
        // Those of a hub that ended were never answered, so the key's first use may be one of them.
        let sequences: Vec<_> = by_data.values().copied().collect();
        for (sent, outcome) in &self.answers {
            let Outcome::Duplicate(first) = outcome else { continue };
            assert!(sequences.contains(first), "{sent:?} repeats what nobody has");
            let known = sent.key.as_ref().and_then(|key| by_key.get(&**key));
            assert!(
                known.is_none_or(|uses| uses.contains(first)),
                "{sent:?}: {uses:?}",
                uses = known
            );
        }
        for (key, uses) in by_key {
            assert_eq!(uses.len(), 1, "{key} was committed more than once");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn every_hub_has_the_same_and_every_answer_is_true(steps in steps()) {
        let mut world = World::new();
        steps.into_iter().for_each(|step| world.step(step));
        world.finish();
    }
}

//! Requests to streams at several hubs, in any order: all hubs come to the same, and every answer is true.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proptest::prelude::*;
use tidings_hub::journal::shared::CameBy;
use tidings_hub::{
    Append, Cursor, EndNotice, Producer, PublishError, Sequence, Start, StreamOptions, StreamTurn,
};

use crate::cluster::{Cluster, TOPIC, drafts, events};

#[derive(Clone, Debug)]
enum Step {
    /// A request with so many events.
    Append {
        node: usize,
        request: Request,
        events: usize,
    },
    /// An event of no request.
    Publish {
        node: usize,
    },
    Stop {
        node: usize,
    },
    /// The producer of the latest answer leaves.
    Leave {
        node: usize,
    },
    Write {
        node: usize,
    },
    Read {
        node: usize,
    },
    Pass {
        seconds: u64,
    },
    /// A hub is gone, the others notice it, and another one starts.
    Restart {
        node: usize,
    },
    /// The store drops its oldest messages, up to some behind what all have read.
    Drop {
        messages: u64,
    },
}

#[derive(Clone, Debug)]
struct Request {
    is_begin: bool,
    is_end: bool,
    producer: Option<(u8, u64, u64)>,
    in_turn: bool,
}

const NODES: usize = 3;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let node = || 0..NODES;
    let producer = prop::option::weighted(0.5, (0..2_u8, 0..3_u64, 0..4_u64));
    let flags = (prop::bool::weighted(0.3), prop::bool::weighted(0.2), prop::bool::weighted(0.3));
    let request = (flags, producer).prop_map(|((is_begin, is_end, in_turn), producer)| Request {
        is_begin,
        is_end,
        producer,
        in_turn,
    });
    let step = prop_oneof![
        8 => (node(), request, 0..3_usize)
            .prop_map(|(node, request, events)| Step::Append { node, request, events }),
        3 => node().prop_map(|node| Step::Publish { node }),
        1 => node().prop_map(|node| Step::Stop { node }),
        1 => node().prop_map(|node| Step::Leave { node }),
        8 => node().prop_map(|node| Step::Write { node }),
        8 => node().prop_map(|node| Step::Read { node }),
        1 => (1..40_u64).prop_map(|seconds| Step::Pass { seconds }),
        1 => node().prop_map(|node| Step::Restart { node }),
        1 => (0..5_u64).prop_map(|messages| Step::Drop { messages }),
    ];
    prop::collection::vec(step, 0..80)
}

type Told = Result<Vec<Sequence>, PublishError>;
type Answer = Pin<Box<dyn Future<Output = Told>>>;

struct World {
    cluster: Cluster,
    asked: Vec<(Vec<String>, Answer)>,
    answers: Vec<(Vec<String>, Told)>,
    turn: Rc<Cell<Option<StreamTurn>>>,
    count: usize,
    /// The time to live of the streams, if it may pass.
    ttl: Option<Duration>,
    /// Everything up to here may be gone from the store.
    dropped: u64,
}

impl World {
    fn new(ttl: Option<u64>) -> Self {
        let (asked, answers, turn) = Default::default();
        let ttl = ttl.map(Duration::from_secs);
        Self { cluster: Cluster::new(NODES), asked, answers, turn, count: 0, ttl, dropped: 0 }
    }

    fn tick(&self) {
        self.cluster.nodes.iter().for_each(|node| node.hub.tick(self.cluster.now));
    }

    /// Events unlike all others.
    fn texts(&mut self, events: usize, by: &str) -> Vec<String> {
        let range = self.count..self.count + events;
        self.count += events;
        range.map(|number| format!("{number} {by}")).collect()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Append { node, request, events } => self.append(node, &request, events),
            Step::Publish { node } => {
                let texts = self.texts(1, "-");
                let published = self.cluster.hub(node).publish(drafts(&[&texts[0]]).remove(0));
                let answer = async move { Ok(vec![published.await?.sequence]) };
                self.asked.push((texts, Box::pin(answer)));
            }
            Step::Stop { node } => {
                let hub = self.cluster.hub(node);
                let answer =
                    async move { hub.stop_stream(&TOPIC, None).await.map(|()| Vec::new()) };
                self.asked.push((Vec::new(), Box::pin(answer)));
            }
            Step::Leave { node } => {
                if let Some(turn) = self.turn.get() {
                    self.cluster.hub(node).leave_stream(&TOPIC, turn);
                }
            }
            Step::Write { node } => self.cluster.write(node),
            Step::Read { node } => self.cluster.read(node),
            Step::Pass { seconds } => {
                self.cluster.now = self.cluster.now + Duration::from_secs(seconds);
                self.tick();
            }
            Step::Restart { node } => {
                let writer = self.cluster.nodes[node].log.writer();
                self.cluster.open();
                drop(self.cluster.nodes.swap_remove(node));
                for node in &self.cluster.nodes {
                    node.log.leave_streams(|by| by == CameBy::Writer(writer), self.cluster.now);
                }
            }
            Step::Drop { messages } => {
                let read = self.cluster.nodes.iter().map(|node| node.log.through()).min();
                self.dropped = self.dropped.max(read.unwrap_or(0).saturating_sub(messages));
                self.cluster.store.messages.retain(|place, _| *place > self.dropped);
            }
        }
        self.poll();
    }

    fn append(&mut self, node: usize, request: &Request, events: usize) {
        let (id, label) = match request.producer {
            Some((id, epoch, seq)) => (format!("p{id}"), format!("p{id} {epoch} {seq}")),
            None => (String::new(), "-".to_owned()),
        };
        let texts = self.texts(events, &label);
        let mut options = StreamOptions::default();
        options.ttl = self.ttl.unwrap_or(options.ttl);
        let append = Append {
            begin: request.is_begin.then_some(options),
            end: request.is_end.then_some(EndNotice::Event),
            producer: request.producer.and_then(|(_, epoch, seq)| Producer::new(&id, epoch, seq)),
            stream: self.turn.get().filter(|_| request.in_turn),
            key: None,
        };
        let drafts = drafts(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        let asked = self.cluster.hub(node).append(TOPIC, &append, drafts);
        let turn = Rc::clone(&self.turn);
        let answer = async move {
            let appended = asked.await?;
            turn.set(appended.stream.or(turn.get()));
            Ok(appended.published.iter().map(|published| published.sequence).collect())
        };
        self.asked.push((texts, Box::pin(answer)));
    }

    fn poll(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        let answers = &mut self.answers;
        self.asked.retain_mut(|(texts, answer)| match answer.as_mut().poll(&mut cx) {
            Poll::Ready(answer) => {
                answers.push((std::mem::take(texts), answer));
                false
            }
            Poll::Pending => true,
        });
    }

    fn finish(mut self) {
        self.cluster.settle();
        self.cluster.settle();
        self.poll();
        self.cluster.open();
        self.cluster.settle();
        // Each of them frees what their order says so far.
        self.cluster.now = self.cluster.now + Duration::from_secs(1);
        self.tick();
        let mut all = BTreeMap::new();
        for node in &self.cluster.nodes {
            for (sequence, data) in events(&node.hub, Start::Oldest).0 {
                let known = all.entry(sequence).or_insert_with(|| data.clone());
                assert_eq!(*known, data, "at {sequence:?}");
            }
        }
        let whole: Vec<_> = all.into_iter().collect();
        for node in &self.cluster.nodes {
            let (found, _) = events(&node.hub, Start::Oldest);
            let Some((first, _)) = found.first() else { continue };
            let held = whole.iter().filter(|(at, _)| at >= first);
            if !held.eq(&found) {
                assert!(self.dropped > 0, "{found:?} of {whole:?}");
                let place = Cursor { epoch: node.hub.epoch(), sequence: *first };
                let (_, gaps) = events(&node.hub, Start::from(place));
                assert!(gaps > 0, "{found:?} of {whole:?}");
            }
        }
        check_fences(&whole);
        self.check_answers(&whole);
    }

    fn check_answers(&self, whole: &[(Sequence, String)]) {
        let place = |text: &String| whole.iter().find(|(_, data)| data == text).map(|(at, _)| *at);
        for (texts, answer) in &self.answers {
            let committed: Vec<_> = texts.iter().filter_map(place).collect();
            match answer {
                // Those of a node whose first messages are gone may be gone with them.
                Ok(sequences) if sequences.is_empty() => assert_eq!(committed, [], "{texts:?}"),
                Ok(sequences) if self.dropped == 0 && self.ttl.is_none() => {
                    assert_eq!(*sequences, committed, "{texts:?}")
                }
                // The others may have been freed.
                Ok(sequences) if self.dropped == 0 => assert!(sequences.ends_with(&committed)),
                Err(PublishError::Stream(_)) => assert_eq!(committed, [], "{texts:?}"),
                _ => {}
            }
        }
    }
}

/// The requests of a stream are in the order of their producers, and each is there once.
fn check_fences(whole: &[(Sequence, String)]) {
    let mut newest: Option<(u64, u64, &str)> = None;
    let mut request = "";
    for (_, data) in whole {
        let (_, by) = data.split_once(' ').unwrap_or_default();
        let mut words = by.split(' ');
        let (id, epoch, seq) = (words.next(), words.next(), words.next());
        let number = |word: Option<&str>| word.and_then(|word| word.parse::<u64>().ok());
        let (Some(id), Some(epoch), Some(seq)) = (id, number(epoch), number(seq)) else {
            if data.starts_with('{') {
                newest = None;
            }
            continue;
        };
        if let Some((last_epoch, last_seq, last_id)) = newest
            && by != request
        {
            let is_next =
                epoch > last_epoch || (epoch == last_epoch && seq > last_seq && id == last_id);
            assert!(is_next, "{by} after {request}: {whole:?}");
        }
        (newest, request) = (Some((epoch, seq, id)), by);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn hubs_agree_on_streams_and_every_answer_is_true(
        steps in steps(),
        ttl in prop::option::of(1..60_u64),
    ) {
        let mut world = World::new(ttl);
        steps.into_iter().for_each(|step| world.step(step));
        world.finish();
    }
}

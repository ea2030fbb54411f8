//! A shard with sockets that refuse, cut short and fail at any byte, and a tap that drops at random.

mod ends;
mod fairness;
mod grants;
mod model;
mod rests;
mod threads;
mod time;

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use fastrand::Rng;
use tidings_hub::engine::Tap;
use tidings_hub::{
    Client, Cursor, Draft, Event, Hub, HubConfig, Now, Start, Topic, TopicFilter, Topics, View,
};
use tidings_proto::{Decoder, Item};

use self::grants::Rights;

use super::gathered::Framing;
use super::shard::{Shard, ShardConfig};
use super::slot::{Adopted, Subscription};
use super::socket::Socket;
use super::stream_spec::StreamSpec;

/// The configuration of a shard in tests.
fn shard_config(stall_timeout: Duration) -> ShardConfig {
    ShardConfig {
        heartbeat_interval: Duration::from_secs(15),
        stream_age_max: None,
        stall_timeout,
        reconnection_time: Duration::from_secs(2),
    }
}

/// The behavior of a fake socket, shared with the test.
#[derive(Debug, Default)]
struct Wire {
    /// Everything the slot wrote.
    written: Vec<u8>,
    /// Bytes it takes before it refuses.
    room: usize,
    is_broken: bool,
    is_finished: bool,
    is_closed: bool,
    /// The result of the next read, if any.
    read: Option<Result<usize, io::ErrorKind>>,
}

#[derive(Debug)]
struct FakeSocket(Rc<RefCell<Wire>>);

impl Socket for FakeSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut wire = self.0.borrow_mut();
        if wire.is_broken {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let taken = wire.room.min(bytes.len());
        if taken == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        wire.room -= taken;
        wire.written.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        let read = self.0.borrow().read.unwrap_or(Err(io::ErrorKind::WouldBlock));
        read.map_err(io::Error::from)
    }

    fn finish(&mut self) {
        self.0.borrow_mut().is_finished = true;
    }
}

impl Drop for FakeSocket {
    fn drop(&mut self) {
        self.0.borrow_mut().is_closed = true;
    }
}

/// A subscriber of the test, and the events that it should be sent.
struct Peer {
    wire: Rc<RefCell<Wire>>,
    key: usize,
    view: View,
    rights: Option<Rights>,
    framing: Framing,
    /// The sequence after which everything must be sent.
    after: u64,
}

#[derive(Debug, Default)]
struct Counts {
    delivered: u64,
    gaps: u64,
    overflows: u64,
    refusals: u64,
    broken: u64,
    heartbeats: u64,
    ends: u64,
}

struct Fixture {
    rng: Rng,
    hub: Hub,
    now: Now,
    tap: Arc<Tap>,
    shard: Shard<FakeSocket, ()>,
    topics: Vec<Topic>,
    /// The topics of each event, and whether it is private.
    published: Vec<(Topics, bool)>,
    peers: Vec<Peer>,
    evicts: bool,
    counts: Counts,
}

impl Fixture {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut config = HubConfig::default();
        let evicts = rng.bool();
        if evicts {
            config.retention.topic_events_max = NonZeroUsize::new(rng.usize(1..8));
        }
        let now = Now::read();
        let hub = Hub::builder().config(config).at(now).build();
        let tap = Arc::new(Tap::open(&hub, rng.usize(1..30), Waker::noop().clone()));
        let config = shard_config(Duration::from_secs(3600));
        let shard = Shard::new(config, Arc::clone(&tap));
        let topics = ["a", "b", "a/1", "a/2"].map(|name| Topic::new(name).unwrap()).to_vec();
        let (published, peers, counts) = (Vec::new(), Vec::new(), Counts::default());
        Self { rng, hub, now, tap, shard, topics, published, peers, evicts, counts }
    }

    fn step(&mut self) {
        match self.rng.u32(0..100) {
            0..40 => self.publish(),
            40..50 => self.add(),
            50..80 => self.turn(),
            80..92 => self.make_room(),
            92..94 => self.break_one(),
            94..96 => {
                self.tap.overflow();
                self.counts.overflows += 1;
            }
            _ => {
                self.now = self.now + Duration::from_millis(self.rng.u64(0..4000));
                self.hub.tick(self.now);
            }
        }
    }

    fn topic(&mut self) -> Topic {
        self.topics[self.rng.usize(0..self.topics.len())].clone()
    }

    fn publish(&mut self) {
        for _ in 0..self.rng.usize(1..6) {
            let topics: Vec<_> = (0..self.rng.usize(1..3)).map(|_| self.topic()).collect();
            let topics = Topics::new(topics).unwrap();
            let is_private = self.rng.u32(0..4) == 0;
            self.published.push((topics.clone(), is_private));
            // The rest of a large event that is cut stays in history's block.
            let len = if self.rng.u32(0..20) == 0 { 4_000..9_000 } else { 0..200 };
            let data = format!("{}{}", self.published.len(), "x".repeat(self.rng.usize(len)));
            let draft = Draft::new(topics, Event::new(data)).with_private(is_private);
            drop(self.hub.publish(draft));
        }
    }

    fn add(&mut self) {
        // If topics are evicted separately, the losses of a view of several are checked by the
        // model.
        let view: View = match self.rng.u32(0..5) {
            _ if self.evicts => self.topic().into(),
            0 => TopicFilter::pattern("a/*").unwrap().into(),
            1 => TopicFilter::pattern("**").unwrap().into(),
            2 => View::new([self.topic().into(), self.topic().into()]),
            _ => self.topic().into(),
        };
        // What was evicted counts as lost even to a reader that might not have read it.
        let rights = if self.evicts { None } else { Rights::random(&mut self.rng, &view) };
        let view = match &rights {
            Some(rights) => view.with_grant(rights.grant()),
            None => view,
        };
        let framing = if self.rng.bool() { Framing::Chunked } else { Framing::Close };
        let after = if self.rng.bool() { 0 } else { self.published.len() as u64 };
        let start = if after == 0 { Start::Oldest } else { Start::Tail };
        let reader = self.tap.subscribe(&view, start);
        let wire = Rc::new(RefCell::new(Wire { room: self.rng.usize(0..500), ..Wire::default() }));
        let key = self.shard.add(Adopted {
            socket: FakeSocket(Rc::clone(&wire)),
            head: b"HEAD\r\n\r\n".to_vec(),
            discarded: 0,
            subscription: Subscription {
                reader,
                framing,
                spec: StreamSpec { client: Client::EventSource, ..StreamSpec::default() },
                permit: (),
            },
        });
        self.peers.push(Peer { wire, key, view, rights, framing, after });
    }

    fn turn(&mut self) {
        self.shard.set_now(self.hub.uptime());
        let writes = self.rng.usize(1..20);
        self.shard.turn(writes);
    }

    /// Some sockets take bytes again, a few or many.
    fn make_room(&mut self) {
        for peer in &self.peers {
            if self.rng.bool() {
                continue;
            }
            let was_full = peer.wire.borrow().room == 0;
            self.counts.refusals += u64::from(was_full);
            let room = if self.rng.bool() { 1..400 } else { 1..6_000 };
            peer.wire.borrow_mut().room += self.rng.usize(room);
            if was_full && !peer.wire.borrow().is_closed {
                self.shard.handle_writable(peer.key);
            }
        }
    }

    fn break_one(&mut self) {
        if let Some(peer) = self.rng.choice(&self.peers) {
            peer.wire.borrow_mut().is_broken = true;
            self.counts.broken += 1;
        }
    }

    fn open_all(&mut self) {
        for peer in &self.peers {
            let was_full = peer.wire.borrow().room == 0;
            peer.wire.borrow_mut().room = usize::MAX / 2;
            if was_full && !peer.wire.borrow().is_closed {
                self.shard.handle_writable(peer.key);
            }
        }
        while self.shard.turn(100) {}
    }

    /// Lets all subscribers read to the tail, ends all streams, and checks the events that each was
    /// sent.
    fn finish(mut self) -> Counts {
        self.open_all();
        self.shard.drain(Duration::ZERO);
        while self.shard.turn(100) {}
        for peer in std::mem::take(&mut self.peers) {
            let wire = peer.wire.borrow();
            if !wire.is_broken {
                assert!(wire.is_finished, "a stream without its end");
                self.counts.ends += 1;
            }
            self.check(&peer, &wire);
        }
        self.counts
    }

    fn check(&mut self, peer: &Peer, wire: &Wire) {
        let Some(body) = wire.written.strip_prefix(b"HEAD\r\n\r\n") else {
            assert!(wire.is_broken, "no head");
            return;
        };
        let text = match peer.framing {
            Framing::Chunked => dechunk(body, !wire.is_broken),
            Framing::Close => body.to_vec(),
        };
        let wanted = |sequence: u64| {
            let (topics, is_private) = &self.published[sequence as usize - 1];
            let allows = |rights: &Rights| rights.allow(topics.as_slice(), *is_private);
            topics.as_slice().iter().any(|topic| peer.view.matches(topic.as_str()))
                && peer.rights.as_ref().is_none_or(allows)
        };
        let (mut decoder, mut input) = (Decoder::new(), &text[..]);
        let (mut after, mut may_miss, mut gaps) = (peer.after, false, 0);
        // A stream from the oldest event starts at the oldest event that is held.
        let mut at_start = peer.after == 0 && self.evicts;
        while let Some(item) = decoder.decode(&mut input).unwrap() {
            match item {
                Item::Comment(_) => self.counts.heartbeats += 1,
                Item::Event(event) if event.event_type == "gap" => {
                    may_miss = true;
                    gaps += 1;
                }
                Item::Event(event) => {
                    let sequence = Cursor::parse(event.id().unwrap()).unwrap().sequence.get();
                    assert!(sequence > after, "{sequence} after {after}");
                    assert!(wanted(sequence), "{sequence} misdelivered");
                    let data = format!("{sequence}");
                    assert!(event.data.trim_end_matches('x') == data, "{sequence} altered");
                    let missed = (after + 1..sequence).find(|s| wanted(*s));
                    let may_miss_any = may_miss || at_start;
                    assert!(missed.is_none() || may_miss_any, "{missed:?} lost before {sequence}");
                    (after, may_miss, at_start) = (sequence, false, false);
                    self.counts.delivered += 1;
                }
                _ => {}
            }
        }
        if !wire.is_broken {
            let missed = (after + 1..=self.published.len() as u64).find(|s| wanted(*s));
            assert!(missed.is_none() || may_miss || at_start, "{missed:?} lost at the end");
        }
        assert!(gaps == 0 || self.evicts, "a gap without an eviction");
        self.counts.gaps += gaps;
    }
}

/// Decodes a chunked body, which must be valid and, if it is whole, complete.
fn dechunk(mut body: &[u8], is_whole: bool) -> Vec<u8> {
    let mut text = Vec::new();
    loop {
        let Some(end) = body.windows(2).position(|pair| pair == b"\r\n") else {
            assert!(!is_whole, "a body without its end");
            return text;
        };
        let len = std::str::from_utf8(&body[..end]).unwrap();
        let len = usize::from_str_radix(len, 16).unwrap();
        let rest = &body[end + 2..];
        if len == 0 {
            assert_eq!(rest, b"\r\n", "bytes after the last chunk");
            return text;
        }
        if rest.len() < len + 2 {
            assert!(!is_whole, "a cut chunk");
            text.extend_from_slice(&rest[..len.min(rest.len())]);
            return text;
        }
        text.extend_from_slice(&rest[..len]);
        assert_eq!(&rest[len..len + 2], b"\r\n", "a chunk without its end");
        body = &rest[len + 2..];
    }
}

#[test]
fn t43_every_socket_gets_its_views_events_in_order_once_or_is_told_of_a_gap() {
    const SCHEDULES: u64 = 300;
    const STEPS: usize = 300;
    let mut totals: HashMap<&str, u64> = HashMap::new();
    for seed in 0..SCHEDULES {
        // Printed only if this schedule fails.
        println!("seed {seed}");
        let mut fixture = Fixture::new(seed);
        (0..STEPS).for_each(|_| fixture.step());
        let counts = fixture.finish();
        for (what, count) in [
            ("delivered", counts.delivered),
            ("gaps", counts.gaps),
            ("overflows", counts.overflows),
            ("refusals", counts.refusals),
            ("broken", counts.broken),
            ("heartbeats", counts.heartbeats),
            ("ends", counts.ends),
        ] {
            *totals.entry(what).or_default() += count;
        }
    }
    println!("{SCHEDULES} schedules met {totals:?}");
    assert!(totals.values().all(|count| *count > 0), "{totals:?}");
}

//! How many writes another topic's event waits for while ten thousand subscribers are sent one.
//!
//! Writes are counted, not milliseconds: the cost of a write depends on the machine, but how many
//! go first is the shard's.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use tidings_hub::engine::Tap;
use tidings_hub::{Client, Draft, Event, Hub, Start, Topic, TopicFilter, View};

use super::super::gathered::Framing;
use super::super::shard::{READ_SLICE, READS_OF_A_TURN, Shard};
use super::super::slot::{Adopted, Subscription};
use super::super::socket::Socket;
use super::super::stream_spec::StreamSpec;
use super::super::thread::{INLINE_WRITES, TURN_WRITES};
use super::shard_config;

const SUBSCRIBERS: usize = 10_000;

/// The state that the sockets share: the log of writes, and an action during them.
struct Log {
    hub: Hub,
    /// The topics of the streams that were written to, in order.
    writes: RefCell<Vec<&'static str>>,
    /// After so many writes, an event of this topic is published.
    publish_after: RefCell<Option<(usize, &'static str)>>,
}

/// A socket that takes everything.
struct Logged {
    topic: &'static str,
    log: Rc<Log>,
}

impl Socket for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.log.writes.borrow_mut().push(self.topic);
        let written = self.log.writes.borrow().len();
        let mut publish_after = self.log.publish_after.borrow_mut();
        if let Some((_, topic)) = publish_after.take_if(|(writes, _)| written >= *writes) {
            publish(&self.log.hub, topic);
        }
        Ok(bytes.len())
    }

    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn finish(&mut self) {}
}

fn publish(hub: &Hub, topic: &str) {
    let topic = Topic::new(topic).unwrap();
    drop(hub.publish(Draft::new(topic, Event::new("news"))));
}

/// A shard with many subscribers of some topics and one of another, all at the tail.
struct Fixture {
    tap: Arc<Tap>,
    shard: Shard<Logged, ()>,
    log: Rc<Log>,
}

impl Fixture {
    fn new(crowded: &[&'static str]) -> Self {
        let hub = Hub::default();
        let tap = Arc::new(Tap::open(&hub, 64, Waker::noop().clone()));
        let config = shard_config(Duration::from_secs(60));
        let shard = Shard::new(config, Arc::clone(&tap));
        let log = Log { hub, writes: RefCell::default(), publish_after: RefCell::default() };
        let mut fixture = Self { tap, shard, log: Rc::new(log) };
        for topic in crowded {
            fixture.join(topic, SUBSCRIBERS);
        }
        fixture.join("alone", 1);
        while fixture.shard.turn(TURN_WRITES) {}
        fixture.log.writes.borrow_mut().clear();
        fixture
    }

    fn join(&mut self, topic: &'static str, subscribers: usize) {
        let view = Topic::new(topic).unwrap().into();
        self.join_view(topic, &view, &Start::Tail, subscribers);
    }

    fn join_view(&mut self, topic: &'static str, view: &View, start: &Start, subscribers: usize) {
        for _ in 0..subscribers {
            self.shard.add(Adopted {
                socket: Logged { topic, log: Rc::clone(&self.log) },
                head: Vec::new(),
                discarded: 0,
                subscription: Subscription {
                    reader: self.tap.subscribe(view, start.clone()),
                    framing: Framing::Chunked,
                    spec: StreamSpec { client: Client::Other, ..StreamSpec::default() },
                    permit: (),
                },
            });
        }
    }

    /// Publishes for the lone subscriber once so many writes are done, in the middle of whatever is
    /// under way then.
    fn publish_after(&self, writes: usize) {
        *self.log.publish_after.borrow_mut() = Some((writes, "alone"));
    }

    /// Does everything there is to do, and gives how many writes went before the lone subscriber's,
    /// of those after the first `published` ones.
    #[track_caller]
    fn waited(&mut self, published: usize) -> usize {
        while self.shard.turn(TURN_WRITES) {}
        // Events published in the last turn have woken the thread for another.
        self.shard.turn(TURN_WRITES);
        let writes = self.log.writes.borrow();
        let crowd = writes.iter().filter(|topic| **topic != "alone").count();
        assert_eq!(crowd % SUBSCRIBERS, 0, "somebody was left out");
        assert!(crowd > 0 && writes.len() == crowd + 1);
        writes.iter().position(|topic| *topic == "alone").unwrap() - published
    }
}

#[test]
fn an_event_that_comes_while_readers_catch_up_waits_for_a_few_of_their_writes() {
    for after in [1, TURN_WRITES / 2, TURN_WRITES, 5000] {
        let mut fixture = Fixture::new(&[]);
        publish(&fixture.log.hub, "crowd");
        let view = Topic::new("crowd").unwrap().into();
        fixture.join_view("crowd", &view, &Start::Oldest, SUBSCRIBERS);
        fixture.publish_after(after);
        let waited = fixture.waited(after);
        assert!(waited <= 2 * READ_SLICE, "{waited} writes, after {after}");
    }
}

/// Other threads wait for the end of a turn if there are more of them than cores.
#[test]
fn a_turn_of_readers_that_catch_up_ends_after_a_few_of_their_writes() {
    let mut fixture = Fixture::new(&[]);
    publish(&fixture.log.hub, "crowd");
    let view = Topic::new("crowd").unwrap().into();
    fixture.join_view("crowd", &view, &Start::Oldest, SUBSCRIBERS);
    let (mut before, mut has_more) = (0, true);
    while has_more {
        has_more = fixture.shard.turn(TURN_WRITES);
        let writes = fixture.log.writes.borrow().len();
        // A head and an event.
        assert!(writes - before <= 2 * READS_OF_A_TURN, "{} writes", writes - before);
        before = writes;
    }
    assert_eq!(before, 2 * SUBSCRIBERS);
}

#[test]
fn an_event_waits_for_one_turn_and_one_slice_of_another_topics_fan_out() {
    // Wherever in a turn, and in the fan-out, it is published.
    for after in [1, TURN_WRITES / 2, TURN_WRITES, TURN_WRITES + 1, 5000, 9999] {
        let mut fixture = Fixture::new(&["crowded"]);
        fixture.publish_after(after);
        publish(&fixture.log.hub, "crowded");
        let waited = fixture.waited(after);
        assert!(
            waited <= TURN_WRITES + TURN_WRITES / 2,
            "{waited} writes, published after {after}"
        );
    }
}

#[test]
fn an_event_waits_for_one_turn_and_one_slice_of_every_fan_out_under_way() {
    let crowded = ["one", "two", "three", "four"];
    let mut fixture = Fixture::new(&crowded);
    fixture.publish_after(1000);
    crowded.iter().for_each(|topic| publish(&fixture.log.hub, topic));
    let waited = fixture.waited(1000);
    assert!(waited <= TURN_WRITES + crowded.len() * TURN_WRITES / 2, "{waited} writes");
}

#[test]
fn an_event_does_not_wait_for_ten_thousand_who_are_behind() {
    let mut fixture = Fixture::new(&[]);
    // A herd that comes back, each with a head to be written and a history to read.
    fixture.join("crowded", SUBSCRIBERS);
    fixture.publish_after(1000);
    let waited = fixture.waited(1000);
    assert!(waited <= TURN_WRITES, "{waited} writes");
}

#[test]
fn a_publisher_delivers_its_event_itself_in_the_middle_of_another_topics_fan_out() {
    let mut fixture = Fixture::new(&["crowded"]);
    publish(&fixture.log.hub, "crowded");
    assert!(fixture.shard.turn(TURN_WRITES), "the fan-out is under way");
    let before = fixture.log.writes.borrow().len();
    publish(&fixture.log.hub, "alone");
    assert!(fixture.shard.turn(INLINE_WRITES), "and still is");
    let writes = fixture.log.writes.borrow();
    assert!(writes.len() <= before + INLINE_WRITES);
    assert!(writes[before..].contains(&"alone"), "{:?}", &writes[before..]);
}

/// A turn was counted in slots, each of which walked up to 8,192 entries for its pattern: 200 streams that
/// caught up so kept all others of the shard waiting for 3.8 s.
#[test]
fn a_turn_ends_after_so_many_entries_however_few_of_them_a_pattern_matches() {
    const READERS: usize = 20;
    const EVENTS: usize = 10_000;
    /// The steps that count as writes, and those that the last slot of a turn may take.
    const STEPS_OF_A_TURN: usize = TURN_WRITES * 64 + 1024;
    let mut fixture = Fixture::new(&[]);
    (0..EVENTS).for_each(|n| publish(&fixture.log.hub, &format!("crowded/{}", n % 2000)));
    // Patterns that begin with a wildcard have to ask all topics, which are too many.
    let filters = ["*/none", "*/nothing/**"].map(|text| TopicFilter::pattern(text).unwrap());
    fixture.join_view("pattern", &View::new(filters), &Start::Oldest, READERS);
    let mut turns = 1;
    while fixture.shard.turn(TURN_WRITES) {
        turns += 1;
    }
    let steps = READERS * EVENTS * 2;
    assert!(turns >= steps / STEPS_OF_A_TURN, "{steps} steps in {turns} turns");
}

#[test]
fn a_turn_ends_after_so_many_bytes() {
    const READERS: usize = 100;
    const EVENT_BYTES: usize = 100_000;
    let mut fixture = Fixture::new(&[]);
    fixture.join("large", READERS);
    while fixture.shard.turn(TURN_WRITES) {}
    let event = Event::new("x".repeat(EVENT_BYTES));
    drop(fixture.log.hub.publish(Draft::new(Topic::new("large").unwrap(), event)));
    let mut turns = 1;
    while fixture.shard.turn(TURN_WRITES) {
        turns += 1;
    }
    assert!(turns >= READERS * EVENT_BYTES / (TURN_WRITES * 8 * 1024), "{turns} turns");
}

/// Views of two topics, of a topic and a pattern, and of a pattern alone, all of one user's own.
fn views_of(user: usize) -> [View; 3] {
    let exact = |name: String| TopicFilter::Exact(Topic::new(name).unwrap());
    let pattern = |text: String| TopicFilter::pattern(text).unwrap();
    [
        View::new([exact(format!("u/{user}/two")), exact("all".into())]),
        View::new([exact(format!("u/{user}/mixed")), pattern(format!("quiet/{user}/**"))]),
        pattern(format!("u/{user}/pattern/*")).into(),
    ]
}

#[test]
fn an_event_of_one_readers_topic_is_one_write_beside_thousands_of_several_topics_and_patterns() {
    let mut fixture = Fixture::new(&[]);
    for user in 0..SUBSCRIBERS / 10 {
        for view in views_of(user) {
            let name = if user == 500 { "chosen" } else { "other" };
            fixture.join_view(name, &view, &Start::Tail, 1);
        }
    }
    while fixture.shard.turn(TURN_WRITES) {}
    fixture.log.writes.borrow_mut().clear();
    for topic in ["u/500/two", "u/500/mixed", "u/500/pattern/1", "u/500/pattern/new", "nobody"] {
        publish(&fixture.log.hub, topic);
        // A turn of one write is all that is due, so that a publisher does it itself.
        assert!(!fixture.shard.turn_if_small(1), "more than one write is due for {topic}");
    }
    assert_eq!(*fixture.log.writes.borrow(), ["chosen"; 4]);
    publish(&fixture.log.hub, "all");
    while fixture.shard.turn(TURN_WRITES) {}
    assert_eq!(fixture.log.writes.borrow().len(), 4 + SUBSCRIBERS / 10);
}

#[test]
fn readers_of_several_topics_take_a_run_without_a_look_at_history_if_nothing_else_came() {
    let mut fixture = Fixture::new(&[]);
    for user in 0..3 {
        views_of(user).iter().for_each(|view| fixture.join_view("", view, &Start::Tail, 1));
    }
    while fixture.shard.turn(TURN_WRITES) {}
    publish(&fixture.log.hub, "u/0/two");
    publish(&fixture.log.hub, "u/1/pattern/1");
    publish(&fixture.log.hub, "u/2/mixed");
    assert_eq!(fixture.shard.reads_in_a_turn(), 0, "each is concerned by one topic");
    publish(&fixture.log.hub, "u/0/two");
    publish(&fixture.log.hub, "all");
    assert_eq!(fixture.shard.reads_in_a_turn(), 1, "one is concerned by two topics at a time");
}

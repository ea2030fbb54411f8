//! Slots whose grant is limited: they take the runs that it allows, pass those that it does not, and
//! look at history only where it decides event by event.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use fastrand::Rng;
use tidings_hub::engine::Tap;
use tidings_hub::{
    Client, Draft, Event, Grant, Hub, PublicTopics, Start, Topic, TopicFilter, Topics, View,
};

use super::super::gathered::Framing;
use super::super::shard::Shard;
use super::super::slot::{Adopted, Subscription};
use super::super::stream_spec::StreamSpec;
use super::{FakeSocket, Wire, shard_config};

/// A grant in its own words, against which the hub's is checked.
#[derive(Clone, Debug)]
pub(super) struct Rights {
    named: Vec<TopicFilter>,
    public: Vec<TopicFilter>,
}

impl Rights {
    /// Some rights, or none for a reader that may read everything. They allow the topics that the view
    /// names, as a server makes sure.
    pub(super) fn random(rng: &mut Rng, view: &View) -> Option<Self> {
        const FILTERS: [&str; 7] = ["a", "b", "a/1", "a/*", "*", "**", "none"];
        let mut some = |most: usize| -> Vec<TopicFilter> {
            (0..rng.usize(0..=most)).map(|_| filter(FILTERS[rng.usize(0..FILTERS.len())])).collect()
        };
        let (mut named, public) = (some(5), some(2));
        if rng.bool() {
            return None;
        }
        let exact = view.filters().iter().filter(|it| matches!(it, TopicFilter::Exact(_)));
        named.extend(exact.cloned());
        Some(Self { named, public })
    }

    pub(super) fn grant(&self) -> Grant {
        let public = self.public.iter().map(|filter| (filter.clone(), true));
        Grant::limited(self.named.clone(), &PublicTopics::new(public))
    }

    pub(super) fn allow(&self, topics: &[Topic], is_private: bool) -> bool {
        let has = |filters: &[TopicFilter]| {
            topics.iter().any(|topic| filters.iter().any(|filter| filter.matches(topic.as_str())))
        };
        has(&self.named) || (!is_private && has(&self.public))
    }
}

fn filter(text: &str) -> TopicFilter {
    TopicFilter::pattern(text).unwrap()
}

/// A slot at the tail with a view of everything, and what it costs to tell it of events.
struct Fixture {
    hub: Hub,
    shard: Shard<FakeSocket, ()>,
    wire: Rc<RefCell<Wire>>,
}

impl Fixture {
    fn new(rights: &Rights) -> Self {
        let hub = Hub::default();
        let tap = Arc::new(Tap::open(&hub, 64, Waker::noop().clone()));
        let config = shard_config(Duration::from_secs(60));
        let mut shard = Shard::new(config, Arc::clone(&tap));
        let wire = Rc::new(RefCell::new(Wire { room: usize::MAX, ..Wire::default() }));
        let view = View::from(filter("**")).with_grant(rights.grant());
        shard.add(Adopted {
            socket: FakeSocket(Rc::clone(&wire)),
            head: Vec::new(),
            discarded: 0,
            subscription: Subscription {
                reader: tap.subscribe(&view, Start::Tail),
                framing: Framing::Close,
                spec: StreamSpec { client: Client::Other, ..StreamSpec::default() },
                permit: (),
            },
        });
        while shard.turn(100) {}
        Self { hub, shard, wire }
    }

    /// Publishes an event, and checks whether it is sent, and how many slots read history for that.
    #[track_caller]
    fn check(&mut self, topics: &[&str], is_private: bool, (is_sent, reads): (bool, usize)) {
        let topics = topics.iter().map(|name| Topic::new(*name).unwrap());
        let draft = Draft::new(Topics::new(topics).unwrap(), Event::new("x"));
        let before = self.wire.borrow().written.len();
        drop(self.hub.publish(draft.with_private(is_private)));
        assert_eq!(self.shard.reads_in_a_turn(), reads);
        assert_eq!(self.wire.borrow().written.len() > before, is_sent);
    }
}

#[test]
fn a_reader_of_a_wide_pattern_looks_at_history_only_where_its_grant_depends_on_the_event() {
    let rights =
        Rights { named: ["u/17/**", "a"].map(filter).to_vec(), public: vec![filter("news")] };
    let mut fixture = Fixture::new(&rights);
    fixture.check(&["u/17/1"], false, (true, 0));
    fixture.check(&["u/17/1"], true, (true, 0));
    fixture.check(&["news"], false, (true, 0));
    fixture.check(&["news"], true, (false, 0));
    fixture.check(&["u/18/1"], false, (false, 0));
    fixture.check(&["u/18/1"], true, (false, 0));
    // What one topic does not allow another one may.
    fixture.check(&["u/18/1", "u/17/1"], true, (true, 1));
    fixture.check(&["u/18/1", "u/19/1"], false, (false, 1));
    fixture.check(&["u/17/1"], false, (true, 0));
}

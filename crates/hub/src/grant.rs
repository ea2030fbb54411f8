//! Grants: the events that a subscriber may read.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::filter::TopicFilter;

/// The events that a subscriber may read among those it asks for.
///
/// A grant either allows everything or is limited to topics: those that its filters name, and the
/// public ones. A limited grant allows a private event only if it *names* one of the event's topics.
/// Clones share their decisions.
#[derive(Clone, Default)]
pub struct Grant {
    /// `None` allows everything and is one null check. A pointer's width, because it lies in every
    /// view.
    limited: Option<Arc<Limited>>,
}

struct Limited {
    named: Box<[TopicFilter]>,
    public: PublicTopics,
    decided: RwLock<Decided>,
}

/// The right that a grant gives to one topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Right {
    /// Everything, private events too.
    Named,
    /// Public events.
    Public,
    Nothing,
}

/// The decisions about topics, under one version of the public topics.
#[derive(Default)]
struct Decided {
    version: u64,
    rights: HashMap<Box<str>, Right>,
    bytes: usize,
}

impl Grant {
    /// Creates a grant that allows everything.
    #[must_use]
    pub const fn everything() -> Self {
        Self { limited: None }
    }

    /// Creates a grant that allows all events of topics that one of the filters matches, and the
    /// events of public topics that are not private.
    #[must_use]
    pub fn limited(filters: impl IntoIterator<Item = TopicFilter>, public: &PublicTopics) -> Self {
        let named = filters.into_iter().collect();
        let (public, decided) = (public.clone(), RwLock::default());
        Self { limited: Some(Arc::new(Limited { named, public, decided })) }
    }

    /// Returns whether the grant allows everything.
    #[must_use]
    pub fn allows_everything(&self) -> bool {
        self.limited.is_none()
    }

    /// Returns whether it allows the public events of the topic called `name`.
    #[must_use]
    pub fn allows_topic(&self, name: &str) -> bool {
        self.limited.as_ref().is_none_or(|limited| limited.right(name) != Right::Nothing)
    }

    /// Returns whether an event of these topics may be read.
    pub(crate) fn allows<'a>(
        &self,
        mut topics: impl Iterator<Item = &'a str>,
        is_private: bool,
    ) -> bool {
        let Some(limited) = &self.limited else { return true };
        topics.any(|topic| match limited.right(topic) {
            Right::Named => true,
            Right::Public => !is_private,
            Right::Nothing => false,
        })
    }
}

impl Limited {
    /// Decisions are remembered where a look at the filters costs more than a look-up.
    const REMEMBERED_FILTERS_MIN: usize = 4;
    /// The bytes that the decisions of a grant take at most; then they begin anew.
    const BYTES_MAX: usize = 64 * 1024;
    /// The bytes of a decision beside the topic's name.
    const ENTRY_BYTES: usize = 32;

    fn right(&self, topic: &str) -> Right {
        if self.named.len() + self.public.len() < Self::REMEMBERED_FILTERS_MIN {
            return self.decide(topic);
        }
        // Read before the decision: if the rules change meanwhile, the decision is noted under the old
        // version and never used.
        let version = self.public.version();
        let decided = self.decided.read();
        if decided.version == version
            && let Some(right) = decided.rights.get(topic)
        {
            return *right;
        }
        drop(decided);
        let right = self.decide(topic);
        self.decided.write().note(version, topic, right);
        right
    }

    fn decide(&self, topic: &str) -> Right {
        if self.named.iter().any(|filter| filter.matches(topic)) {
            Right::Named
        } else if self.public.contains(topic) {
            Right::Public
        } else {
            Right::Nothing
        }
    }
}

impl Decided {
    fn note(&mut self, version: u64, topic: &str, right: Right) {
        let bytes = topic.len() + Limited::ENTRY_BYTES;
        if self.version != version || self.bytes + bytes > Limited::BYTES_MAX {
            *self = Self { version, ..Self::default() };
        }
        if self.rights.insert(topic.into(), right).is_none() {
            self.bytes += bytes;
        }
    }
}

impl PartialEq for Grant {
    /// Grants are equal if they allow the same by the same rules.
    fn eq(&self, other: &Self) -> bool {
        match (&self.limited, &other.limited) {
            (None, None) => true,
            (Some(one), Some(other)) => {
                Arc::ptr_eq(one, other)
                    || (one.named == other.named && Arc::ptr_eq(&one.public.0, &other.public.0))
            }
            _ => false,
        }
    }
}

impl Eq for Grant {}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.limited {
            None => f.write_str("Grant::everything"),
            Some(limited) => f.debug_tuple("Grant").field(&limited.named).finish(),
        }
    }
}

/// The topics whose events everyone may read unless they are private, by rules of which the first
/// that matches a topic decides. A topic that no rule matches is not public.
///
/// Clones are the same topics: [`PublicTopics::set`] also changes the grants that were made with
/// them, from the next event on.
#[derive(Clone, Default)]
pub struct PublicTopics(Arc<Rules>);

#[derive(Default)]
struct Rules {
    rules: RwLock<Vec<(TopicFilter, bool)>>,
    version: AtomicU64,
}

impl PublicTopics {
    /// Creates the topics of these rules: a filter, and whether its topics are public.
    #[must_use]
    pub fn new(rules: impl IntoIterator<Item = (TopicFilter, bool)>) -> Self {
        let public = Self::default();
        public.set(rules);
        public
    }

    /// Replaces the rules.
    pub fn set(&self, rules: impl IntoIterator<Item = (TopicFilter, bool)>) {
        *self.0.rules.write() = rules.into_iter().collect();
        // After the rules, so that a decision by the old rules has the old version.
        self.0.version.fetch_add(1, Ordering::Release);
    }

    /// Returns whether the topic called `name` is public.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        let rules = self.0.rules.read();
        rules
            .iter()
            .find(|(filter, _)| filter.matches(name))
            .is_some_and(|(_, is_public)| *is_public)
    }

    fn len(&self) -> usize {
        self.0.rules.read().len()
    }

    fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }
}

impl fmt::Debug for PublicTopics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.rules.read().iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use futures_core::Stream as _;
    use tidings_proto::{Event, EventId};

    use super::*;
    use crate::{Draft, Found, Hub, HubConfig, Start, Subscriber, Topic, View};

    fn topic(name: &str) -> Topic {
        Topic::new(name).unwrap()
    }

    fn hub(topic_events_max: Option<usize>) -> Hub {
        let mut config = HubConfig::default();
        config.retention.topic_events_max = topic_events_max.and_then(NonZeroUsize::new);
        Hub::new(config)
    }

    /// A grant that allows private events of one topic alone, and all others.
    fn grant_of(name: &str) -> Grant {
        let everything = PublicTopics::new([(TopicFilter::pattern("**").unwrap(), true)]);
        Grant::limited([topic(name).into()], &everything)
    }

    /// Publishes an event to topics `a` and `b` alike, or to one of them; private ones say so.
    fn publish(hub: &Hub, topics: &[&str], data: &str) {
        let topics = crate::Topics::new(topics.iter().map(|name| topic(name))).unwrap();
        let draft = Draft::new(topics, Event::new(data).with_id(EventId::new("7").unwrap()));
        drop(hub.publish(draft.with_private(data.starts_with("private"))));
    }

    /// The views of `a` and `b` by one filter each, by several, and by pattern, with a grant that
    /// allows private events of `b` alone.
    fn views() -> [View; 3] {
        let pattern = TopicFilter::pattern("*").unwrap();
        let grant = grant_of("b");
        let views = [
            View::from(topic("a")),
            View::new([topic("a").into(), topic("b").into()]),
            View::from(pattern),
        ];
        views.map(|view| view.with_grant(grant.clone()))
    }

    /// The value of a future that does not wait.
    fn ready<T>(future: impl Future<Output = T>) -> T {
        match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("memory is read at once"),
        }
    }

    fn read(subscriber: &mut Subscriber) -> Vec<String> {
        let mut context = Context::from_waker(Waker::noop());
        let mut found = Vec::new();
        while let Poll::Ready(Some(item)) = Pin::new(&mut *subscriber).poll_next(&mut context) {
            found.push(match item {
                Found::Event(held) => held.event.data().to_owned(),
                Found::Gap(gap) => format!("gap {:?}", gap.oldest.map(|id| id.to_string())),
            });
        }
        found
    }

    #[test]
    fn private_events_reach_only_views_whose_grant_names_one_of_their_topics() {
        for view in views() {
            let hub = hub(None);
            let mut live = hub.subscribe(view.clone(), Start::Tail);
            publish(&hub, &["a"], "public");
            publish(&hub, &["a"], "private of a");
            publish(&hub, &["a", "b"], "private of both");
            publish(&hub, &["a"], "private at the end");
            let expected = ["public", "private of both"];
            assert_eq!(read(&mut live), expected, "{view:?} live");
            let mut replay = hub.subscribe(view.clone(), Start::Oldest);
            assert_eq!(read(&mut replay), expected, "{view:?} replayed");
            for start in [Start::Oldest, Start::Tail] {
                let page = ready(hub.page(view.clone(), start, 10));
                let page: Vec<_> = page.events.iter().map(|found| found.event.data()).collect();
                assert_eq!(page, expected, "{view:?} as a page");
            }
        }
    }

    #[test]
    fn a_grant_that_allows_everything_hides_nothing() {
        let hub = hub(None);
        publish(&hub, &["a"], "private");
        let view = View::from(topic("a")).with_grant(Grant::everything());
        assert_eq!(read(&mut hub.subscribe(view, Start::Oldest)), ["private"]);
    }

    #[test]
    fn an_id_that_only_a_hidden_event_has_is_no_place() {
        for view in views() {
            let hub = hub(None);
            publish(&hub, &["a"], "private");
            let mut hidden = hub.subscribe(view.clone(), Start::After("7".into()));
            assert_eq!(read(&mut hidden), ["gap None"], "{view:?}");
            publish(&hub, &["a"], "public");
            publish(&hub, &["a"], "public too");
            let mut seen = hub.subscribe(view.clone(), Start::After("7".into()));
            assert_eq!(read(&mut seen), ["public too"], "{view:?}");
        }
    }

    #[test]
    fn a_hidden_event_is_neither_the_last_id_of_a_start_nor_the_oldest_of_a_gap() {
        for view in views() {
            let hub = hub(None);
            let draft = |data: &str, id: &str| {
                let event = Event::new(data).with_id(EventId::new(id).unwrap());
                Draft::new(topic("a"), event).with_private(data == "private")
            };
            for (data, id) in [("public", "1"), ("private", "2")] {
                drop(hub.publish(draft(data, id)));
            }
            let tail = hub.subscribe(view.clone(), Start::Tail);
            assert_eq!(tail.started_after().map(EventId::as_str), Some("1"), "{view:?}");
            let oldest = || {
                let mut lost = hub.subscribe(view.clone(), Start::After("nowhere".into()));
                read(&mut lost).remove(0)
            };
            assert_eq!(oldest(), r#"gap Some("1")"#, "{view:?}");
        }
    }

    #[test]
    fn an_event_that_is_hidden_is_no_gap_when_one_of_its_topics_lets_go_of_it() {
        let hub = hub(Some(1));
        let view = View::from(TopicFilter::pattern("a").unwrap());
        let view = View::new(view.filters().iter().cloned().chain([topic("c").into()]))
            .with_grant(grant_of("c"));
        let mut live = hub.subscribe(view, Start::Tail);
        publish(&hub, &["a", "b"], "private of a and b");
        publish(&hub, &["a"], "public");
        assert_eq!(read(&mut live), ["public"]);
    }

    #[test]
    fn a_shard_is_told_of_private_events_and_its_limited_slots_read_without_those_hidden() {
        use crate::engine::{Meeting, Tap, TurnMax};

        let hub = hub(None);
        let tap = Tap::open(&hub, 16, Waker::noop().clone());
        let [view, ..] = views();
        let reader = tap.subscribe(&view, Start::Tail);
        let (mut after, mut state) = reader.into_state();
        assert!(state.is_limited());
        for (data, has_private) in [("public", false), ("private", true)] {
            publish(&hub, &["a"], data);
            let mut hints = Vec::new();
            tap.drain(&mut hints, &mut Vec::new());
            let [run] = hints[0].runs() else { panic!("one topic has one run") };
            assert_eq!(run.has_private(), has_private);
            assert_eq!(run.meet(&hints[0].block, after), Meeting::Next);
            let mut sent = 0;
            let all = TurnMax { bytes: usize::MAX, steps: usize::MAX };
            tap.read(0, (&mut state, &mut after), all, |_, _| sent += 1);
            assert_eq!(sent, usize::from(!has_private));
        }
        tap.release(state);
    }

    fn pattern(text: &str) -> TopicFilter {
        TopicFilter::pattern(text).unwrap()
    }

    #[test]
    fn a_pattern_wider_than_its_grant_is_sent_what_the_grant_covers() {
        let public =
            PublicTopics::new([(pattern("open/secret"), false), (pattern("open/*"), true)]);
        let grant = Grant::limited([pattern("mine/*")], &public);
        let view = View::from(pattern("**")).with_grant(grant);
        let hub = hub(None);
        let mut live = hub.subscribe(view.clone(), Start::Tail);
        for (topics, data) in [
            (&["mine/1"][..], "mine"),
            (&["mine/1"], "private of mine"),
            (&["open/1"], "open"),
            (&["open/1"], "private of open"),
            (&["open/secret"], "closed"),
            (&["others/1"], "of others"),
            (&["others/1", "open/1"], "of others and open"),
            (&["others/1", "open/1"], "private of others and open"),
            (&["others/1", "mine/1"], "private of others and mine"),
        ] {
            publish(&hub, topics, data);
        }
        let expected =
            ["mine", "private of mine", "open", "of others and open", "private of others and mine"];
        assert_eq!(read(&mut live), expected);
        assert_eq!(read(&mut hub.subscribe(view.clone(), Start::Oldest)), expected);
        let page = ready(hub.page(view, Start::Oldest, 10));
        assert_eq!(page.events.iter().map(|held| held.event.data()).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_change_of_the_public_topics_holds_from_the_next_event_on() {
        // With one rule each look is at the rules; with several, at remembered decisions.
        for more in [0, 10] {
            let rules = |is_public| {
                let more = (0..more).map(|n| (pattern(&format!("more/{n}")), true));
                more.chain([(pattern("open/*"), is_public)]).collect::<Vec<_>>()
            };
            let public = PublicTopics::new(rules(true));
            let grant = Grant::limited([], &public);
            let view = View::from(pattern("**")).with_grant(grant.clone());
            let hub = hub(None);
            let mut live = hub.subscribe(view, Start::Tail);
            publish(&hub, &["open/1"], "open");
            assert_eq!(read(&mut live), ["open"]);
            assert!(grant.allows_topic("open/1"));
            public.set(rules(false));
            publish(&hub, &["open/1"], "closed");
            assert!(read(&mut live).is_empty(), "with {more} more rules");
            assert!(!grant.allows_topic("open/1"));
            public.set(rules(true));
            publish(&hub, &["open/1"], "open again");
            assert_eq!(read(&mut live), ["closed", "open again"][1..], "with {more} more rules");
        }
    }

    #[test]
    fn the_decisions_of_a_grant_are_bounded() {
        let filters = (0..4).map(|n| pattern(&format!("mine/{n}/*")));
        let grant = Grant::limited(filters, &PublicTopics::default());
        for n in 0..10_000 {
            assert!(grant.allows_topic(&format!("mine/3/{n}")));
            assert!(!grant.allows_topic(&format!("others/{n}")));
        }
        let limited = grant.limited.as_ref().unwrap();
        let decided = limited.decided.read();
        assert!(decided.bytes <= Limited::BYTES_MAX);
        let bytes = decided.rights.keys().map(|name| name.len() + Limited::ENTRY_BYTES);
        assert_eq!(bytes.sum::<usize>(), decided.bytes);
    }
}

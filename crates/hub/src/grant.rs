//! Grants: the events that a subscriber may read.

use std::sync::Arc;

use crate::filter::TopicFilter;

/// The events that a subscriber may read among those it asks for.
///
/// A program can only create grants that allow everything. A limited grant allows all public events, and
/// private events only of the topics it names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// The topics whose private events it allows; `None` allows everything and is one null check.
    // A pointer's width, because it lies in every view.
    private: Option<Arc<Box<[TopicFilter]>>>,
}

impl Grant {
    /// Creates a grant that allows everything.
    #[must_use]
    pub const fn everything() -> Self {
        Self { private: None }
    }

    /// Creates a grant that allows private events only of the topics that one of `filters` matches.
    #[cfg(test)]
    pub(crate) fn of_private(filters: impl IntoIterator<Item = TopicFilter>) -> Self {
        Self { private: Some(Arc::new(filters.into_iter().collect())) }
    }

    /// Returns whether the grant allows everything.
    #[must_use]
    pub fn allows_everything(&self) -> bool {
        self.private.is_none()
    }

    /// Returns whether an event of these topics may be read.
    pub(crate) fn allows<'a>(
        &self,
        mut topics: impl Iterator<Item = &'a str>,
        is_private: bool,
    ) -> bool {
        match &self.private {
            Some(filters) if is_private => {
                topics.any(|topic| filters.iter().any(|filter| filter.matches(topic)))
            }
            _ => true,
        }
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
        let grant = Grant::of_private([topic("b").into()]);
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
            .with_grant(Grant::of_private([topic("c").into()]));
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
}

//! When those who wait are woken: once, for what concerns them, with no lock held.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use futures_core::Stream;
use tidings_hub::engine::Tap;
use tidings_hub::{Body, Draft, Event, Hub, Start, StreamEnd, Topic, TopicFilter, View};
use tidings_testkit::stepped::ready;
use tidings_testkit::waker::Count;

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

fn draft(name: &str) -> Draft {
    Draft::new(topic(name), Event::new("x".repeat(100)))
}

fn publish(hub: &Hub, name: &str) {
    ready(pin!(hub.publish(draft(name)))).unwrap();
}

fn view(filters: &[&str]) -> View {
    View::new(filters.iter().map(|filter| TopicFilter::pattern(filter).unwrap()))
}

/// Polls the stream until it waits; the answer is the length of each piece.
fn pieces(body: &mut Body, waker: &Waker) -> Vec<usize> {
    let mut cx = Context::from_waker(waker);
    let mut pieces = Vec::new();
    while let Poll::Ready(piece) = Pin::new(&mut *body).poll_next(&mut cx) {
        pieces.push(piece.unwrap().len());
    }
    pieces
}

/// Views of exact topics and with patterns, all of which have the topic `a`.
const VIEWS: [&[&str]; 4] = [&["a"], &["a", "b"], &["*"], &["b", "a/*", "a"]];

#[test]
fn many_events_wake_a_waiting_stream_once_and_come_in_few_pieces() {
    for filters in VIEWS {
        let hub = Hub::default();
        let mut body = hub.subscribe(view(filters), Start::Tail).into_body();
        let (count, waker) = Count::new();
        pieces(&mut body, &waker);
        (0..1000).for_each(|_| publish(&hub, "a"));
        assert_eq!(count.take(), 1, "{filters:?}");
        let lens = pieces(&mut body, &waker);
        let bytes: usize = lens.iter().sum();
        assert!(lens.iter().all(|&len| len <= 16 * 1024), "{lens:?}");
        // A piece is filled by the size of its events as chunks: six bytes more each.
        assert_eq!(lens.len(), (bytes + 1000 * 6).div_ceil(16 * 1024), "{lens:?}");
        publish(&hub, "a");
        assert_eq!(count.take(), 1, "{filters:?}");
    }
}

#[test]
fn one_batch_wakes_a_stream_once_however_many_of_its_topics_are_in_it() {
    for filters in VIEWS {
        let hub = Hub::default();
        let mut body = hub.subscribe(view(filters), Start::Tail).into_body();
        let (count, waker) = Count::new();
        pieces(&mut body, &waker);
        // Several blocks' worth.
        let batch = (0..3000).map(|number| draft(["a", "b", "c"][number % 3])).collect();
        ready(pin!(hub.publish_all(batch))).unwrap();
        assert_eq!(count.take(), 1, "{filters:?}");
    }
}

#[test]
fn what_is_in_nobodys_view_wakes_nobody() {
    for filters in VIEWS {
        let hub = Hub::default();
        let mut body = hub.subscribe(view(filters), Start::Tail).into_body();
        let (count, waker) = Count::new();
        pieces(&mut body, &waker);
        publish(&hub, "other/topic");
        ready(pin!(hub.publish_all(vec![draft("c/d"), draft("e/f")]))).unwrap();
        assert_eq!(count.take(), 0, "{filters:?}");
    }
}

/// Readers of several topics and of patterns were all told of every event.
#[test]
fn an_event_for_one_reader_wakes_that_reader_alone_beside_a_thousand_others() {
    let hub = Hub::default();
    let views = |user: usize| {
        let (own, pattern) = (format!("u/{user}/a"), format!("u/{user}/**"));
        let mixed = [format!("m/{user}"), format!("quiet/{user}/*")];
        [view(&[&own, "all"]), view(&[&pattern]), view(&[&mixed[0], &mixed[1]])]
    };
    let (others, waker) = Count::new();
    let mut bodies: Vec<_> = (0..1000)
        .flat_map(views)
        .map(|view| hub.subscribe(view, Start::Tail).into_body())
        .collect();
    bodies.iter_mut().for_each(|body| drop(pieces(body, &waker)));
    let (own, waker) = Count::new();
    for body in &mut bodies[3 * 500..3 * 501] {
        assert!(pieces(body, &waker).is_empty());
    }
    for (topic, woken) in [("u/500/a", 2), ("u/500/b/c", 0), ("m/500", 1), ("nobody", 0)] {
        publish(&hub, topic);
        assert_eq!((own.take(), others.take()), (woken, 0), "{topic}");
    }
    publish(&hub, "all");
    // The one that reads its own topic as well was woken, and has not looked since.
    assert_eq!((own.take(), others.take()), (0, 999));
}

#[test]
fn a_stream_that_has_ended_or_left_is_not_woken() {
    let hub = Hub::default();
    let open = || hub.subscribe(topic("a"), Start::Tail).into_body();
    let (mut left, mut stays) = (open(), open());
    let (of_left, waker_of_left) = Count::new();
    let (of_stays, waker_of_stays) = Count::new();
    pieces(&mut left, &waker_of_left);
    pieces(&mut stays, &waker_of_stays);
    drop(left);
    publish(&hub, "a");
    assert_eq!((of_left.take(), of_stays.take()), (0, 1));
}

#[test]
fn a_stream_ended_from_elsewhere_is_woken_for_that_and_sends_nothing_more() {
    let hub = Hub::default();
    let subscriber = || hub.subscribe(topic("a"), Start::Tail);
    let bodies = [subscriber().into_body(), Body::from_stream(&hub, Silence)];
    for body in bodies {
        let ends = Arc::new(Mutex::new(Vec::new()));
        let hook = Arc::clone(&ends);
        let mut body = body.on_end(move |end| hook.lock().unwrap().push(end));
        let closer = body.closer();
        let (count, waker) = Count::new();
        pieces(&mut body, &waker);
        closer.close();
        closer.clone().close();
        assert_eq!(count.take(), 1);
        publish(&hub, "a");
        let mut cx = Context::from_waker(&waker);
        assert_eq!(Pin::new(&mut body).poll_next(&mut cx), Poll::Ready(None));
        drop(body);
        closer.close();
        assert_eq!(*ends.lock().unwrap(), [StreamEnd::Completed]);
    }

    let mut alone = subscriber();
    let (count, waker) = Count::new();
    let mut cx = Context::from_waker(&waker);
    assert_eq!(Pin::new(&mut alone).poll_next(&mut cx), Poll::Pending);
    alone.closer().close();
    assert_eq!(count.take(), 1);
    assert_eq!(Pin::new(&mut alone).poll_next(&mut cx), Poll::Ready(None));
}

#[test]
fn an_ender_keeps_no_waker_of_a_stream_that_is_gone() {
    let hub = Hub::default();
    let mut body = hub.subscribe(topic("a"), Start::Tail).into_body();
    let closer = body.closer();
    let woken = Arc::new(UsesHub { hub: hub.clone(), woken: AtomicUsize::new(0) });
    pieces(&mut body, &Waker::from(Arc::clone(&woken)));
    assert_eq!(Arc::strong_count(&woken), 2);
    drop(body);
    assert_eq!(Arc::strong_count(&woken), 1);
    closer.close();
    assert_eq!(woken.woken.load(Ordering::Relaxed), 0);
}

/// Events of a reader's own that never come.
struct Silence;

impl Stream for Silence {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Event>> {
        Poll::Pending
    }
}

/// Does, when it is woken, what takes each of the hub's locks. With one of them held it would wait for
/// itself.
struct UsesHub {
    hub: Hub,
    woken: AtomicUsize,
}

impl Wake for UsesHub {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, Ordering::Relaxed);
        let _ = self.hub.stats();
        for filters in VIEWS {
            drop(self.hub.subscribe(view(filters), Start::Oldest));
        }
        publish(&self.hub, "from/a/waker");
    }
}

#[test]
fn whoever_is_woken_may_read_subscribe_and_publish_at_once() {
    for filters in VIEWS {
        let hub = Hub::default();
        let woken = Arc::new(UsesHub { hub: hub.clone(), woken: AtomicUsize::new(0) });
        let waker = Waker::from(Arc::clone(&woken));
        let mut body = hub.subscribe(view(filters), Start::Tail).into_body();
        pieces(&mut body, &waker);
        publish(&hub, "a");
        assert_eq!(woken.woken.swap(0, Ordering::Relaxed), 1, "{filters:?}");
        pieces(&mut body, &waker);
        ready(pin!(hub.close(topic("a")))).unwrap();
        assert_eq!(woken.woken.swap(0, Ordering::Relaxed), 1, "{filters:?}");

        let mut body = hub.subscribe(view(filters), Start::Tail).into_body();
        pieces(&mut body, &waker);
        body.closer().close();
        assert_eq!(woken.woken.load(Ordering::Relaxed), 1, "{filters:?}");
    }
}

/// [`UsesHub`] for a shard.
struct DrainsTap {
    hub: Hub,
    woken: AtomicUsize,
}

impl Wake for DrainsTap {
    fn wake(self: Arc<Self>) {
        if self.woken.fetch_add(1, Ordering::Relaxed) == 0 {
            publish(&self.hub, "a");
        }
    }
}

#[test]
fn a_shard_is_woken_once_a_batch_and_may_publish() {
    let hub = Hub::default();
    let woken = Arc::new(DrainsTap { hub: hub.clone(), woken: AtomicUsize::new(0) });
    let tap = Tap::open(&hub, 16, Waker::from(Arc::clone(&woken)));
    let _reader = tap.subscribe(&topic("a").into(), Start::Tail);
    let batch = (0..3000).map(|_| draft("a")).collect();
    ready(pin!(hub.publish_all(batch))).unwrap();
    assert_eq!(
        woken.woken.load(Ordering::Relaxed),
        2,
        "the batch, and the event of the waker's own"
    );
}

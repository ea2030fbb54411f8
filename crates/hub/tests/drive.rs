//! Driving a hub by an executor's timer, and what handlers answer.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue};
use smol::stream::{self, StreamExt};
use tidings_hub::{
    Body, Emitters, Event, Found, Hub, HubConfig, Now, Start, StreamEnd, StreamRequest, Topic,
};
use tidings_testkit::stepped::{SteppedHub, piece, ready};

/// A hub whose heartbeats are due at once, and a stream that has begun.
fn restless() -> (Hub, Body) {
    let mut config = HubConfig::default();
    config.heartbeat_interval = Duration::from_millis(1);
    let hub = Hub::new(config);
    let mut body = hub.subscribe(Topic::new("a").unwrap(), Start::Tail).into_body();
    assert_eq!(piece(&mut body).unwrap(), ":\nretry: 2000\n");
    (hub, body)
}

#[test]
fn any_timer_moves_a_hub_on() {
    let (hub, mut body) = restless();
    let ticks = smol::Timer::interval(Duration::from_millis(1));
    let driver = smol::spawn(hub.drive_with(ticks));
    assert_eq!(smol::block_on(body.next()).unwrap(), ":\n");
    drop(driver);
}

#[test]
fn a_drive_is_over_when_its_ticks_are() {
    let (hub, _) = restless();
    smol::block_on(hub.drive_with(stream::repeat(()).take(3))).unwrap();
}

#[cfg(feature = "tokio")]
#[test]
fn tokio_moves_a_hub_on() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (hub, mut body) = restless();
    let beat = runtime.block_on(async {
        let driver = tokio::spawn(hub.drive());
        let beat = body.next().await;
        driver.abort();
        beat
    });
    assert_eq!(beat.unwrap(), ":\n");
}

/// The log written while `run` runs.
fn log_of(run: impl FnOnce()) -> String {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, run);
    String::from_utf8(log.0.lock().unwrap().clone()).unwrap()
}

#[test]
fn a_hub_with_streams_that_nobody_drives_says_so_once() {
    let mut config = HubConfig::default();
    config.heartbeat_interval = Duration::ZERO;
    let open = |hub: &Hub| hub.stream(Topic::from_static("a"), Start::Tail);
    let (idle, driven) = (Hub::new(config.clone()), Hub::new(config));

    // An interval is at least a millisecond.
    let late = Now::read().instant + Duration::from_millis(1);
    while Now::read().instant < late {
        thread::yield_now();
    }
    let log = log_of(|| {
        let mut bodies = [open(&idle), open(&idle)];
        bodies.iter_mut().for_each(|body| drop(piece(body)));
    });
    assert_eq!(log.matches("hub is not driven").count(), 1, "{log}");

    driven.tick(Now::read());
    let log = log_of(|| drop(piece(&mut open(&driven))));
    assert_eq!(log, "");
    let log = log_of(|| drop(piece(&mut open(&Hub::default()))));
    assert_eq!(log, "", "a young hub");
}

fn event_source() -> HeaderMap {
    HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static("no-cache"))])
}

#[test]
fn a_response_to_an_event_source_gives_it_a_place() {
    let hub = SteppedHub::new(HubConfig::default());
    let text = |headers: &HeaderMap| {
        let request = StreamRequest::parse(headers, None).unwrap();
        let mut response = hub.hub.stream(Topic::from_static("a"), request).into_response();
        assert_eq!(response.status(), 200);
        piece(response.body_mut()).unwrap()
    };
    assert_eq!(text(&event_source()), format!(":\nretry: 2000\nid: {}\n\n", hub.cursor(0)));
    assert_eq!(text(&HeaderMap::new()), ":\nretry: 2000\n");
}

#[test]
fn a_stream_that_was_closed_meanwhile_is_answered_204_and_has_ended() {
    let hub = SteppedHub::new(HubConfig::default());
    let place = hub.publish_id("users/alpha", "x");
    let emitters = Emitters::new(&hub.hub, Topic::from_static("users"));
    ready(emitters.close(&"alpha")).unwrap();

    let told = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&told);
    let back = hub.body("users/alpha", Start::After(place.as_str().into()));
    let back = back.on_end(move |end| {
        assert_eq!(end, StreamEnd::Completed);
        count.fetch_add(1, Ordering::Relaxed);
    });
    let mut response = back.into_response();
    assert_eq!(response.status(), 204);
    assert!(response.headers().is_empty());
    assert_eq!(piece(response.body_mut()), None);
    drop(response);
    assert_eq!(told.load(Ordering::Relaxed), 1);

    let back = emitters.connect("alpha", Start::After(place.as_str().into())).unwrap();
    assert_eq!(back.into_response().status(), 204);
    assert!(emitters.keys().is_empty());
}

#[test]
fn a_subscriber_changed_on_its_way_keeps_ids_and_gaps() {
    let hub = SteppedHub::new(HubConfig::default());
    let id = hub.publish_id("a", "one");
    let topic = Topic::new("a").unwrap();
    let found = hub.hub.subscribe(topic, Start::After("nowhere".into())).map(Found::into_event);
    let loud = found.map(|event| {
        let data = event.data().to_uppercase();
        let loud = Event::new(data).with_type(event.event_type().clone());
        loud.with_id(event.id().unwrap().clone())
    });
    let text = piece(&mut Body::from_stream(&hub.hub, loud)).unwrap();
    let gap = format!("id: {}\nevent: gap\ndata: {{\"ASKED\":\"NOWHERE\"", hub.cursor(0));
    assert!(text.starts_with(&format!(":\nretry: 2000\n{gap}")), "{text}");
    assert!(text.ends_with(&format!("id: {id}\ndata: ONE\n\n")), "{text}");
}

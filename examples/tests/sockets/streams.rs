//! Streams per reader, broadcasts, resuming, shutting down.

use std::iter;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use tidings_hub::{Hub, Now};
use tokio::sync::{oneshot, watch};

use crate::client::{Reader, status};

/// Each reader has a clock of its own, which stops when it leaves.
fn check_clock(address: SocketAddr, mut readers: watch::Receiver<usize>) {
    let mut first = Reader::open(address, "/clock", None);
    for (count, event_type) in ["tick", "update", "notice", "tick"].into_iter().enumerate() {
        let seen = first.expect(&format!("number {count}"));
        assert_eq!(seen.event_type, event_type);
    }
    let mut second = Reader::open(address, "/clock", None);
    second.expect("number 0");
    assert_eq!(*readers.borrow_and_update(), 2);

    drop(first);
    smol::block_on(readers.wait_for(|readers| *readers == 1)).unwrap();
    drop(second);
    smol::block_on(readers.wait_for(|readers| *readers == 0)).unwrap();
}

const INTERVAL: Duration = Duration::from_millis(1);

#[test]
fn axum_stops_a_readers_clock_when_it_leaves() {
    let clock = crate::axum_interval::Clock::new(INTERVAL);
    let readers = clock.readers.subscribe();
    let (_runtime, address) = crate::serve(crate::axum_interval::app(clock));
    check_clock(address, readers);
}

#[test]
fn hyper_stops_a_readers_clock_when_it_leaves() {
    let clock = crate::hyper_interval::Clock::new(INTERVAL);
    let readers = clock.readers.subscribe();
    let (runtime, listener, address) = crate::runtime();
    runtime.spawn(crate::hyper_interval::serve(listener, clock));
    check_clock(address, readers);
}

#[test]
fn actix_web_stops_a_readers_clock_when_it_leaves() {
    let clock = crate::actix_interval::Clock::new(INTERVAL);
    let readers = clock.readers.subscribe();
    let server = |listener| crate::actix_interval::server(listener, clock).unwrap();
    crate::with_actix(server, |address| check_clock(address, readers));
}

#[test]
fn a_broadcast_from_a_plain_thread_reaches_every_reader() {
    let hub = Hub::default();
    let (_runtime, address) = crate::serve(crate::axum_broadcast::app(hub.clone()));
    let mut readers = [0; 5].map(|_| Reader::open(address, "/news", None).opened());

    let announce =
        async move { crate::axum_broadcast::announce(&hub, "the ferry runs again").await };
    thread::spawn(|| smol::block_on(announce).unwrap()).join().unwrap();
    for reader in &mut readers {
        reader.expect("the ferry runs again");
    }
}

#[test]
fn a_reader_whose_proxy_goes_away_resumes_through_another() {
    let app = crate::axum_resume::app(Hub::default());
    let (_origin, origin) = crate::serve(app);
    let (proxy, address) = crate::serve(crate::axum_resume::proxy(origin));
    let publish = |data| assert_eq!(status(origin, "POST", "/news", data), 201);

    // Through the proxy an event comes at once, not when the response is whole.
    let mut reader = Reader::open(address, "/news", None).opened();
    publish("one");
    reader.expect("one");
    drop(proxy);
    assert_eq!(reader.next(), None);
    publish("two");
    publish("three");

    let (_proxy, address) = crate::serve(crate::axum_resume::proxy(origin));
    let mut reader = Reader::open(address, "/news", Some(&reader.last_event_id()));
    reader.expect("two");
    reader.expect("three");
    publish("four");
    reader.expect("four");
}

#[test]
fn a_proxy_that_goes_away_before_the_first_event_loses_nothing_either() {
    let app = crate::axum_resume::app(Hub::default());
    let (_origin, origin) = crate::serve(app);
    let (proxy, address) = crate::serve(crate::axum_resume::proxy(origin));
    let mut reader = Reader::open(address, "/news", None).opened();
    drop(proxy);
    assert_eq!(reader.next(), None);
    assert_eq!(status(origin, "POST", "/news", "one"), 201);

    let (_proxy, address) = crate::serve(crate::axum_resume::proxy(origin));
    Reader::open(address, "/news", Some(&reader.last_event_id())).expect("one");
}

/// A shutdown ends open streams, each with its own reconnection time, and then the server.
fn check_shutdown(
    address: SocketAddr,
    hub: &Hub,
    stop: oneshot::Sender<()>,
    is_finished: impl Fn() -> bool,
) {
    let mut readers = [0; 5].map(|_| Reader::open(address, "/news", None).opened());
    let announced = readers[0].retry.unwrap();

    stop.send(()).unwrap();
    let mut now = Now::read();
    while !is_finished() {
        // Time as the program's ticks would tell it, without the waiting.
        now = now + Duration::from_secs(1);
        hub.tick(now);
        thread::yield_now();
    }
    for reader in &mut readers {
        assert_eq!(reader.next(), None);
    }
    let spread = readers.iter().any(|reader| reader.retry.unwrap() > announced);
    assert!(spread, "all come back after {announced:?}");
}

/// A hub, and a way of stopping.
fn stoppable() -> (Hub, oneshot::Sender<()>, impl Future<Output = ()> + Send + 'static) {
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async { drop(stopped.await) };
    (Hub::default(), stop, stopped)
}

#[test]
fn axum_ends_once_its_streams_have() {
    let (hub, stop, stopped) = stoppable();
    let (runtime, listener, address) = crate::runtime();
    let server = crate::axum_shutdown::serve(listener, hub.clone(), stopped);
    let server = runtime.spawn(server);
    check_shutdown(address, &hub, stop, || server.is_finished());
    runtime.block_on(server).unwrap().unwrap();
}

#[test]
fn hyper_ends_once_its_streams_have() {
    let (hub, stop, stopped) = stoppable();
    let (runtime, listener, address) = crate::runtime();
    let server = crate::hyper_shutdown::serve(listener, hub.clone(), stopped);
    let server = runtime.spawn(server);
    check_shutdown(address, &hub, stop, || server.is_finished());
    runtime.block_on(server).unwrap();
}

#[test]
fn actix_web_ends_once_its_streams_have() {
    let (hub, stop, stopped) = stoppable();
    let (listener, address) = crate::listener();
    let server = thread::spawn({
        let hub = hub.clone();
        let serve = || crate::actix_shutdown::serve(listener, hub, stopped);
        || actix_web::rt::System::new().block_on(async { serve().await })
    });
    check_shutdown(address, &hub, stop, || server.is_finished());
    server.join().unwrap().unwrap();
}

#[test]
fn smol_drives_and_serves_a_hub() {
    let hub = Hub::default();
    let (listener, address) = crate::listener();
    let server = async move {
        let listener = smol::net::TcpListener::try_from(listener).unwrap();
        crate::smol_broadcast::serve(listener, hub).await;
    };
    let server = smol::spawn(server);
    let mut reader = Reader::open(address, "/news", None).opened();
    assert_eq!(status(address, "POST", "/news", "the ferry runs again"), 204);
    reader.expect("the ferry runs again");
    drop(server);
}

#[test]
fn a_service_ticks_broadcasts_keeps_users_apart_and_resumes() {
    let hub = Hub::default();
    let (runtime, address) = crate::serve(crate::axum_service::app(hub.clone()));
    let mut news = Reader::open(address, "/news", None).opened();
    let mut alpha = Reader::open(address, "/users/alpha", None).opened();

    let ticks = runtime.spawn(crate::axum_service::tick(hub, INTERVAL));
    for number in ["0", "1"] {
        assert_eq!(news.expect(number).event_type, "tick");
    }
    ticks.abort();
    assert_eq!(status(address, "POST", "/news", "the ferry runs again"), 201);
    let broadcast = iter::from_fn(|| news.next()).find(|seen| seen.event_type == "message");
    assert_eq!(broadcast.unwrap().data, "the ferry runs again");

    assert_eq!(status(address, "POST", "/users/beta", "for beta alone"), 201);
    assert_eq!(status(address, "POST", "/users/alpha", "for alpha alone"), 201);
    let place = alpha.expect("for alpha alone").last_event_id;
    drop(alpha);
    assert_eq!(status(address, "POST", "/users/alpha", "meanwhile"), 201);
    Reader::open(address, "/users/alpha", Some(&place)).expect("meanwhile");
    Reader::open(address, "/users/beta?lastEventId=earliest", None).expect("for beta alone");
}

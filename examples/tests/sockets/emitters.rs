//! An emitter per user: the same three calls, whatever serves them.

use std::net::SocketAddr;
use std::time::Duration;

use tidings_hub::{Emitters, Hub, Now, Topic};

use crate::client::{Reader, status, status_after};

/// Checks the promises that all of them make.
fn check(address: SocketAddr) {
    let mut alpha = Reader::open(address, "/connect/alpha", None);
    alpha.expect("alpha is connected");
    let mut beta = Reader::open(address, "/connect/beta", None);
    beta.expect("beta is connected");

    assert!(status(address, "POST", "/send/alpha", "for alpha alone") < 300);
    assert!(status(address, "POST", "/send/beta", "for beta alone") < 300);
    let seen = alpha.expect("for alpha alone");
    beta.expect("for beta alone");

    // A reader that was away is sent the event that it missed.
    drop(alpha);
    assert!(status(address, "POST", "/send/alpha", "meanwhile") < 300);
    let mut alpha = Reader::open(address, "/connect/alpha", Some(&seen.last_event_id));
    alpha.expect("alpha is connected");
    alpha.expect("meanwhile");

    // A reader that was disconnected is told to stay away, and its stream ends.
    let place = alpha.last_event_id();
    assert!(status(address, "POST", "/disconnect/alpha", "") < 300);
    assert_eq!(alpha.next(), None);
    assert_eq!(status_after(address, "/connect/alpha", &place), 204);
    Reader::open(address, "/connect/alpha", None).expect("alpha is connected");

    assert!(status(address, "POST", "/send/beta", "still here") < 300);
    beta.expect("still here");
}

fn users(hub: &Hub) -> Emitters<String> {
    Emitters::new(hub, Topic::from_static("users"))
}

#[test]
fn axum_keeps_an_emitter_per_user() {
    let hub = Hub::default();
    let (_runtime, address) = crate::serve(crate::axum_emitters::app(&hub));
    check(address);
}

#[test]
fn hyper_keeps_an_emitter_per_user() {
    let hub = Hub::default();
    let (runtime, listener, address) = crate::runtime();
    runtime.spawn(crate::hyper_emitters::serve(listener, users(&hub)));
    check(address);
}

#[test]
fn actix_web_keeps_an_emitter_per_user() {
    let hub = Hub::default();
    let server = |listener| crate::actix_emitters::server(listener, users(&hub)).unwrap();
    crate::with_actix(server, check);
}

#[test]
fn the_hooks_tell_how_a_stream_ended() {
    let hub = Hub::default();
    let (_runtime, address) = crate::serve(crate::axum_emitters::app(&hub));
    let mut log = Reader::open(address, "/log", None).opened();

    let mut completed = Reader::open(address, "/connect/one", None).opened();
    assert_eq!(status(address, "POST", "/disconnect/one", ""), 200);
    while completed.next().is_some() {}
    log.expect("one is gone");

    let mut timed_out = Reader::open(address, "/connect/two", None).opened();
    hub.tick(Now::read() + Duration::from_secs(61));
    while timed_out.next().is_some() {}
    log.expect("two timed out");
    log.expect("two is gone");

    drop(Reader::open(address, "/connect/three", None).opened());
    // A server sees that a reader has left when it reads from the socket.
    log.expect("three left");
    log.expect("three is gone");
}

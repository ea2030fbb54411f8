//! The ends of a source, on sockets.

use tidings_client::{Body, Cause, Closed, EventSource, Signal, State};

use crate::server::Server;
use crate::watch::{Order, watch};

#[tokio::test]
async fn c5_the_states_are_connecting_open_waiting_failed() {
    let server = Server::new().await;
    let mut source = EventSource::get(&server.url("/")).open().expect("a good description");
    assert_eq!(source.state(), State::Connecting);
    let (signal, stream) = tokio::join!(source.next(), server.open());
    assert!(matches!(signal, Some(Signal::Open(_))));
    assert_eq!(source.state(), State::Open);
    stream.end().await;
    assert!(matches!(source.next().await, Some(Signal::Retrying(_))));
    assert_eq!(source.state(), State::Waiting);
    source.close();
    assert_eq!(source.state(), State::Failed);
    assert!(matches!(source.next().await, Some(Signal::Closed(Closed::ByCaller))));
    assert!(source.next().await.is_none());
}

#[tokio::test]
async fn c5_an_events_origin_is_the_final_urls() {
    let server = Server::new().await;
    let mut watch = watch(EventSource::get(&server.url("/")));
    let location = format!("location: {}\r\n", server.other_origin("/x"));
    server.request().await.refuse("307 Temporary Redirect", &location).await;
    let mut stream = server.open().await;
    watch.open().await;
    stream.send("data: a\n\n").await;
    match watch.signal().await {
        Signal::Event(event) => assert_eq!(event.origin(), server.other_origin("")),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn c4_closing_during_the_wait_cancels_the_attempt() {
    let server = Server::new().await;
    let mut watch = watch(EventSource::get(&server.url("/")));
    server.request().await.refuse("503 Service Unavailable", "").await;
    let delay = watch.retrying().await.delay;
    watch.timer.armed(delay).await;
    watch.order(Order::Close).await;
    assert!(matches!(watch.closed().await, Closed::ByCaller));
    let timer = watch.timer.clone();
    let _source = watch.finished().await;
    assert_eq!(timer.next_wake(), None, "nobody waits for another attempt");
}

#[tokio::test]
async fn t22_a_204_stops_for_good_first_or_later() {
    let server = Server::new().await;
    let mut first = watch(EventSource::get(&server.url("/")));
    server.request().await.refuse("204 No Content", "").await;
    assert!(matches!(first.closed().await, Closed::NoContent));
    first.finished().await;

    let mut later = watch(EventSource::get(&server.url("/")));
    let stream = server.open().await;
    later.open().await;
    stream.end().await;
    later.wait().await;
    server.request().await.refuse("204 No Content", "").await;
    assert!(matches!(later.closed().await, Closed::NoContent));
    let timer = later.timer.clone();
    later.finished().await;
    assert_eq!(timer.next_wake(), None);
}

#[tokio::test]
async fn t26_dropping_the_source_while_connecting_hangs_up() {
    let server = Server::new().await;
    let watch = watch(EventSource::get(&server.url("/")));
    let request = server.request().await;
    drop(watch.stop().await);
    request.respond("100 Continue", "").await.hung_up().await;
}

#[tokio::test]
async fn t26_dropping_the_source_between_chunks_hangs_up() {
    let server = Server::new().await;
    let mut watch = watch(EventSource::get(&server.url("/")));
    let mut stream = server.open().await;
    watch.open().await;
    stream.send("data: a\n\ndata: ha").await;
    assert_eq!(watch.event().await, "a");
    drop(watch.stop().await);
    stream.hung_up().await;
}

#[tokio::test]
async fn t26_dropping_the_source_during_the_wait_leaves_nothing_behind() {
    let server = Server::new().await;
    let mut watch = watch(EventSource::get(&server.url("/")));
    server.request().await.hang_up();
    let delay = watch.retrying().await.delay;
    watch.timer.armed(delay).await;
    let timer = watch.timer.clone();
    drop(watch.stop().await);
    assert_eq!(timer.next_wake(), None);
}

#[tokio::test]
async fn t26_no_event_that_arrived_before_the_close_comes_after_it() {
    let server = Server::new().await;
    let mut source = EventSource::get(&server.url("/")).open().expect("a good description");
    let (_, mut stream) = tokio::join!(source.next(), server.open());
    stream.send("data: a\n\ndata: b\n\n").await;
    assert!(matches!(source.next().await, Some(Signal::Event(_))));
    source.close();
    assert!(matches!(source.next().await, Some(Signal::Closed(Closed::ByCaller))));
    assert!(source.next().await.is_none());
    stream.hung_up().await;
}

#[tokio::test]
async fn t32_a_post_is_sent_once() {
    let server = Server::new().await;
    let mut watch = watch(EventSource::post(&server.url("/")).body("{}"));
    let request = server.request().await;
    assert_eq!((request.line.as_str(), &request.body[..]), ("POST / HTTP/1.1", &b"{}"[..]));
    let stream = request.open().await;
    watch.open().await;
    stream.end().await;
    let closed = watch.closed().await;
    assert!(matches!(closed, Closed::NotResent(Cause::Ended)), "{closed:?}");
    watch.finished().await;
}

#[tokio::test]
async fn t32_a_post_is_sent_again_with_a_body_made_again_when_allowed() {
    let server = Server::new().await;
    let made = std::sync::atomic::AtomicU32::new(0);
    let builder = EventSource::post(&server.url("/")).body_with(move || {
        let number = made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Body::from(bytes::Bytes::from(format!("body {number}")))
    });
    let mut watch = watch(builder.resend());
    for number in 0..3 {
        let request = server.request().await;
        assert_eq!(request.body, format!("body {number}").as_bytes());
        let stream = request.open().await;
        watch.open().await;
        stream.end().await;
        watch.wait().await;
    }
}

#[tokio::test]
async fn one_shot_until_done() {
    let server = Server::new().await;
    let builder = EventSource::post(&server.url("/")).body("{}").until("[DONE]");
    let mut source = builder.open().expect("a good description");
    let serve = async {
        let mut stream = server.open().await;
        stream.send("data: \"to\"\n\ndata: \"ken\"\n\ndata: [DONE]\n\n").await;
        stream
    };
    let read = async {
        let mut text = String::new();
        while let Some(token) = source.next_json::<String>().await.expect("JSON") {
            text.push_str(&token);
        }
        text
    };
    let (text, _stream) = tokio::join!(read, serve);
    assert_eq!(text, "token");
    assert_eq!(source.state(), State::Failed);
}

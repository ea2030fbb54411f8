//! One client for several sources and publishers.

use std::time::Duration;

use tidings_client::testing::{Script, SteppedTimer};
use tidings_client::{Backoff, Client, Draft, Resumption, Signal};

/// A client whose network and clock belong to the test.
fn scripted() -> (Client, Script, SteppedTimer) {
    let (script, timer) = (Script::new(), SteppedTimer::new());
    let client = Client::with_transport(script.transport()).with_timer(timer.clone());
    (client, script, timer)
}

#[tokio::test]
async fn sources_and_publishers_share_the_transport_and_the_clock() {
    let (client, mut script, timer) = scripted();
    let mut source = client.get("http://localhost/topics/news").open().expect("a good URL");
    let publisher = client.publisher("http://localhost").build().expect("a good URL");

    let publishing = tokio::spawn(async move { publisher.publish(Draft::new("news", "a")).await });
    let request = script.request().await;
    assert_eq!(request.uri().path(), "/topics/news");
    let mut busy = http::Response::new(());
    *busy.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
    request.respond(busy).end();
    let wait = timer.armed_between(Duration::ZERO, Duration::from_secs(1)).await;
    timer.advance(wait);
    let mut answer = script.request().await.respond(http::Response::new(()));
    answer.send("7\n");
    answer.end();
    let published = publishing.await.expect("no panic").expect("published");
    assert_eq!(published.id, "7");

    let serve = async {
        let mut stream = script.request().await.open();
        stream.send("data: b\n\n");
        stream
    };
    let (event, _stream) = tokio::join!(source.next_event(), serve);
    assert_eq!(event.expect("open").expect("an event").data(), "b");
}

#[tokio::test]
async fn a_finished_post_hands_its_place_and_its_reconnection_time_to_a_get() {
    let (client, mut script, timer) = scripted();
    let url = "http://localhost/mcp";
    let mut call = client.post(url).json(&1).once().open().expect("a good description");
    let serve = async {
        let mut stream = script.request().await.open();
        stream.send("id: e1\nretry: 500\ndata:\n\n");
        stream.end();
    };
    let read = async { while call.next_event().await.expect("a proper end").is_some() {} };
    tokio::join!(serve, read);
    assert_eq!(call.last_event_id(), "e1");
    assert_eq!(call.reconnection_time(), Duration::from_millis(500));

    let mut exact = Backoff::default();
    exact.spread = Duration::ZERO;
    let mut rest = client.get(url).continue_from(&call).backoff(exact).open().expect("good");
    assert_eq!(rest.reconnection_time(), Duration::from_millis(500));
    let serve = async {
        timer.armed(Duration::from_millis(500)).await;
        assert!(script.try_request().is_none(), "not before the reconnection time has passed");
        timer.advance(Duration::from_millis(500));
        let request = script.request().await;
        assert_eq!(request.method(), http::Method::GET);
        assert_eq!(request.headers()["last-event-id"], "e1");
        request.open()
    };
    let (signal, _stream) = tokio::join!(rest.next(), serve);
    match signal {
        Some(Signal::Open(open)) => assert_eq!(open.resumption, Resumption::After("e1".into())),
        other => panic!("{other:?} instead of an open stream"),
    }
}

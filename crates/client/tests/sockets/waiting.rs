//! The time of the next attempt, on sockets.

use std::future::Future as _;
use std::num::NonZeroU32;
use std::task::Poll;
use std::time::Duration;

use tidings_client::testing::SteppedTimer;
use tidings_client::{Cause, Closed, EventSource, Signal, Stage};

use crate::server::{Nobody, Server};
use crate::watch::watch;

fn between(low: u64, high: u64, delay: Duration) -> bool {
    (Duration::from_millis(low)..=Duration::from_millis(high)).contains(&delay)
}

#[tokio::test]
async fn c3_a_reset_a_cut_and_a_clean_end_reestablish() {
    let server = Server::new().await;
    let mut watch = watch(EventSource::get(&server.url("/")));
    let stream = server.open().await;
    watch.open().await;
    stream.reset();
    assert!(matches!(watch.wait().await.cause, Cause::Transport(_)));
    let stream = server.open().await;
    watch.open().await;
    stream.cut();
    let cause = watch.wait().await.cause;
    assert!(matches!(&cause, Cause::Transport(error) if error.stage() == Stage::Body), "{cause:?}");
    let stream = server.open().await;
    watch.open().await;
    stream.end().await;
    assert!(matches!(watch.wait().await.cause, Cause::Ended));
    server.request().await.hang_up();
    let cause = watch.wait().await.cause;
    assert!(matches!(&cause, Cause::Transport(error) if error.stage() == Stage::Request));
    server.open().await;
    watch.open().await;
}

#[tokio::test]
async fn c4_the_servers_retry_is_the_wait() {
    let server = Server::new().await;
    let mut watch = watch(EventSource::get(&server.url("/")));
    let mut stream = server.open().await;
    watch.open().await;
    stream.send("retry: 700\ndata: a\n\n").await;
    match watch.signal().await {
        Signal::ReconnectionTime(time) => assert_eq!(time, Duration::from_millis(700)),
        other => panic!("{other:?} instead of the reconnection time"),
    }
    assert_eq!(watch.event().await, "a");
    stream.end().await;
    let delay = watch.wait().await.delay;
    assert!(between(700, 900, delay), "{delay:?}");
    server.request().await;
}

#[tokio::test]
async fn t23_retry_after_holds_the_next_attempt_back() {
    let server = Server::new().await;
    let mut watch = watch(EventSource::get(&server.url("/")));
    let refusal = "retry-after: 20\r\n";
    server.request().await.refuse("503 Service Unavailable", refusal).await;
    let retrying = watch.wait().await;
    assert!(between(20_000, 21_000, retrying.delay), "{retrying:?}");
    let refusal = "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                   retry-after: Sun, 06 Nov 1994 08:50:07 GMT\r\n";
    server.request().await.refuse("429 Too Many Requests", refusal).await;
    let retrying = watch.wait().await;
    assert!(between(30_000, 32_000, retrying.delay), "{retrying:?}");
    for status in ["500 Internal Server Error", "502 Bad Gateway"] {
        server.request().await.refuse(status, "").await;
        assert!(matches!(watch.wait().await.cause, Cause::Status { .. }), "{status}");
    }
    server.open().await;
    watch.open().await;
}

#[tokio::test]
async fn t27_flapping_is_damped_until_an_event_comes() {
    let server = Server::new().await;
    let mut watch = watch(EventSource::get(&server.url("/")));
    let mut excess = Duration::ZERO;
    for attempt in 2..14 {
        let stream = server.open().await;
        watch.open().await;
        stream.end().await;
        let retrying = watch.wait().await;
        assert_eq!(retrying.attempt, attempt);
        assert!(between(3_000, 33_000, retrying.delay), "{retrying:?}");
        excess = excess.max(retrying.delay);
    }
    assert!(excess > Duration::from_secs(8), "twelve flaps and never more than {excess:?}");
    let mut stream = server.open().await;
    watch.open().await;
    stream.send("data: a\n\n").await;
    assert_eq!(watch.event().await, "a");
    stream.end().await;
    let retrying = watch.wait().await;
    assert_eq!(retrying.attempt, 1);
    assert!(between(3_000, 3_200, retrying.delay), "{retrying:?}");
}

#[tokio::test]
async fn t28_a_half_open_socket_is_left_after_the_idle_timeout() {
    let server = Server::new().await;
    let idle = Duration::from_secs(45);
    let mut watch = watch(EventSource::get(&server.url("/")).idle_timeout(idle).comments());
    let mut stream = server.open().await;
    watch.open().await;
    for _ in 0..3 {
        watch.timer.armed(idle).await;
        watch.timer.advance(Duration::from_secs(44));
        stream.send(":\n").await;
        let signal = watch.signal().await;
        assert!(matches!(signal, Signal::Comment(_)), "{signal:?}");
    }
    watch.timer.armed(idle).await;
    watch.timer.advance(idle);
    watch.look().await;
    assert!(matches!(watch.wait().await.cause, Cause::Idle(time) if time == idle));
    // The silent connection is closed, not kept beside the new one.
    stream.hung_up().await;
    server.open().await;
    watch.open().await;
}

/// The bug: after a pause of the process, the timers that had run out came first, and the connection
/// was dropped with the events that lay in its socket.
#[tokio::test]
async fn t28_events_that_arrived_during_a_pause_are_read_before_time_is_judged() {
    let server = Server::new().await;
    let idle = Duration::from_secs(45);
    let timer = SteppedTimer::new();
    let builder = EventSource::get(&server.url("/")).idle_timeout(idle).timer(timer.clone());
    let mut source = builder.open().expect("a good description");
    let (stream, signal) = tokio::join!(server.open(), source.next());
    assert!(matches!(signal, Some(Signal::Open(_))));
    let mut stream = stream;
    // The source sleeps; its connection's task has nothing to read.
    assert!(poll_once(&mut source).await.is_none());
    stream.send("data: in time\n\n").await;
    timer.advance(2 * idle);
    // Only the source is polled, as the program's main future is first after a pause.
    match poll_once(&mut source).await {
        None => {}
        Some(other) => panic!("{other:?} before the socket was read"),
    }
    match source.next().await {
        Some(Signal::Event(event)) => assert_eq!(event.data(), "in time"),
        other => panic!("{other:?} instead of the event"),
    }
}

async fn poll_once(source: &mut EventSource) -> Option<Signal> {
    let mut next = std::pin::pin!(source.next());
    std::future::poll_fn(|cx| match next.as_mut().poll(cx) {
        Poll::Ready(signal) => Poll::Ready(signal),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[tokio::test]
async fn t28_a_server_that_never_answers_is_left_too() {
    let server = Server::new().await;
    let mut watch = watch(EventSource::get(&server.url("/")));
    let silent = server.request().await;
    watch.timer.armed(Duration::from_secs(60)).await;
    watch.timer.advance(Duration::from_secs(60));
    watch.look().await;
    assert!(matches!(watch.wait().await.cause, Cause::NoResponse(_)));
    drop(silent);
    server.open().await;
    watch.open().await;
}

#[tokio::test]
async fn t33_a_refused_connection_is_signalled_and_the_policy_decides() {
    let nobody = Nobody::new();
    let twice = NonZeroU32::new(2).expect("not zero");
    let mut watch = watch(EventSource::get(&nobody.url()).first_attempts_max(twice));
    let retrying = watch.wait().await;
    assert!(
        matches!(&retrying.cause, Cause::Transport(error) if error.stage() == Stage::Connect),
        "{retrying:?}"
    );
    let closed = watch.closed().await;
    assert!(matches!(closed, Closed::Exhausted { attempts, .. } if attempts == twice));
    watch.finished().await;
}

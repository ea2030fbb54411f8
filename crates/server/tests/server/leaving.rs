//! How streams come to their end over real connections: each end is seen, and told once.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use parking_lot::Mutex;
use tidings_hub::engine::OnEnd;
use tidings_hub::{StreamEnd, StreamRequest, Topic};
use tidings_server::{Answer, AnswerFuture, ExtraRoutes, Request, Server, StreamAnswer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{Running, Stream, start, start_server, start_with};
use crate::wire::RawReader;

const AGE_MAX: Duration = Duration::from_secs(3600);

/// Waits until there are no subscribers.
async fn nobody_is_left(server: &Running) {
    while server.hub.stats().subscribers > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn t46_a_stream_ends_cleanly_at_its_maximum_age() {
    let server = start_with(|_, hub| hub.stream_age_max = Some(AGE_MAX)).await;
    let reader = RawReader::open(&server, "/topics/a").await;
    let http2 = Stream::new(server.get("/topics/a").send_http2().await);
    // Up to a tenth early, and no earlier.
    server.tick(AGE_MAX * 9 / 10 - Duration::from_secs(1));
    server.publish("a", "late").await;
    assert_eq!(server.hub.stats().subscribers, 2);
    server.tick(AGE_MAX);
    let text = reader.rest().await;
    assert!(text.contains("data: late\n\n") && text.ends_with("\r\n0\r\n\r\n"), "{text}");
    assert!(http2.rest().await.ends_with("data: late\n\n"));
    nobody_is_left(&server).await;
    while server.departures().await != [("timed-out".to_owned(), 2)] {}
}

/// A proxy that reads on for a client that has left, and never tells.
async fn deaf_proxy(server: &Running) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut front, _) = listener.accept().await.unwrap();
    client.write_all(b"GET /topics/a HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    drop(client);
    let mut request = Vec::new();
    // All of it, and that its client is gone.
    front.read_to_end(&mut request).await.unwrap();
    let mut back = TcpStream::connect(server.address).await.unwrap();
    back.write_all(&request).await.unwrap();
    back
}

#[tokio::test]
async fn t46_a_proxy_that_keeps_acknowledging_holds_a_stream_until_its_maximum_age() {
    let server = start_with(|_, hub| hub.stream_age_max = Some(AGE_MAX)).await;
    let mut proxy = deaf_proxy(&server).await;
    let mut received = Vec::new();
    while !received.ends_with(b"retry: 2000\n\r\n") {
        proxy.read_buf(&mut received).await.unwrap();
    }
    for minute in 1..=10 {
        server.tick(MINUTE * minute);
        // A heartbeat is due, and no subscriber is there to read it.
        let heartbeats = "2\r\n:\n\r\n".repeat(minute as usize);
        while !String::from_utf8_lossy(&received).contains(&heartbeats) {
            proxy.read_buf(&mut received).await.unwrap();
        }
        assert_eq!(server.hub.stats().subscribers, 1, "nothing tells that nobody reads");
    }
    server.tick(AGE_MAX);
    proxy.read_to_end(&mut received).await.unwrap();
    assert!(received.ends_with(b"\r\n0\r\n\r\n"));
    nobody_is_left(&server).await;
    server.one_ends_as("timed-out").await;
    // It does not close its side either; after a while its connection is closed all the same, which
    // it sees when it sends something.
    server.tick(AGE_MAX + Duration::from_secs(5));
    while proxy.write_all(b"x").await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn t46_the_clients_fin_is_seen_without_a_write() {
    // Time stands still and nothing is published, so that nothing is written after the preamble.
    let server = start().await;
    let paths = ["/topics/a", "/events?topic=a&topic=b", "/events?match=**"];
    for path in paths {
        drop(server.stream(path).await);
        nobody_is_left(&server).await;
        drop(RawReader::open(&server, path).await);
        nobody_is_left(&server).await;
        drop(Stream::new(server.get(path).send_http2().await));
        nobody_is_left(&server).await;
    }
    while server.departures().await != [("client-closed".to_owned(), 3 * paths.len())] {}
}

/// The ends that the hooks of a route's streams were given.
type Told = Arc<Mutex<Vec<StreamEnd>>>;

/// A route whose streams of the topic `hooked` tell how they ended.
struct Hooked {
    told: Told,
    timeout: Option<Duration>,
}

impl ExtraRoutes for Hooked {
    fn is_unsafe_get(&self, _: &str) -> bool {
        false
    }

    fn answer<'a>(&'a self, request: Request<'a>) -> Option<AnswerFuture<'a>> {
        (request.head.uri.path() == "/hooked").then(|| {
            let told = Arc::clone(&self.told);
            let topic = Topic::new("hooked").unwrap();
            let StreamRequest { start, .. } =
                StreamRequest::parse(&request.head.headers, None).unwrap();
            let mut stream = StreamAnswer::new(topic.into(), start);
            stream.spec.timeout = self.timeout;
            stream.spec.on_end = Some(OnEnd::new(move |end| told.lock().push(end)));
            let answer: AnswerFuture<'a> = Box::pin(async { Ok(Answer::from(stream)) });
            answer
        })
    }
}

/// A way for a stream to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Completed,
    TimedOut,
    Drained,
    Closed,
    HalfClosed,
    Reset,
    Talked,
    Stalled,
    NeverOpened,
    Refused,
    OnlyItsHead,
}

const WAYS: [(Way, StreamEnd); 11] = [
    (Way::Completed, StreamEnd::Completed),
    (Way::TimedOut, StreamEnd::TimedOut),
    (Way::Drained, StreamEnd::Drained),
    (Way::Closed, StreamEnd::ClientClosed),
    (Way::HalfClosed, StreamEnd::ClientClosed),
    (Way::Reset, StreamEnd::ClientClosed),
    (Way::Talked, StreamEnd::ClientClosed),
    (Way::Stalled, StreamEnd::ClientClosed),
    (Way::NeverOpened, StreamEnd::Completed),
    (Way::Refused, StreamEnd::ClientClosed),
    (Way::OnlyItsHead, StreamEnd::ClientClosed),
];

const MINUTE: Duration = Duration::from_secs(60);

/// A server whose streams report their ends, and the reports.
async fn hooked(way: Way) -> (Running, Told) {
    let told = Told::default();
    let timeout = (way == Way::TimedOut).then_some(MINUTE);
    let hooked = Hooked { told: Arc::clone(&told), timeout };
    let change = |config: &mut tidings_server::ServerConfig, _: &mut tidings_hub::HubConfig| {
        config.streams_max = if way == Way::Refused { 0 } else { 10 };
    };
    let finish = |server: Server| server.with_routes(Arc::new(hooked));
    (start_server(change, finish).await, told)
}

/// Makes a stream over HTTP/1 end.
async fn end(server: &mut Running, way: Way) {
    let open = RawReader::open(server, "/hooked");
    match way {
        Way::Completed => {
            let reader = open.await;
            let end = server.request(Method::DELETE, "/subscribers?topic=hooked").answer().await;
            assert_eq!(end.status, 204);
            reader.rest().await;
        }
        Way::TimedOut => {
            let reader = open.await;
            server.tick(2 * MINUTE);
            reader.rest().await;
        }
        Way::Drained => {
            let reader = open.await;
            server.signal();
            reader.rest().await;
        }
        Way::Closed => drop(open.await),
        Way::HalfClosed => {
            let mut reader = open.await;
            reader.half_close().await;
            reader.rest().await;
        }
        Way::Reset => open.await.reset(),
        Way::Talked => {
            let mut reader = open.await;
            reader.write("x".repeat(1025)).await;
            reader.rest().await;
        }
        Way::Stalled => {
            let reader = open.await;
            // More than all sockets hold.
            for _ in 0..32 {
                server.publish("hooked", &"x".repeat(1_000_000)).await;
            }
            // It reads nothing before its stream is over, or it would not be stalled.
            let mut time = Duration::ZERO;
            while server.hub.stats().subscribers > 0 {
                time += 2 * MINUTE;
                server.tick(time);
                tokio::task::yield_now().await;
            }
            reader.rest().await;
        }
        Way::NeverOpened => {
            let place = server.publish("hooked", "x").await;
            let end = server.request(Method::DELETE, "/subscribers?topic=hooked").answer().await;
            assert_eq!(end.status, 204);
            let back = server.get("/hooked").header("last-event-id", place).answer().await;
            assert_eq!(back.status, 410);
        }
        Way::Refused => assert_eq!(server.get("/hooked").answer().await.status, 503),
        Way::OnlyItsHead => {
            assert_eq!(server.request(Method::HEAD, "/hooked").answer().await.status, 200);
        }
    }
}

#[tokio::test]
async fn t46_hooks_run_exactly_once_on_every_path() {
    for (way, expected) in WAYS {
        println!("{way:?}");
        let (mut server, told) = hooked(way).await;
        end(&mut server, way).await;
        while told.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        // The rest of it ends with the server.
        if way != Way::Drained {
            server.signal();
        }
        server.ended().await;
        assert_eq!(*told.lock(), [expected], "{way:?}");
    }
}

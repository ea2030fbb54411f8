//! The end: soon, and without a herd.

use std::time::Duration;

use tidings_hub::journal::{
    Committing, Durability, Evict, Feed, Journal, JournalError, JournalFuture, MemoryJournal,
    Opened, Submission,
};
use tidings_hub::{Now, Sequence};
use tidings_server::TimeSource;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Running, Whole, start, start_on, start_with};
use crate::streams::state_of;

const HOUR: Duration = Duration::from_secs(3600);

/// A server whose drain lasts until the test advances time.
async fn slow_to_drain() -> Running {
    start_with(|config, _| {
        config.drain_per_stream = HOUR;
        config.drain_max = HOUR;
    })
    .await
}

/// Waits until the server says that it drains.
async fn draining(server: &Running) {
    loop {
        let ready = server.get("/readyz").answer().await;
        if ready.status == 503 {
            assert_eq!(ready.json()["status"], "draining");
            return;
        }
    }
}

/// The last reconnection time that a stream told, in milliseconds.
fn last_retry(text: &str) -> u64 {
    let retry = text.lines().filter_map(|line| line.strip_prefix("retry: ")).next_back();
    retry.unwrap().parse().unwrap()
}

#[tokio::test]
async fn t45_open_idle_streams_end_with_a_jittered_reconnection_time() {
    let mut server = start_with(|config, _| config.time = TimeSource::Machine).await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = server.stream("/topics/a").await;
        stream.text_with("retry: 2000\n").await;
        streams.push(stream);
    }
    server.signal();
    let mut retries = Vec::new();
    for stream in streams {
        let text = stream.rest().await;
        assert_eq!(text.matches("retry: ").count(), 2, "{text}");
        retries.push(last_retry(&text));
    }
    assert!(retries.iter().all(|retry| (2000..=5000).contains(retry)), "{retries:?}");
    retries.sort_unstable();
    retries.dedup();
    assert!(retries.len() > 10, "{retries:?}");
    server.ended().await;
}

#[tokio::test]
async fn t45_a_new_stream_during_draining_is_a_200_that_ends_to_a_browser_and_503_to_others() {
    let mut server = slow_to_drain().await;
    let old = server.stream("/topics/a").await;
    server.signal();
    draining(&server).await;

    let own = format!("http://{}", server.address);
    for (name, value) in [("sec-fetch-mode", "cors"), ("origin", &own)] {
        let stream = server.get("/topics/a").header(name, value).stream().await;
        let text = stream.rest().await;
        assert!((2000..=7000).contains(&last_retry(&text)), "{text}");
        assert!(text.contains("\n: this server is shutting down"), "{text}");
        assert!(!text.contains("\n\n"), "{text}");
    }
    let answer = server.get("/topics/a").answer().await;
    answer.problem(503, "draining");
    assert!((2..=7).contains(&answer.header("retry-after").parse::<u32>().unwrap()));
    // Reading once goes on until the end.
    let page = server.get("/topics/a").header("accept", "application/json").answer().await;
    assert_eq!(page.status, 200);

    server.tick(Duration::from_secs(3601));
    old.rest().await;
    server.ended().await;
}

#[tokio::test]
async fn t45_streams_end_spread_over_the_drain_time() {
    let mut server = slow_to_drain().await;
    let mut streams = Vec::new();
    for _ in 0..50 {
        streams.push(server.stream("/topics/a").await);
    }
    server.signal();
    draining(&server).await;
    // Of 50 moments drawn from an hour, some lie in its first half and some in its second; fewer than
    // five in one of them come once in a hundred million runs.
    server.tick(Duration::from_secs(1800));
    while server.hub.stats().subscribers > 45 {
        tokio::task::yield_now().await;
    }
    assert!(server.hub.stats().subscribers >= 5);
    server.tick(Duration::from_secs(3601));
    for stream in streams {
        stream.rest().await;
    }
    server.ended().await;
}

#[tokio::test]
async fn a_server_without_streams_ends_at_once_though_connections_are_open() {
    let mut server = start().await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    idle.write_all(request).await.unwrap();
    idle.read_exact(&mut [0; 15]).await.unwrap();
    let mut half = TcpStream::connect(server.address).await.unwrap();
    half.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
    server.signal();
    let mut rest = Vec::new();
    silent.read_to_end(&mut rest).await.unwrap();
    idle.read_to_end(&mut rest).await.unwrap();
    let _ = half.read_to_end(&mut rest).await;
    server.ended().await;
}

/// A publisher whose first event has arrived and whose second one has not.
async fn half_published(server: &Running) -> TcpStream {
    let mut stream = server.stream("/topics/a").await;
    let start = "data: whole\n\ndata: ha";
    let publisher = server.stalled("/events?topic=a", "text/event-stream", start).await;
    assert_eq!(stream.data().await, "whole");
    publisher
}

/// A hub in memory answered 201 to events that no reader would ever get.
#[tokio::test]
async fn events_that_would_be_lost_are_refused_while_the_server_drains() {
    let mut server = slow_to_drain().await;
    let old = server.stream("/topics/a").await;
    let mut under_way = half_published(&server).await;
    server.signal();
    draining(&server).await;
    for (path, content_type, body) in [
        ("/topics/a", "text/plain", "1"),
        ("/events", "application/json", "[{\"topic\":\"a\",\"data\":1}]"),
        ("/events", "application/x-ndjson", "{\"topic\":\"a\",\"data\":1}"),
        ("/events?topic=a", "text/event-stream", "data: 1\n\n"),
    ] {
        let answer = server.post(path, body).content_type(content_type).answer().await;
        answer.problem(503, "draining");
        assert!((2..=7).contains(&answer.header("retry-after").parse::<u32>().unwrap()));
        let answer = server.post(path, body).content_type(content_type).send_http2().await;
        Whole::read(answer).await.problem(503, "draining");
    }
    under_way.write_all(b"4\r\nlf\n\n\r\n0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    under_way.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\"committed\":1"), "{answer}");
    assert_eq!(server.held("a"), ["whole"]);
    server.tick(Duration::from_secs(3601));
    old.rest().await;
    server.ended().await;
}

/// A journal in memory that claims to outlive its process.
struct Kept(MemoryJournal);

impl Journal for Kept {
    fn open(&self) -> JournalFuture<'_, Result<Opened, JournalError>> {
        Box::pin(async {
            let mut opened = self.0.open().await?;
            opened.durability = Durability::Synced;
            Ok(opened)
        })
    }

    fn append(&self, batch: &mut dyn Iterator<Item = Submission>, now: Now) -> Committing {
        self.0.append(batch, now)
    }

    fn follow(&self, after: Sequence) -> Box<dyn Feed> {
        self.0.follow(after)
    }

    fn evict(&self, what: Evict) -> JournalFuture<'static, Result<(), JournalError>> {
        self.0.evict(what)
    }
}

#[tokio::test]
async fn a_journal_that_is_kept_takes_events_until_the_end() {
    let mut server = start_on(
        |config| {
            config.time = TimeSource::Machine;
            (config.drain_per_stream, config.drain_max) = (HOUR, HOUR);
        },
        Box::new(Kept(MemoryJournal::new())),
    )
    .await;
    let mut old = server.stream("/topics/a").await;
    let mut under_way = half_published(&server).await;
    server.signal();
    draining(&server).await;
    server.publish("a", "kept").await;
    under_way.write_all(b"4\r\nlf\n\n\r\n0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    // The connection is kept until the end.
    while !answer.contains("\"committed\":2") {
        let mut space = [0; 1024];
        let read = under_way.read(&mut space).await.unwrap();
        assert!(read > 0, "{answer}");
        answer.push_str(std::str::from_utf8(&space[..read]).unwrap());
    }
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    for data in ["whole", "kept", "half"] {
        assert_eq!(old.data().await, data);
    }
}

/// Its producer was told after ten seconds, when everything is closed.
#[tokio::test]
async fn a_body_that_is_piped_into_a_stream_is_answered_when_the_server_drains() {
    let mut server = slow_to_drain().await;
    // Its stream keeps the server draining.
    let mut reader = server.stream("/topics/c/1").await;
    let path = "/events?topic=c/1&begin&end";
    let mut body = server.stalled(path, "text/event-stream", "data: a\n\n").await;
    assert_eq!(reader.data().await, "a");
    server.signal();
    let mut answer = String::new();
    while !answer.contains("/problems/draining") {
        let mut bytes = [0; 4096];
        let read = body.read(&mut bytes).await.unwrap();
        assert_ne!(read, 0, "{answer}");
        answer.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: "), "{answer}");
    assert!(answer.contains(r#""committed":1"#), "{answer}");
    assert_eq!(state_of(&server, "c/1").await["state"], "streaming");
    let another = server.post(path, "data: b\n\n").content_type("text/event-stream");
    another.answer().await.problem(503, "draining");
}

#[tokio::test]
async fn what_does_not_end_is_ended_at_the_deadline() {
    let mut server = start_with(|config, _| config.shutdown_max = Duration::from_millis(100)).await;
    let mut publisher = half_published(&server).await;
    server.signal();
    let mut answer = Vec::new();
    let _ = publisher.read_to_end(&mut answer).await;
    assert!(answer.is_empty());
    assert_eq!(server.held("a"), ["whole"]);
    server.ended().await;
}

#[tokio::test]
async fn after_the_end_nothing_listens() {
    let mut server = start().await;
    let address = server.address;
    server.signal();
    server.ended().await;
    let error = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

//! A hundred thousand connections, opened and closed in every way there is, leave nothing behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::program::{Program, drill};
use crate::reader::Reader;

/// How many connections instead of a hundred thousand, which take a machine with two cores half a
/// minute.
const CONNECTIONS: &str = "TIDINGS_DRILL_CONNECTIONS";
/// One in so many is opened before anything is measured: until buffers have the size they keep.
const WARM_UP: usize = 5;
/// Connections open at a time.
const UNDER_WAY: usize = 128;
/// What the allocator may keep beside what it kept after the warm-up.
const MEMORY_MAX: usize = 4 << 20;

/// Opens and closes connections until there have been so many, each in its turn in another way.
async fn open_and_close(program: &Arc<Program>, connections: usize) {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..UNDER_WAY {
        let (program, next) = (Arc::clone(program), Arc::clone(&next));
        tasks.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                // Ten of them take twelve connections.
                if n * 12 / 10 >= connections {
                    return;
                }
                one(&program, n).await;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}

/// A connection that ends in one of ten ways.
async fn one(program: &Program, n: usize) {
    // A topic for each, so that one that stays behind is seen.
    let path = format!("/topics/{n}");
    let stream = async |path: &str| {
        let stream = Reader::open(program.address, path, None).await.unwrap();
        assert_eq!(stream.status, 200);
        stream
    };
    match n % 10 {
        0 => drop(stream(&path).await),
        1 => stream(&path).await.reset(),
        2 => drop(stream(&format!("/events?topic={n}&topic=other")).await),
        3 => drop(stream(&format!("/events?match={n}/*")).await),
        4 => {
            let mut stream = stream(&path).await;
            stream.socket.shutdown().await.unwrap();
            let _ = stream.socket.read_to_end(&mut Vec::new()).await;
        }
        5 => {
            // Talks until it is closed.
            let mut stream = stream(&path).await;
            let _ = stream.socket.write_all(&[b'x'; 1025]).await;
            let _ = stream.socket.read_to_end(&mut Vec::new()).await;
        }
        6 => {
            // Ended by us, or by another of these before it has begun, which is a 204.
            let mut stream = Reader::open(program.address, "/topics/ended", None).await.unwrap();
            let end = program.ask("DELETE /subscribers?topic=ended HTTP/1.1\r\n\r\n").await;
            assert!(end.starts_with("HTTP/1.1 204 "), "{end}");
            assert!(stream.status == 204 || stream.next().await.is_none());
        }
        7 => {
            let refused = raw(program, &format!("GET {path} HTTP/1.1\r\nHost: foreign\r\n")).await;
            assert!(refused.starts_with("HTTP/1.1 421 "), "{refused}");
        }
        8 => {
            // A poll that is left while it waits, and a head that never comes whole.
            let poll = format!("GET {path}?wait=50s HTTP/1.1\r\nAccept: application/json\r\n\r\n");
            for request in [poll.as_str(), "GET / HTTP/1.1\r\nHost: loc"] {
                let mut socket = TcpStream::connect(program.address).await.unwrap();
                socket.write_all(request.as_bytes()).await.unwrap();
            }
        }
        _ => {
            program.publish("published", "news").await;
        }
    }
}

/// Sends a request and gives what is answered.
async fn raw(program: &Program, request: &str) -> String {
    let mut socket = TcpStream::connect(program.address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    socket.write_all(b"Connection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Waits until nothing is left but what was there before, and gives the memory that takes.
async fn settled(program: &Program, descriptors: usize) -> usize {
    program.metric_is("tidings_streams", 0).await;
    program.metric_is("tidings_subscribers", 0).await;
    // Those that were published to and ended; all others were known only while they were read.
    program.metric_is("tidings_topics", 2).await;
    while program.descriptors() != descriptors {
        tokio::task::yield_now().await;
    }
    program.memory()
}

#[test]
fn a_hundred_thousand_connections_leave_no_descriptor_no_memory_and_no_topic() {
    let connections = std::env::var(CONNECTIONS).map_or(100_000, |number| number.parse().unwrap());
    drill(async {
        let program = Arc::new(Program::start(&["--history-bytes", "64KiB"]));
        // Once it answers, it has all it needs.
        program.publish("published", "the first").await;
        let descriptors = program.own_descriptors();
        open_and_close(&program, connections / WARM_UP).await;
        let warm = settled(&program, descriptors).await;
        open_and_close(&program, connections - connections / WARM_UP).await;
        let memory = settled(&program, descriptors).await;
        assert!(memory <= warm + MEMORY_MAX, "{warm} bytes became {memory}");
    });
}

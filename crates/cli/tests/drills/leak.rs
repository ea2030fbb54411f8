//! A hundred thousand connections, opened and closed in various ways, leave nothing behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::program::{Program, drill};
use crate::reader::Reader;

/// The variable that sets the number of connections. The default of a hundred thousand takes a
/// machine with two cores half a minute.
const CONNECTIONS: &str = "TIDINGS_DRILL_CONNECTIONS";
/// One in this many connections is opened before the measurement, so that buffers reach their size.
const WARM_UP: usize = 5;
/// Connections open at a time.
const UNDER_WAY: usize = 128;
/// The growth of the heap after the warm-up that is accepted.
const MEMORY_MAX: usize = 4 << 20;

/// Opens and closes `connections` connections, in ten ways in turn.
async fn open_and_close(program: &Arc<Program>, connections: usize) {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..UNDER_WAY {
        let (program, next) = (Arc::clone(program), Arc::clone(&next));
        tasks.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                // Ten rounds take twelve connections.
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

/// Opens a connection and ends it in one of ten ways.
async fn one(program: &Program, n: usize) {
    // One topic for each, so that a leftover topic is detected.
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
            // The client sends data until the connection is closed.
            let mut stream = stream(&path).await;
            let _ = stream.socket.write_all(&[b'x'; 1025]).await;
            let _ = stream.socket.read_to_end(&mut Vec::new()).await;
        }
        6 => {
            // The stream is ended by this DELETE, or refused with 410 because of another one.
            let mut stream = Reader::open(program.address, "/topics/ended", None).await.unwrap();
            let end = program.ask("DELETE /subscribers?topic=ended HTTP/1.1\r\n\r\n").await;
            assert!(end.starts_with("HTTP/1.1 204 "), "{end}");
            assert!(stream.status == 410 || stream.next().await.is_none());
        }
        7 => {
            let refused = raw(program, &format!("GET {path} HTTP/1.1\r\nHost: foreign\r\n")).await;
            assert!(refused.starts_with("HTTP/1.1 421 "), "{refused}");
        }
        8 => {
            // A poll that is dropped while it waits, and a head that never arrives whole.
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

/// Sends a request and returns the response.
async fn raw(program: &Program, request: &str) -> String {
    let mut socket = TcpStream::connect(program.address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    socket.write_all(b"Connection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Waits until everything is released, and returns the memory that the program takes.
async fn settled(program: &Program, descriptors: usize) -> usize {
    program.metric_is("tidings_streams", 0).await;
    program.metric_is("tidings_subscribers", 0).await;
    // The topics that were published to. All others existed only while they were read.
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
        // After its first response, the program has opened all its own descriptors.
        program.publish("published", "the first").await;
        let descriptors = program.own_descriptors();
        open_and_close(&program, connections / WARM_UP).await;
        let warm = settled(&program, descriptors).await;
        open_and_close(&program, connections - connections / WARM_UP).await;
        let memory = settled(&program, descriptors).await;
        assert!(memory <= warm + MEMORY_MAX, "{warm} bytes became {memory}");
    });
}

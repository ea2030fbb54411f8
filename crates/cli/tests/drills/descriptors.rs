//! Descriptors run out. Streams leave some for other requests, and when even those are gone,
//! accepting pauses and recovers.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::program::{Program, drill};
use crate::reader::Reader;

/// A limit as low as a careless shell sets it.
const DESCRIPTORS: usize = 256;

/// Opens streams until one is refused. Every request gets a response.
async fn fill(program: &Program) -> Vec<Reader> {
    let mut readers = Vec::new();
    for _ in 0..DESCRIPTORS {
        let reader = Reader::open(program.address, "/topics/news", None).await.unwrap();
        match reader.status {
            200 => readers.push(reader),
            503 => return readers,
            status => panic!("status {status}"),
        }
    }
    panic!("streams have taken every descriptor");
}

#[test]
fn streams_leave_descriptors_for_publishers_and_health() {
    drill(async {
        let program = Program::start_with_descriptors(DESCRIPTORS, &[]);
        let mut readers = fill(&program).await;
        let said = format!("descriptors: {DESCRIPTORS}; streams: {} at most", readers.len());
        assert!(program.greeting.contains(&said), "{}", program.greeting);
        assert!(readers.len() > DESCRIPTORS / 3, "{} streams", readers.len());

        // Clients that keep coming back are refused one after the other, each on a connection that
        // is then closed.
        for _ in 0..2 * DESCRIPTORS {
            let refused = Reader::open(program.address, "/topics/news", None).await.unwrap();
            assert_eq!(refused.status, 503);
        }
        // New clients that want no stream are served.
        program.publish("news", "still here").await;
        let health = program.ask("GET /healthz HTTP/1.1\r\n\r\n").await;
        assert!(health.starts_with("HTTP/1.1 200 "), "{health}");
        for reader in &mut readers {
            assert_eq!(reader.next().await.unwrap().data(), "still here");
        }
        assert_eq!(program.metric("tidings_accept_failed_total").await, 0);

        // Freed descriptors are used again.
        let leaving = readers.len() / 2;
        readers.truncate(readers.len() - leaving);
        program.metric_is("tidings_streams", readers.len() as u64).await;
        assert_eq!(fill(&program).await.len(), leaving);
    });
}

#[test]
fn heads_that_never_come_give_way_to_publishers() {
    drill(async {
        let program = Program::start_with_descriptors(DESCRIPTORS, &[]);
        let _readers = fill(&program).await;
        let mut slow = Vec::new();
        for _ in 0..DESCRIPTORS {
            let mut socket = TcpStream::connect(program.address).await.unwrap();
            socket.write_all(b"GET /topics/news HTT").await.unwrap();
            slow.push(socket);
        }
        program.publish("news", "still here").await;
        assert!(program.metric("tidings_accept_failed_total").await > 0);
    });
}

/// More connections than there are descriptors, each of which has sent the same.
async fn flood(program: &Program, request: &str) -> Vec<TcpStream> {
    let mut open = Vec::new();
    for _ in 0..2 * DESCRIPTORS {
        let mut socket = TcpStream::connect(program.address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        open.push(socket);
    }
    open
}

/// Sends single bytes on every connection for as long as it is polled.
async fn drip(open: &mut [TcpStream]) {
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    loop {
        pace.tick().await;
        for socket in &mut *open {
            // It may have been closed.
            let _ = socket.write_all(b" ").await;
        }
    }
}

/// Idle connections locked everybody out for 14 s, half-sent bodies for 59 s, and dripping NDJSON
/// for as long as it dripped.
#[test]
fn quiet_connections_give_way_to_publishers_and_streams_stay() {
    const HALF: &str =
        "POST /topics/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx";
    const CHUNKED: &str = "POST /topics/slow HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\nx";
    const NDJSON: &str = "POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: 1000000\r\n\r\n ";
    const IDLE: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    const IDLE_HYPER: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\n\r\n";
    const REFUSED: &str =
        "POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\nx";
    drill(async {
        for request in [IDLE, IDLE_HYPER, HALF, CHUNKED, NDJSON, REFUSED] {
            let program = Program::start_with_descriptors(DESCRIPTORS, &[]);
            let mut reader = Reader::open(program.address, "/topics/news", None).await.unwrap();
            let mut open = flood(&program, request).await;
            let publishing = async {
                for n in 0..3 {
                    program.publish("news", &n.to_string()).await;
                    assert_eq!(reader.next().await.unwrap().data(), n.to_string());
                }
                assert!(program.metric("tidings_connections_evicted_total").await > 0);
            };
            tokio::select! {
                () = publishing => {}
                () = drip(&mut open), if request == NDJSON => {}
            }
        }
    });
}

#[test]
fn accepting_pauses_while_there_are_none_and_recovers() {
    drill(async {
        let started = Instant::now();
        let program = Program::start_with_descriptors(DESCRIPTORS, &[]);
        let mut reader = Reader::open(program.address, "/topics/news", None).await.unwrap();
        let open = flood(&program, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        for n in 0..100 {
            program.publish("news", &n.to_string()).await;
            assert_eq!(reader.next().await.unwrap().data(), n.to_string());
        }
        let failed = program.metric("tidings_accept_failed_total").await;
        let pauses = started.elapsed().as_millis() / Duration::from_millis(100).as_millis();
        assert!(failed > 0, "descriptors did not run out");
        assert!(u128::from(failed) <= pauses + 1, "{failed} failures in {pauses} pauses");
        drop(open);
        program.publish("news", "after").await;
        assert_eq!(reader.next().await.unwrap().data(), "after");
    });
}

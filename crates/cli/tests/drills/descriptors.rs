//! Descriptors run out. Streams leave some for other requests, and when even those are gone,
//! accepting pauses and recovers.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::program::{Program, drill, post};
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

/// Sends a request on a connection that stays open.
async fn ask(program: &Program) -> TcpStream {
    let mut socket = TcpStream::connect(program.address).await.unwrap();
    socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    socket
}

/// Waits until a connection is answered; `false` if the program has no descriptor for it.
async fn is_answered(program: &Program, socket: &mut TcpStream) -> bool {
    let no_descriptor_left = async {
        while program.descriptors() < DESCRIPTORS {
            tokio::task::yield_now().await;
        }
    };
    let mut answer = [0; 1024];
    tokio::select! {
        biased;
        read = socket.read(&mut answer) => read.unwrap() > 0,
        () = no_descriptor_left => false,
    }
}

#[test]
fn accepting_pauses_while_there_are_none_and_recovers() {
    drill(async {
        let started = Instant::now();
        let program = Program::start_with_descriptors(DESCRIPTORS, &[]);
        let mut reader = Reader::open(program.address, "/topics/news", None).await.unwrap();
        let mut publisher = ask(&program).await;
        assert!(is_answered(&program, &mut publisher).await);

        // More connections than there are descriptors, none of them a stream.
        let mut open = Vec::new();
        loop {
            let mut socket = ask(&program).await;
            let is_answered = is_answered(&program, &mut socket).await;
            open.push(socket);
            if !is_answered {
                break;
            }
        }
        for _ in 0..DESCRIPTORS / 4 {
            open.push(ask(&program).await);
        }
        // Accepted connections are served.
        for n in 0..100 {
            let request =
                post("news", &n.to_string()).replacen("\r\n", "\r\nHost: localhost\r\n", 1);
            publisher.write_all(request.as_bytes()).await.unwrap();
            assert_eq!(reader.next().await.unwrap().data(), n.to_string());
        }
        // When some of the others close, waiting connections are served.
        open.drain(..DESCRIPTORS / 2);
        let mut last = open.pop().unwrap();
        assert!(last.read(&mut [0; 1024]).await.unwrap() > 0);
        let failed = program.metric("tidings_accept_failed_total").await;
        let pauses = started.elapsed().as_millis() / Duration::from_millis(100).as_millis();
        assert!(failed > 0, "descriptors did not run out");
        assert!(u128::from(failed) <= pauses + 1, "{failed} failures in {pauses} pauses");
        program.publish("news", "after").await;
        assert_eq!(reader.next().await.unwrap().data(), "after");
    });
}

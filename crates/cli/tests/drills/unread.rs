//! Clients read nothing of large answers: memory stays flat, and others are served.

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::program::{Program, drill};

const HTTP_2_READS: usize = 250;
const HTTP_1_READS: usize = 60;
/// Twenty events make an answer of 8 MB.
const EVENTS: usize = 20;
const EVENT_BYTES: usize = 400_000;
/// The bytes that the metric counts for an answer.
const ANSWER_BYTES: usize = 64 * 1024;
/// The additional memory of the process: a piece for each answer, and some room for connections and
/// the allocator. Whole answers would take 2.5 GB.
const MEMORY_MAX: usize = (HTTP_2_READS + HTTP_1_READS) * ANSWER_BYTES + (8 << 20);

const PATH: &str = "/topics/fat?limit=1000&after=earliest";

/// Opens a connection and reads only the first line of its answer.
async fn unread(program: &Program) -> TcpStream {
    let mut socket = TcpStream::connect(program.address).await.unwrap();
    // So that the kernel takes little of the answer.
    SockRef::from(&socket).set_recv_buffer_size(4096).unwrap();
    let request =
        format!("GET {PATH} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut line = [0; 15];
    socket.read_exact(&mut line).await.unwrap();
    assert_eq!(&line, b"HTTP/1.1 200 OK");
    socket
}

#[test]
fn clients_that_read_nothing_of_large_answers_cost_little() {
    drill(async {
        let program = Program::start(&[]);
        for _ in 0..EVENTS {
            program.publish("fat", &"x".repeat(EVENT_BYTES)).await;
        }
        let whole = format!("GET {PATH} HTTP/1.1\r\nAccept: application/json\r\n\r\n");
        assert!(program.ask(&whole).await.len() > EVENTS * EVENT_BYTES);
        program.metric_is("tidings_bodies_bytes", 0).await;
        let without = program.memory();

        let socket = TcpStream::connect(program.address).await.unwrap();
        let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(0)
            .handshake(TokioIo::new(socket))
            .await
            .unwrap();
        let connection = tokio::spawn(connection);
        let mut answers = Vec::new();
        for _ in 0..HTTP_2_READS {
            let request = Request::get(format!("http://{}{PATH}", program.address))
                .header("accept", "application/json")
                .body(Empty::<Bytes>::new())
                .unwrap();
            answers.push(sender.send_request(request).await.unwrap());
        }
        let mut sockets = Vec::new();
        for _ in 0..HTTP_1_READS {
            sockets.push(unread(&program).await);
        }

        let held = program.metric("tidings_bodies_bytes").await as usize;
        let most = (HTTP_2_READS + HTTP_1_READS) * ANSWER_BYTES + EVENTS * (EVENT_BYTES + 1000);
        assert!(held > 0 && held <= most, "{held}");
        let with = program.memory();
        assert!(with <= without + MEMORY_MAX, "{without} bytes became {with}");
        program.publish("news", "1").await;
        assert!(program.ask(&whole).await.len() > EVENTS * EVENT_BYTES);

        drop((answers, sockets, sender));
        connection.abort();
        program.metric_is("tidings_bodies_bytes", 0).await;
    });
}

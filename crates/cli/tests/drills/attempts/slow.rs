//! Senders that begin something and do not go on.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::authority::Secured;
use crate::program::{Program, drill_beside};
use crate::reader::Reader;

/// The time between the bytes of a sender that trickles.
const TRICKLE: Duration = Duration::from_millis(500);

/// The beginning of a request with a body.
const HEAD: &str = "POST /topics/b HTTP/1.1\r\nHost: localhost\r\n";

/// Sends the beginning of something, and then a text again and again; all that is answered until the program closes the connection.
async fn begin(program: &Program, beginning: &str, trickle: &str) -> String {
    let mut socket = TcpStream::connect(program.address).await.unwrap();
    socket.write_all(beginning.as_bytes()).await.unwrap();
    let (mut answer, mut space) = (Vec::new(), [0; 1024]);
    loop {
        match timeout(TRICKLE, socket.read(&mut space)).await {
            // It may be closed while something is sent.
            Err(_) => drop(socket.write_all(trickle.as_bytes()).await),
            Ok(Ok(0) | Err(_)) => return String::from_utf8(answer).unwrap(),
            Ok(Ok(read)) => answer.extend_from_slice(&space[..read]),
        }
    }
}

#[test]
fn slow_heads_bodies_and_handshakes_are_given_up_while_others_are_served() {
    drill_beside(async {
        let (clear, secured) = (Program::start(&[]), Secured::start());
        let mut reader = Reader::open(clear.address, "/topics/a", None).await.unwrap();
        let heads = async {
            let line = begin(&clear, "GET /topics/a HTTP/1.1\r\nHost: localhost\r\nX: ", "x");
            for answer in <[_; 2]>::from(tokio::join!(line, begin(&clear, "GET /topi", ""))) {
                assert_eq!(answer, "");
            }
            // The slow bodies are still there.
            clear.publish("a", "beside").await;
            assert_eq!(reader.next().await.unwrap().data(), "beside");
        };
        let handshakes = async {
            // The head of a record of TLS, and then one byte after the other; and nothing at all.
            let trickling = begin(&secured.program, "\x16\x03\x01\x01\0", "\x01");
            let silent = begin(&secured.program, "", "");
            for answer in <[_; 2]>::from(tokio::join!(trickling, silent)) {
                assert_eq!(answer, "");
            }
            let mut socket = secured.connect().await;
            socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
            let mut start = [0; 12];
            socket.read_exact(&mut start).await.unwrap();
            assert_eq!(&start, b"HTTP/1.1 200");
        };
        let bodies = async {
            let long = format!("{HEAD}Content-Length: 10\r\n\r\n12345");
            let coded = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\n123");
            for answer in
                <[_; 2]>::from(tokio::join!(begin(&clear, &long, ""), begin(&clear, &coded, "")))
            {
                assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
            }
            let held =
                clear.ask("GET /topics/b HTTP/1.1\r\nAccept: application/json\r\n\r\n").await;
            assert!(held.contains("\"events\":[]"), "{held}");
        };
        tokio::join!(heads, handshakes, bodies);
    });
}

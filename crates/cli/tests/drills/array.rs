//! A publisher sends a JSON array of the largest size: others publish meanwhile.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::program::{Program, drill, post};

/// The largest array that is accepted.
const BYTES: usize = 8 << 20;
const EVENT: &str = "{\"topic\":\"a\",\"data\":1},\n";
/// The events that another publisher publishes meanwhile at least, one after the other. Usually there
/// are thousands: the array is read in five hundred turns, and committed in more.
const OTHERS_MIN: usize = 100;

#[test]
fn others_publish_while_the_largest_array_is_read_and_published() {
    drill(async {
        let program = Program::start(&[]);
        let events = (BYTES - 2) / EVENT.len();
        let array = format!("[{}]", EVENT.repeat(events).trim_end_matches(",\n"));
        let head = format!(
            "POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n",
            array.len()
        );
        let mut socket = TcpStream::connect(program.address).await.unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(array.as_bytes()).await.unwrap();
        let publishing = async {
            let mut answer = String::new();
            socket.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let (mut others, mut longest) = (0, Duration::ZERO);
        let beside = async {
            let mut socket = TcpStream::connect(program.address).await.unwrap();
            let request = post("b", "x").replacen("\r\n", "\r\nHost: localhost\r\n", 1);
            loop {
                let began = Instant::now();
                socket.write_all(request.as_bytes()).await.unwrap();
                let mut answer = [0; 1024];
                let read = socket.read(&mut answer).await.unwrap();
                assert!(answer[..read].starts_with(b"HTTP/1.1 201 "));
                (others, longest) = (others + 1, longest.max(began.elapsed()));
            }
        };
        let answer = tokio::select! {
            answer = publishing => answer,
            () = beside => unreachable!("they go on"),
        };
        assert!(answer.contains(&format!("\"committed\":{events}")), "{answer:.200}");
        println!("{events} events; {others} beside them, which waited at most {longest:?}");
        assert!(others >= OTHERS_MIN, "{others}");
    });
}

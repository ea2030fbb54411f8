//! Requests that are not what they seem: injected, compressed, and too many.

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{get, status};
use crate::program::{Program, drill, post};
use crate::reader::Reader;

#[test]
fn nothing_is_injected_through_any_parameter_into_a_head_or_a_stream() {
    drill(async {
        let program = Program::start(&[]);
        let reader = Reader::open(program.address, "/events?match=**", None).await.unwrap();
        for bad in
            ["%0d%0aX-Injected: 1%0d%0a", "%0aX-Injected: 1", "%0ddata: injected%0d%0d", "%00"]
        {
            let bad = bad.replace(' ', "%20");
            for target in [
                format!("/topics/a{bad}"),
                format!("/topics/a?type=b{bad}"),
                format!("/topics/a?id=b{bad}"),
                format!("/topics/a?retry=1{bad}"),
                format!("/topics/a?private={bad}"),
                format!("/topics/a?{bad}=1"),
                format!("/events?lines&topic=a{bad}"),
                format!("/events?lines&topic=a&type=b{bad}"),
            ] {
                let request = format!("POST {target} HTTP/1.1\r\nContent-Length: 1\r\n\r\nx");
                check(&program, &request).await;
            }
            for target in [
                format!("/topics/a?last_event_id=b{bad}"),
                format!("/events?topic=a{bad}"),
                format!("/events?match=a{bad}"),
                format!("/topics/a/{bad}/"),
                format!("/topics?after={bad}"),
                format!("/subscribers?subject={bad}"),
                format!("/assets/{bad}"),
                format!("/{bad}"),
            ] {
                check(&program, &get(&target)).await;
            }
        }
        for header in [
            "Last-Event-ID: a\rX-Injected: 1",
            "Event-Type: a\rdata: injected\r",
            "Event-Id: a\0b",
            "Idempotency-Key: a\rb",
            "Origin: http://a\rX-Injected: 1",
            "Relay-Via: 1/a\rb",
        ] {
            check(&program, &post("a", "x").replacen("\r\n", &format!("\r\n{header}\r\n"), 1))
                .await;
        }
        // Line breaks within data are lines of data.
        program.publish("a", "x\r\nid: injected\revent: injected\n\nretry: 1").await;
        let mut reader = reader;
        let event = reader.next().await.unwrap();
        assert_eq!(event.data(), "x\nid: injected\nevent: injected\n\nretry: 1");
        assert_eq!((event.event_type(), event.id()), ("message", reader.last_event_id.as_deref()));
    });
}

/// Sends a request with an injection; the answer is one refusal, or an answer without what was injected.
async fn check(program: &Program, request: &str) {
    let mut socket = TcpStream::connect(program.address).await.unwrap();
    let request = request.replacen("\r\n", "\r\nHost: localhost\r\nConnection: close\r\n", 1);
    socket.write_all(request.as_bytes()).await.unwrap();
    let answer = crate::attempts::rest(socket).await;
    let head = answer.split("\r\n\r\n").next().unwrap().to_lowercase();
    assert!(
        !head.contains("\nx-injected") && !head.contains("\rx-injected"),
        "{request}: {answer}"
    );
    assert!(!answer.starts_with("HTTP/1.1 201"), "{request}: {answer}");
    assert!(!answer.starts_with("HTTP/1.1 5"), "{request}: {answer}");
}

#[test]
fn bombs_of_patterns_and_of_compression_are_refused_or_cost_little() {
    drill(async {
        let program = Program::start(&[]);
        let deep = |wildcards: usize| vec!["*"; wildcards].join("/");
        for number in 0..500 {
            program.publish(&format!("{}/{number}", vec!["a"; 200].join("/")), "x").await;
        }
        let bomb: Vec<_> = (0..100).map(|n| format!("match={}/{n}", deep(100 + n))).collect();
        let answer = program.ask(&get(&format!("/events?{}&after=earliest", bomb.join("&")))).await;
        assert_eq!(status(&answer), "200", "{answer}");
        let mut streams = Vec::new();
        for _ in 0..20 {
            let target = format!("/events?{}", bomb.join("&"));
            streams.push(Reader::open(program.address, &target, None).await.unwrap());
        }
        program.publish(&format!("{}/7", vec!["a"; 107].join("/")), "found").await;
        for stream in &mut streams {
            assert_eq!(stream.next().await.unwrap().data(), "found");
        }
        let too_many = format!("/events?{}&match=b", bomb.join("&"));
        assert_eq!(status(&program.ask(&get(&too_many)).await), "400");
        for pattern in ["**/**", "a**", "**/a", "*a*"] {
            let answer = program.ask(&get(&format!("/events?match={pattern}"))).await;
            assert_eq!(status(&answer), "400", "{pattern}: {answer}");
        }

        for coding in ["gzip", "deflate", "br", "zstd", "identity, gzip"] {
            let coded = format!("\r\nContent-Encoding: {coding}\r\n");
            let answer = program.ask(&post("a", "x").replacen("\r\n", &coded, 1)).await;
            assert_eq!(status(&answer), "415", "{coding}: {answer}");
        }
        let answer = program
            .ask(&post("a", "x").replacen("\r\n", "\r\nTransfer-Encoding: gzip\r\n", 1))
            .await;
        assert!(["400", "501"].contains(&status(&answer)), "{answer}");
    });
}

#[test]
fn ten_thousand_half_open_connections_keep_nobody_out() {
    drill(async {
        const CONNECTIONS: usize = 10_000;
        let program = Program::start(&[]);
        let mut half_open = Vec::new();
        for number in 0..CONNECTIONS {
            let mut socket = TcpStream::connect(program.address).await.unwrap();
            // Nothing, a line, or a head without its end.
            let begun =
                ["", "GET /topics/a HT", "POST /topics/a HTTP/1.1\r\nHost: localhost\r\nX: "];
            socket.write_all(begun[number % 3].as_bytes()).await.unwrap();
            half_open.push(socket);
            if number % 1000 == 0 {
                program.publish("a", "in between").await;
            }
        }
        let mut reader = Reader::open(program.address, "/topics/a", None).await.unwrap();
        program.publish("a", "still here").await;
        assert_eq!(reader.next().await.unwrap().data(), "still here");
        let memory = program.memory();
        assert!(memory < 512 << 20, "{memory} bytes");
        drop(half_open);
    });
}

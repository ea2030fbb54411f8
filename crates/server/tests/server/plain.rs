//! Plain requests of HTTP/1, which the server reads by itself, beside the same ones read by hyper.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tidings_hub::{Event, Start, Topic};
use tidings_server::{AnswerFuture, ExtraRoutes, ProblemKind, Request, StreamAnswer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{start, start_server, start_with};
use crate::wire::RawReader;

/// A header without meaning that leaves a request to hyper.
const NOT_PLAIN: &str = "Upgrade: nothing\r\n";

/// An answer with sorted headers, without the parts that always differ.
fn without_dates_and_ids(answer: &str) -> String {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let (status, headers) = head.split_once("\r\n").unwrap();
    let mut headers: Vec<_> = headers.split("\r\n").map(str::to_ascii_lowercase).collect();
    headers.retain(|line| !line.starts_with("date: "));
    headers.sort_unstable();
    let body = if status.contains(" 201 ") { &body[..body.rfind('.').unwrap_or(0)] } else { body };
    format!("{status}\n{}\n\n{body}", headers.join("\n"))
}

#[tokio::test]
async fn plain_requests_are_answered_as_hyper_answers_them() {
    let server = start_with(|config, _| config.json_bytes_max = 100).await;
    server.publish("a", "1").await;
    let json = "{\"topic\":\"a\",\"data\":\"x\"}";
    let long = "x".repeat(200);
    for (line, headers, body) in [
        ("POST /topics/a HTTP/1.1", "Host: localhost\r\n", "x"),
        ("POST /topics/a HTTP/1.1", "Host: localhost\r\n", ""),
        ("POST /topics/a HTTP/1.0", "Host: localhost\r\n", "x"),
        ("POST /topics/a HTTP/1.1", "Host: evil.example\r\n", "x"),
        ("POST /topics/a HTTP/1.1", "Host: localhost\r\nHost: localhost\r\n", "x"),
        ("POST /topics/a HTTP/1.1", "Host: localhost\r\nOrigin: http://evil.example\r\n", "x"),
        ("POST /topics/a HTTP/1.1", "", "x"),
        ("POST /topics/a HTTP/1.0", "", "x"),
        ("POST /topics/a?no=1 HTTP/1.1", "Host: localhost\r\n", "x"),
        ("POST /topics/%ff HTTP/1.1", "Host: localhost\r\n", "x"),
        ("POST /events HTTP/1.1", "Host: localhost\r\nContent-Type: application/json\r\n", json),
        ("POST /events HTTP/1.1", "Host: localhost\r\nContent-Type: application/json\r\n", "{"),
        ("POST /events HTTP/1.1", "Host: localhost\r\nContent-Type: application/json\r\n", &long),
        ("POST /events HTTP/1.1", "Host: localhost\r\n", "x"),
        ("POST /nothing HTTP/1.1", "Host: localhost\r\n", "x"),
        ("GET / HTTP/1.1", "Host: localhost\r\n", ""),
        ("HEAD / HTTP/1.1", "Host: localhost\r\n", ""),
        ("GET http://localhost/healthz HTTP/1.1", "Host: localhost\r\n", ""),
        ("GET http://localhost/healthz HTTP/1.1", "Host: other\r\n", ""),
        ("GET /healthz HTTP/1.0", "Host: localhost\r\n", ""),
        ("HEAD /topics/a HTTP/1.1", "Host: localhost\r\n", ""),
        ("HEAD /nothing HTTP/1.1", "Host: localhost\r\n", ""),
        ("GET /topics/a HTTP/1.1", "Host: localhost\r\nAccept: application/json\r\n", ""),
        ("GET /topics/a HTTP/1.1", "Host: localhost\r\nAccept: image/png\r\n", ""),
        ("PUT /topics/a HTTP/1.1", "Host: localhost\r\n", "x"),
        ("BREW /topics/a HTTP/1.1", "Host: localhost\r\n", "x"),
        ("OPTIONS * HTTP/1.1", "Host: localhost\r\n", ""),
        ("OPTIONS /topics/a HTTP/1.1", "Host: localhost\r\n", ""),
        ("DELETE /subscribers?topic=nobody HTTP/1.1", "Host: localhost\r\n", ""),
    ] {
        let length = if body.is_empty() { String::new() } else { body.len().to_string() };
        let length = length.split_terminator('\n').map(|n| format!("Content-Length: {n}\r\n"));
        let rest = format!("{headers}{}Connection: close\r\n", length.collect::<String>());
        let plain = server.raw(format!("{line}\r\n{rest}\r\n{body}")).await;
        let by_hyper = server.raw(format!("{line}\r\n{rest}{NOT_PLAIN}\r\n{body}")).await;
        let what = format!("{line}\n{headers}");
        assert_eq!(without_dates_and_ids(&plain), without_dates_and_ids(&by_hyper), "{what}");
        assert!(plain.contains("\r\ndate: "), "{plain}");
    }
}

#[tokio::test]
async fn what_comes_together_is_answered_in_its_order_whoever_reads_it() {
    let server = start().await;
    let mut texts = Vec::new();
    let mut all = String::new();
    for n in 0..300 {
        let data = "x".repeat(n % 7 + 1);
        let publish = format!("POST /topics/t{n} HTTP/1.1\r\nHost: localhost\r\n");
        all += &match n {
            // From here on the connection is hyper's.
            200 => format!("{publish}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"),
            _ => format!("{publish}Content-Length: {}\r\n\r\n{data}", data.len()),
        };
        texts.push(if n == 200 { "x".to_owned() } else { data });
    }
    all += "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answers = server.raw(all).await;
    assert_eq!(answers.matches("HTTP/1.1 201 ").count(), 300, "{answers}");
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 301);
    assert!(answers.rfind("HTTP/1.1 200 ") > answers.rfind("HTTP/1.1 201 "));
    for (n, text) in texts.into_iter().enumerate() {
        assert_eq!(server.held(&format!("t{n}")), [text]);
    }
}

#[tokio::test]
async fn a_stream_that_follows_other_requests_comes_after_their_answers() {
    let server = start().await;
    let publish = "POST /topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1";
    let stream = "GET /topics/a?last_event_id=earliest HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut reader = RawReader::send(&server, format!("{publish}{stream}")).await;
    let text = reader.text_with("data: 1\n\n").await;
    let (answer, stream) = text.split_at(text.rfind("HTTP/1.1 ").unwrap());
    assert!(answer.starts_with("HTTP/1.1 201 "), "{text}");
    assert!(stream.starts_with("HTTP/1.1 200 "), "{text}");
    server.publish("a", "2").await;
    reader.text_with("data: 2\n\n").await;
}

#[tokio::test]
async fn an_answer_does_not_wait_for_the_next_one() {
    let server = start().await;
    let publish = "POST /topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1";
    let poll = "GET /topics/b?wait=55 HTTP/1.1\r\nHost: localhost\r\n\
                Accept: application/json\r\nConnection: close\r\n\r\n";
    let mut reader = RawReader::send(&server, format!("{publish}{poll}")).await;
    let text = reader.text_with("urn:uuid:").await;
    assert!(text.starts_with("HTTP/1.1 201 "), "{text}");
    server.publish("b", "2").await;
    assert!(reader.rest().await.contains("\"data\":\"2\""));
}

#[tokio::test]
async fn a_client_that_leaves_while_polling_gives_its_permit_back() {
    let server = start_with(|config, _| config.streams_max = 1).await;
    let poll = "GET /topics/b?wait=55 HTTP/1.1\r\nHost: localhost\r\n\
                Accept: application/json\r\n\r\n";
    let reader = RawReader::send(&server, poll).await;
    while server.get("/topics/a").send().await.status() == StatusCode::OK {}
    drop(reader);
    while server.get("/topics/a").send().await.status() != StatusCode::OK {}
}

#[tokio::test]
async fn a_body_may_come_in_pieces_after_its_head() {
    let server = start().await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let text = format!("{{\"topic\":\"a\",\"data\":\"{}\"}}\n", "x".repeat(100)).repeat(3000);
    let head = format!(
        "POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n",
        text.len()
    );
    for piece in head.as_bytes().chunks(7).chain(text.as_bytes().chunks(1021)) {
        socket.write_all(piece).await.unwrap();
    }
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("\"committed\":3000"), "{answer}");
}

#[tokio::test]
async fn a_body_that_stops_short_publishes_nothing() {
    let server = start().await;
    let head = "POST /topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n";
    let mut reader = RawReader::send(&server, format!("{head}12345")).await;
    reader.half_close().await;
    let answer = reader.rest().await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("/problems/body-broken"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(server.held("a").is_empty());
}

#[tokio::test]
async fn a_body_that_stops_coming_is_given_up() {
    let server = start_with(|config, _| {
        config.body_timeout = Duration::from_millis(20);
    })
    .await;
    let head = "POST /topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n";
    let answer = server.raw(format!("{head}12345")).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(server.held("a").is_empty());
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_a_word() {
    // Enough for a busy machine to send and answer what is whole.
    let server = start_with(|config, _| config.head_timeout = Duration::from_secs(1)).await;
    let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answer = server.raw(format!("{request}{request}GET /heal")).await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 2, "{answer}");
}

#[tokio::test]
async fn a_head_that_trickles_has_no_more_time_than_one_that_stops() {
    let server = start_with(|config, _| config.head_timeout = Duration::from_millis(50)).await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let served = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    socket.write_all(format!("{served}GET / HTTP/1.1\r\nX: ").as_bytes()).await.unwrap();
    let mut space = [0; 1024];
    // A hundred times as long as it has.
    for _ in 0..1000 {
        let _ = socket.write_all(b"x").await;
        let read = timeout(Duration::from_millis(5), socket.read(&mut space)).await;
        if matches!(read, Ok(Ok(0) | Err(_))) {
            return;
        }
    }
    panic!("it is still served");
}

/// A route that answers a POST by a stream, for requests with a body.
struct Asked;

impl ExtraRoutes for Asked {
    fn is_unsafe_get(&self, _: &str) -> bool {
        false
    }

    fn answer<'a>(&'a self, request: Request<'a>) -> Option<AnswerFuture<'a>> {
        let topic = Topic::new(request.head.uri.path().strip_prefix("/ask/")?).unwrap();
        Some(Box::pin(async move {
            let question = request.body.whole(100, ProblemKind::EventTooLarge).await?;
            let mut stream = StreamAnswer::new(topic.into(), Start::Tail);
            stream.spec.greeting = Some(Event::new(std::str::from_utf8(&question).unwrap()));
            Ok(stream.into())
        }))
    }
}

#[tokio::test]
async fn a_post_may_be_answered_by_a_stream() {
    let server = start_server(|_, _| {}, |server| server.with_routes(Arc::new(Asked))).await;
    for more in ["", NOT_PLAIN] {
        let request = format!("POST /ask/a HTTP/1.1\r\nHost: localhost\r\n{more}");
        let request = format!("{request}Content-Length: 8\r\n\r\nWhat is?");
        let mut reader = RawReader::send(&server, request).await;
        reader.text_with("data: What is?\n\n").await;
        server.publish("a", "This.").await;
        reader.text_with("data: This.\n\n").await;
    }
}

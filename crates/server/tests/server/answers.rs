//! Answers as JSON are written as their clients take them, and hold little meanwhile.

use std::num::NonZeroUsize;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::budget::{held, until_held};
use crate::harness::{Running, Whole, start, start_with};
use crate::stalls::{connect, get, http2 as connect_http2};

const JSON: &str = "application/json";
/// The bytes counted for an answer of several pieces.
const ANSWER_BYTES: usize = 64 * 1024;

/// Data of all kinds: short, of many lines, with all that JSON escapes, and larger than a piece.
fn all_kinds() -> Vec<String> {
    let escaped: String = ('\u{1}'..'\u{3}').chain(['"', '\\', '\n', 'ü', '😀']).collect();
    let mut all = vec![String::new(), "x".into(), "\n\na\n".into(), escaped.clone()];
    all.push(escaped.repeat(20_000));
    all.push("y".repeat(300_000));
    all.extend((0..100).map(|n| format!("{n} {}", escaped.repeat(n))));
    all
}

async fn publish_all(server: &Running, topic: &str, all: &[String]) {
    for data in all {
        server.publish(topic, data).await;
    }
}

fn data(page: &Value) -> Vec<&str> {
    page["events"].as_array().unwrap().iter().map(|e| e["data"].as_str().unwrap()).collect()
}

/// The answer to a request on a connection of its own, which closes it.
async fn raw_json(server: &Running, line: &str, headers: &str) -> Value {
    let request = format!("{line}\r\nHost: localhost\r\nAccept: {JSON}\r\n{headers}\r\n");
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    let body = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    serde_json::from_slice(&answer[body..]).unwrap()
}

#[tokio::test]
async fn an_answer_in_pieces_is_the_same_on_every_path() {
    let server = start().await;
    let all = all_kinds();
    publish_all(&server, "fat", &all).await;
    let path = "/topics/fat?limit=1000&after=earliest";
    let ask = || server.get(path).header("accept", JSON);
    let plain = ask().answer().await;
    assert_eq!(plain.header("transfer-encoding"), "chunked");
    assert_eq!(plain.header("content-type"), JSON);
    let plain = plain.json();
    assert_eq!(data(&plain), all);
    assert_eq!(plain["last_event_id"], plain["events"].as_array().unwrap().last().unwrap()["id"]);
    assert_eq!(ask().header("upgrade", "nothing").answer().await.json(), plain);
    assert_eq!(Whole::read(ask().send_http2().await).await.json(), plain);
    // Without chunks, the end of the connection is the end of the body.
    let line = format!("GET {path} HTTP/1.0");
    assert_eq!(raw_json(&server, &line, "Connection: keep-alive\r\n").await, plain);
    until_held(&server, |held| held == 0).await;
}

#[tokio::test]
async fn requests_that_follow_an_answer_in_pieces_are_answered() {
    let server = start().await;
    publish_all(&server, "fat", &all_kinds()).await;
    let fat =
        format!("GET /topics/fat?limit=1000 HTTP/1.1\r\nHost: localhost\r\nAccept: {JSON}\r\n\r\n");
    let last = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answers = server.raw(format!("{fat}{fat}{last}")).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK\r\n").count(), 3);
    assert_eq!(answers.matches("\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n").count(), 2);
    assert!(answers.ends_with("\"}\n"), "{answers:.100}");
}

#[tokio::test]
async fn the_answer_to_head_has_no_body() {
    let server = start().await;
    publish_all(&server, "fat", &all_kinds()).await;
    let head = format!("HEAD /topics/fat HTTP/1.1\r\nHost: localhost\r\nAccept: {JSON}\r\n");
    for rest in ["", "Upgrade: nothing\r\n"] {
        let answer = server.raw(format!("{head}{rest}Connection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"), "{answer}");
    }
    until_held(&server, |held| held == 0).await;
}

/// Others can publish and read, however many answers are not taken.
async fn check_others(server: &Running) {
    let ask = |topic: &str| {
        server.get(&format!("/topics/{topic}?limit=1000&after=earliest")).header("accept", JSON)
    };
    let large = format!("{{\"topic\":\"b\",\"data\":\"{}\"}}", "x".repeat(500_000));
    let answer = server.post("/events", large).content_type(JSON).answer().await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert!(data(&ask("b").answer().await.json()).iter().all(|data| data.len() == 500_000));
    let fat = ask("fat").answer().await.json();
    assert!(!data(&fat).is_empty());
    assert_eq!(server.get("/healthz").answer().await.status, StatusCode::OK);
}

/// Such answers took the hub from 18 MB to 1.7 GB, and stopped it for 3 s.
#[tokio::test]
async fn answers_whose_http_2_window_is_closed_hold_little() {
    const READS: usize = 250;
    const EVENT: usize = 400_000;
    let server = start().await;
    publish_all(&server, "fat", &vec!["x".repeat(EVENT); 20]).await;
    let mut sender = connect_http2(&server, 0).await;
    let mut answers = Vec::new();
    for _ in 0..READS {
        answers.push(get(&server, &mut sender, "/topics/fat?limit=1000", JSON).await);
    }
    let bytes = held(&server).await;
    let most = READS * ANSWER_BYTES + 2 * (EVENT + 1000);
    assert!((READS * ANSWER_BYTES..=most).contains(&bytes), "{bytes}");
    check_others(&server).await;
    drop(answers);
    until_held(&server, |held| held == 0).await;
}

/// Such answers took 830 MB.
#[tokio::test]
async fn answers_that_are_not_read_from_their_connections_hold_little() {
    const READS: usize = 60;
    const EVENT: usize = 400_000;
    let server = start().await;
    publish_all(&server, "fat", &vec!["x".repeat(EVENT); 20]).await;
    for (headers, more) in [("", 0), ("Upgrade: nothing\r\n", 20_000)] {
        let mut sockets = Vec::new();
        for _ in 0..READS {
            let mut socket = connect(&server).await;
            let request = format!(
                "GET /topics/fat?limit=1000 HTTP/1.1\r\nHost: localhost\r\nAccept: {JSON}\r\n\
                 {headers}\r\n"
            );
            socket.write_all(request.as_bytes()).await.unwrap();
            socket.read_exact(&mut [0; 15]).await.unwrap();
            sockets.push(socket);
        }
        let bytes = held(&server).await;
        // Each may stand at another event: where depends on what the kernel has taken.
        let most = READS * (ANSWER_BYTES + more) + 20 * (EVENT + 1000);
        assert!((READS * ANSWER_BYTES..=most).contains(&bytes), "{bytes}");
        check_others(&server).await;
        drop(sockets);
        until_held(&server, |held| held == 0).await;
    }
}

/// Events that history evicts while an answer is on its way are no part of it, and the next request is
/// told.
#[tokio::test]
async fn an_answer_that_is_overtaken_ends_before_the_gap() {
    let server = start_with(|_, hub| {
        hub.retention.topic_events_max = NonZeroUsize::new(100);
    })
    .await;
    for n in 0..100 {
        server.publish("fat", &format!("{n:>10000}")).await;
    }
    let mut sender = connect_http2(&server, 30_000).await;
    let answer = get(&server, &mut sender, "/topics/fat?limit=1000&after=earliest", JSON).await;
    for n in 100..200 {
        server.publish("fat", &format!("{n:>10000}")).await;
    }
    let page: Value =
        serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();
    let numbers = |page: &Value| -> Vec<usize> {
        data(page).into_iter().map(|data| data.trim().parse().unwrap()).collect()
    };
    let first = numbers(&page);
    assert!((1..50).contains(&first.len()), "{}", first.len());
    assert_eq!(first, (0..first.len()).collect::<Vec<_>>());
    assert_eq!(page.get("gap"), None);
    let place = page["last_event_id"].as_str().unwrap();
    assert_eq!(page["events"].as_array().unwrap().last().unwrap()["id"], place);

    let path = format!("/topics/fat?limit=1000&after={place}");
    let next = server.get(&path).header("accept", JSON).answer().await.json();
    assert_eq!(next["gap"]["asked"], place);
    assert_eq!(numbers(&next), (100..200).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_event_without_room_is_left_to_the_next_answer() {
    const EVENT: usize = 300_000;
    // Three quarters are for what is large: two events and their answers, and another answer.
    let server = start_with(|config, _| config.bodies_bytes_max = 1_200_000).await;
    for (topic, large) in [("first", 2), ("second", 1)] {
        for n in 0..20 {
            server.publish(topic, &n.to_string().repeat(500)).await;
        }
        publish_all(&server, topic, &vec!["x".repeat(EVENT); large]).await;
    }
    let mut sender = connect_http2(&server, 0).await;
    let stalled = get(&server, &mut sender, "/topics/first?limit=2", JSON).await;
    assert!(held(&server).await > EVENT);

    let ask = |after: &str| {
        let path = format!("/topics/second?limit=1000&after={after}");
        server.get(&path).header("accept", JSON).answer()
    };
    let with_all = ask("earliest").await.json();
    assert_eq!(with_all["events"].as_array().unwrap().len(), 21);
    // Another event leaves no room for this one.
    let also = get(&server, &mut sender, "/topics/first?limit=1", JSON).await;
    let page = ask("earliest").await.json();
    assert_eq!(page["events"].as_array().unwrap().len(), 20);
    let place = page["last_event_id"].as_str().unwrap();
    assert_eq!(page["events"][19]["id"], place);
    ask(place).await.problem(503, "too-many-bytes");
    // Small answers have room.
    let small = server.get("/topics/second?after=earliest&limit=5").header("accept", JSON);
    assert_eq!(small.answer().await.json()["events"].as_array().unwrap().len(), 5);
    drop((stalled, also));
    until_held(&server, |held| held == 0).await;
    assert_eq!(ask(place).await.json()["events"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn lists_are_written_in_pieces_too() {
    let server = start().await;
    let long = "t".repeat(900);
    for n in 0..300 {
        server.publish(&format!("{long}{n:03}"), "x").await;
    }
    let mut sender = connect_http2(&server, 0).await;
    let stalled = get(&server, &mut sender, "/topics", JSON).await;
    let bytes = held(&server).await;
    assert!((300_000..400_000).contains(&bytes), "{bytes}");
    drop(stalled);
    until_held(&server, |held| held == 0).await;
    let list = server.get("/topics?limit=299").answer().await.json();
    let topics = list["topics"].as_array().unwrap();
    assert_eq!(topics.len(), 299);
    assert_eq!(topics[298]["topic"], list["next"]);

    let mut streams = Vec::new();
    for n in 0..100 {
        streams.push(server.stream(&format!("/events?topic={long}{n:03}&topic={long}")).await);
    }
    let path = format!("/subscribers?limit=99&topic={long}");
    let list = server.get(&path).answer().await.json();
    assert_eq!(list["total"], 100);
    let listed = list["subscribers"].as_array().unwrap();
    assert_eq!(listed.len(), 99);
    assert!(listed.iter().all(|subscriber| subscriber["topics"][1] == json!(long)));
    let rest = server.get(&format!("{path}&after={}", list["next"].as_str().unwrap()));
    let rest = rest.answer().await.json();
    assert_eq!(rest["subscribers"].as_array().unwrap().len(), 1);
    assert_eq!(rest.get("next"), None);
    let stalled = get(&server, &mut sender, &path, JSON).await;
    assert_eq!(held(&server).await, ANSWER_BYTES);
    drop(stalled);
    until_held(&server, |held| held == 0).await;
}

/// The answers that name the IDs of a thousand events each.
#[tokio::test]
async fn reports_that_are_not_taken_count() {
    const REPORTS: usize = 50;
    let server = start().await;
    let mut sender = http2_with_bodies(&server).await;
    let event = "{\"topic\":\"a\",\"data\":1},";
    let array = format!("[{}]", event.repeat(1000).trim_end_matches(','));
    let mut answers = Vec::new();
    for _ in 0..REPORTS {
        let request = http::Request::post(format!("http://{}/events", server.address))
            .header("content-type", JSON)
            .body(Full::new(Bytes::from(array.clone())))
            .unwrap();
        answers.push(sender.send_request(request).await.unwrap());
    }
    let bytes = held(&server).await;
    let most = REPORTS * 60_000;
    assert!((REPORTS * 40_000..most).contains(&bytes), "{bytes}");
    drop(answers);
    until_held(&server, |held| held == 0).await;
}

/// An HTTP/2 connection whose window is closed, and which sends bodies.
async fn http2_with_bodies(server: &Running) -> SendRequest<Full<Bytes>> {
    let socket = TcpStream::connect(server.address).await.unwrap();
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(0)
        .handshake(TokioIo::new(socket))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

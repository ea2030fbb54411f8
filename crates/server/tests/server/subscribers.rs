//! Listing subscribers page by page, and closing the streams of a subject.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tidings_server::{Others, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Running, Stream, start, start_server};
use crate::keyed::Keyed;

/// A server that has the keyed endpoints, whose keys are subjects.
async fn start_keyed() -> Running {
    let finish = |server: Server| {
        let keyed = Keyed::new(server.hub());
        server.with_routes(Arc::new(keyed))
    };
    start_server(|_, _| {}, finish).await
}

/// Opens a stream by hand, so that its address is known, and reads its head.
async fn open(server: &Running, path: &str, version: &str) -> TcpStream {
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let head = format!("GET {path} {version}\r\nHost: {}\r\n\r\n", server.address);
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    while !text.windows(4).any(|four| four == b"\r\n\r\n") {
        socket.read_buf(&mut text).await.unwrap();
    }
    socket
}

async fn open_http2(server: &Running, path: &str) -> Stream {
    let mut stream = Stream::new(server.get(path).send_http2().await);
    stream.text_with("retry: ").await;
    stream
}

async fn list(server: &Running, query: &str) -> Value {
    let answer = server.get(&format!("/subscribers{query}")).answer().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    answer.json()
}

/// How many there are, and the topics or patterns of those listed, in no order.
async fn listed(server: &Running, query: &str) -> (u64, Vec<String>) {
    let list = list(server, query).await;
    let name = |subscriber: &Value| {
        let names = ["topics", "match"].map(|name| subscriber[name].as_array().unwrap().clone());
        names.concat().iter().map(|name| name.as_str().unwrap().to_owned()).collect::<String>()
    };
    let mut names: Vec<_> = list["subscribers"].as_array().unwrap().iter().map(name).collect();
    names.sort();
    (list["total"].as_u64().unwrap(), names)
}

async fn delete(server: &Running, query: &str) {
    let answer = server.request(Method::DELETE, &format!("/subscribers{query}")).answer().await;
    assert_eq!(answer.status, 204, "{}", answer.text());
}

#[tokio::test]
async fn a_stream_is_listed_with_what_it_reads_and_where_it_goes() {
    let server = start_keyed().await;
    let since = server.hub.time().to_string();
    let first = open(&server, "/events?topic=a&topic=b&match=c/*", "HTTP/1.1").await;
    // Too soon for a heartbeat, which it would be behind with until it is written.
    server.tick(Duration::from_secs(5));
    let later = server.hub.time().to_string();
    let second = open(&server, "/connect/alpha", "HTTP/1.0").await;
    let third = open_http2(&server, "/stream-sse?user=beta").await;

    let mut list = list(&server, "").await;
    assert_eq!(list["total"], 3);
    assert_eq!(list.get("next"), None);
    let listed = list["subscribers"].as_array_mut().unwrap();
    listed.sort_by_key(|subscriber| subscriber["protocol"].to_string());
    let local = |socket: &TcpStream| socket.local_addr().unwrap().to_string();
    let is_client = |address: &Value| address.as_str().unwrap().starts_with("127.0.0.1:");
    assert!(is_client(&listed[2]["address"]), "{listed:?}");
    listed[2]["address"] = "known to hyper".into();
    let expected = json!([
        {
            "topics": ["connect/alpha"], "match": [], "subject": "alpha",
            "address": local(&second), "since": later, "protocol": "HTTP/1.0", "behind": false,
        },
        {
            "topics": ["a", "b"], "match": ["c/*"],
            "address": local(&first), "since": since, "protocol": "HTTP/1.1", "behind": false,
        },
        {
            "topics": ["stream-sse/beta"], "match": [], "subject": "beta",
            "address": "known to hyper", "since": later, "protocol": "HTTP/2", "behind": false,
        },
    ]);
    assert_eq!(Value::from(listed.clone()), expected);

    drop((first, second, third));
    while list_total(&server).await > 0 {}
}

async fn list_total(server: &Running) -> u64 {
    listed(server, "").await.0
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_behind() {
    let server = start().await;
    let one = open(&server, "/topics/a", "HTTP/1.1").await;
    let two = server.get("/topics/a").send_http2().await;
    let large = "x".repeat(512 * 1024);
    // However much the kernel holds for it, there is an end to it.
    loop {
        let list = list(&server, "").await;
        let listed = list["subscribers"].as_array().unwrap();
        if listed.len() == 2 && listed.iter().all(|subscriber| subscriber["behind"] == true) {
            break;
        }
        server.publish("a", &large).await;
    }
    drop((one, two));
}

#[tokio::test]
async fn the_list_is_of_the_topics_and_subjects_that_are_named() {
    let server = start_keyed().await;
    let streams = [
        open(&server, "/topics/a", "HTTP/1.1").await,
        open(&server, "/events?topic=b&topic=a", "HTTP/1.1").await,
        open(&server, "/events?match=a/*", "HTTP/1.1").await,
        open(&server, "/connect/alpha", "HTTP/1.1").await,
        open(&server, "/connect/beta", "HTTP/1.1").await,
    ];
    let http2 = open_http2(&server, "/connect/alpha").await;
    let ways: &[(&str, u64, &[&str])] = &[
        ("?topic=a", 2, &["a", "ba"]),
        ("?topic=a/1", 1, &["a/*"]),
        ("?topic=a/1&topic=b", 2, &["a/*", "ba"]),
        ("?topic=nobody", 0, &[]),
        ("?subject=alpha", 2, &["connect/alpha", "connect/alpha"]),
        ("?subject=alpha&subject=beta", 3, &["connect/alpha", "connect/alpha", "connect/beta"]),
        ("?subject=alpha&topic=connect/alpha", 2, &["connect/alpha", "connect/alpha"]),
        ("?subject=beta&topic=connect/alpha", 0, &[]),
        ("?subject=nobody", 0, &[]),
    ];
    for (query, total, names) in ways {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(listed(&server, query).await, (*total, names), "{query}");
    }
    drop((streams, http2));
}

#[tokio::test]
async fn every_stream_is_on_one_page_whoever_comes_and_goes_meanwhile() {
    let server = start().await;
    let mut streams = Vec::new();
    for number in 0..17 {
        streams.push(open(&server, &format!("/topics/{number}"), "HTTP/1.1").await);
    }
    let mut bodies = Vec::new();
    for number in 17..23 {
        bodies.push(open_http2(&server, &format!("/topics/{number}")).await);
    }
    for filter in ["", "&topic=1&topic=20", "&topic=99"] {
        let (mut seen, mut after, mut pages) = (HashSet::new(), String::new(), 0);
        let all: HashSet<String> = match filter {
            "" => (0..23).map(|number| number.to_string()).collect(),
            "&topic=99" => HashSet::new(),
            _ => ["1", "20"].map(str::to_owned).into(),
        };
        loop {
            let list = list(&server, &format!("?limit=5{filter}{after}")).await;
            assert_eq!(list["total"], all.len(), "{filter}");
            let listed = list["subscribers"].as_array().unwrap();
            for subscriber in listed {
                let topic = subscriber["topics"][0].as_str().unwrap().to_owned();
                assert!(seen.insert(topic), "listed twice: {subscriber}");
            }
            pages += 1;
            let Some(next) = list.get("next") else { break };
            assert_eq!(listed.len(), 5);
            after = format!("&after={}", next.as_str().unwrap());
        }
        assert_eq!(seen, all);
        assert_eq!(pages, all.len().div_ceil(5).max(1));
    }

    // A stream that ends moves no other to another page.
    let first = list(&server, "?limit=5").await;
    let next = first["next"].as_str().unwrap();
    let on_page = |page: &Value| -> HashSet<String> {
        let listed = page["subscribers"].as_array().unwrap().iter();
        listed.map(|subscriber| subscriber["topics"][0].to_string()).collect()
    };
    let gone = first["subscribers"][0]["address"].as_str().unwrap();
    streams.retain(|socket| socket.local_addr().unwrap().to_string() != gone);
    while list_total(&server).await == 23 {}
    let second = list(&server, &format!("?limit=1000&after={next}")).await;
    assert_eq!(on_page(&second).len(), 18);
    assert!(on_page(&first).is_disjoint(&on_page(&second)));
    assert_eq!(second.get("next"), None);
}

#[tokio::test]
async fn nonsense_is_told() {
    let server = start().await;
    let get = |query: &str| server.get(&format!("/subscribers{query}"));
    get("?match=a/*").answer().await.problem(400, "unknown-parameter");
    get("?limit=0").answer().await.problem(400, "invalid-parameter");
    get("?limit=1001").answer().await.problem(400, "invalid-parameter");
    get("?after=x").answer().await.problem(400, "invalid-parameter");
    get("?topic=").answer().await.problem(400, "invalid-topic");
    get("?subject=").answer().await.problem(400, "invalid-parameter");
    assert_eq!(list(&server, "?after=99-0").await["subscribers"], json!([]));

    let delete = |query: &str| server.request(Method::DELETE, &format!("/subscribers{query}"));
    let neither = delete("").answer().await.problem(400, "missing-parameter");
    assert!(neither.contains("topic=") && neither.contains("subject="), "{neither}");
    let both = delete("?topic=a&subject=b").answer().await.problem(400, "invalid-parameter");
    assert!(both.contains("topic=") && both.contains("'subject'"), "{both}");
    delete("?subject=").answer().await.problem(400, "invalid-parameter");
    delete("?limit=1&subject=a").answer().await.problem(400, "unknown-parameter");
    let ask = delete("?subject=a").header("sec-fetch-site", "cross-site");
    ask.answer().await.problem(403, "foreign-site");

    let head = server.request(Method::HEAD, "/subscribers").answer().await;
    assert_eq!((head.status.as_u16(), head.text().as_str()), (200, ""));
}

/// A list of thousands of topics was compared with every stream.
#[tokio::test]
async fn a_hundred_topics_and_subjects_are_named_in_one_request_and_no_more() {
    let server = start().await;
    for name in ["topic", "subject"] {
        let query = |count: usize| {
            let names: Vec<_> = (0..count).map(|number| format!("{name}={number}")).collect();
            format!("?{}", names.join("&"))
        };
        assert_eq!(list(&server, &query(100)).await["subscribers"], json!([]));
        let answer = server.get(&format!("/subscribers{}", query(101))).answer().await;
        assert!(answer.problem(400, "invalid-parameter").contains("at most 100"));
    }
}

#[tokio::test]
async fn pages_that_may_only_read_are_not_told_who_listens() {
    let server = start_server(|config, _| config.origins.others = Others::Read, |s| s).await;
    let ask = |path: &str| server.get(path).header("origin", "https://page.example");
    assert_eq!(ask("/topics").answer().await.status, 200);
    ask("/subscribers").answer().await.problem(403, "foreign-origin");
    let ask = server.get("/subscribers").header("sec-fetch-site", "cross-site");
    ask.answer().await.problem(403, "foreign-site");
    let own = format!("http://{}", server.address);
    let ask = server.get("/subscribers").header("origin", own);
    assert_eq!(ask.header("sec-fetch-site", "same-origin").answer().await.status, 200);
}

#[tokio::test]
async fn a_subject_is_sent_away_from_all_its_streams_and_no_others() {
    let server = start_keyed().await;
    let closed = [
        server.stream("/connect/alpha").await,
        server.stream("/stream-sse?user=alpha").await,
        open_http2(&server, "/connect/alpha").await,
    ];
    let topic = server.stream("/topics/connect/alpha").await;
    let others =
        [server.stream("/connect/beta").await, topic, open_http2(&server, "/connect/beta").await];
    delete(&server, "?subject=alpha&subject=nobody").await;
    for stream in closed {
        stream.rest().await;
    }
    assert_eq!(listed(&server, "?subject=alpha").await.0, 0);
    server.publish("connect/alpha", "for the topic").await;
    server.publish("connect/beta", "for beta").await;
    for (mut stream, data) in others.into_iter().zip(["for beta", "for the topic", "for beta"]) {
        stream.text_with(data).await;
    }
    // The subject's topic is not visible.
    let topics = server.get("/topics").answer().await.text();
    assert!(!topics.contains("subject"), "{topics}");
}

/// The place that a stream's preamble gives an EventSource.
async fn place(server: &Running, path: &str) -> String {
    let mut stream = server.get(path).header("cache-control", "no-cache").stream().await;
    stream.text_with("data: ").await;
    let place = stream.text().lines().find_map(|line| line.strip_prefix("id: "));
    place.expect("an EventSource is given its place").to_owned()
}

#[tokio::test]
async fn who_was_there_before_its_subject_was_sent_away_is_kept_away_and_no_one_else() {
    let server = start_keyed().await;
    let paths = ["/connect/alpha", "/stream-sse?user=alpha"];
    let before = place(&server, paths[0]).await;
    let beta = place(&server, "/connect/beta").await;
    delete(&server, "?subject=alpha").await;
    for path in paths {
        let back = || server.get(path).header("last-event-id", &before);
        let event_source = || back().header("accept", "text/event-stream");
        assert_eq!(event_source().answer().await.status, 204, "{path}");
        assert_eq!(event_source().send_http2().await.status(), 204, "{path}");
        // Readers that use fetch would ask for ever after a 204.
        back().answer().await.problem(410, "stream-ended");
        assert_eq!(back().send_http2().await.status(), 410, "{path}");
        // A new one is welcome, and so it is when it comes back: though nothing was published in
        // between, it was not there before.
        let after = place(&server, path).await;
        server.get(path).header("last-event-id", &after).stream().await;
    }
    server.get("/connect/beta").header("last-event-id", &beta).stream().await;
    server.get("/topics/connect/alpha").header("last-event-id", &before).stream().await;
}

#[tokio::test]
async fn streams_sent_away_count_as_completed() {
    let server = start_keyed().await;
    let http1 = server.stream("/connect/alpha").await;
    let http2 = open_http2(&server, "/connect/alpha").await;
    delete(&server, "?subject=alpha").await;
    http1.rest().await;
    http2.rest().await;
    // The clients may be told a moment before it is counted.
    while server.departures().await != [("completed".to_owned(), 2)] {}
    // One that was answered with its end was no stream.
    let before = server.publish("elsewhere", "1").await;
    delete(&server, "?subject=alpha").await;
    let back = server.get("/connect/alpha").header("last-event-id", &before);
    assert_eq!(back.send_http2().await.status(), 410);
    assert_eq!(server.departures().await, [("completed".to_owned(), 2)]);
}

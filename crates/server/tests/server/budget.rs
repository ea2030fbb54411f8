//! The bytes that request bodies hold together.

use http::StatusCode;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::harness::{Running, Whole, start_with};

const BUDGET: usize = 2 << 20;
/// Room for one of them, beside the reserve, and not for two.
const LARGE: usize = 1_000_000;

async fn start() -> Running {
    start_with(|server, _| server.bodies_bytes_max = BUDGET).await
}

/// The bytes that are held, as the metrics tell.
pub(crate) async fn held(server: &Running) -> usize {
    let metrics = server.get("/metrics").answer().await.text();
    let line = metrics.lines().find_map(|line| line.strip_prefix("tidings_bodies_bytes "));
    line.unwrap().parse().unwrap()
}

pub(crate) async fn until_held(server: &Running, is_it: impl Fn(usize) -> bool) {
    while !is_it(held(server).await) {
        tokio::task::yield_now().await;
    }
}

fn event(bytes: usize) -> String {
    format!("{{\"topic\":\"a\",\"data\":\"{}\"}}", "x".repeat(bytes))
}

/// Large bodies are refused while one is on its way, and small ones are not.
async fn check_refused_beside(server: &Running, unfinished: TcpStream) {
    let post = |bytes| server.post("/events", event(bytes)).content_type("application/json");
    until_held(server, |held| held >= LARGE - 10_000).await;
    let answer = post(LARGE).answer().await;
    answer.problem(503, "too-many-bytes");
    assert!((1..=5).contains(&answer.header("retry-after").parse::<u32>().unwrap()));
    Whole::read(post(LARGE).send_http2().await).await.problem(503, "too-many-bytes");
    assert_eq!(post(60_000).answer().await.status, StatusCode::CREATED);
    assert!(held(server).await <= BUDGET);
    drop(unfinished);
    until_held(server, |held| held == 0).await;
    assert_eq!(post(LARGE).answer().await.status, StatusCode::CREATED);
    assert_eq!(held(server).await, 0);
}

/// 200 unfinished bodies of 8 MB used to make 1.6 GB.
#[tokio::test]
async fn a_body_beyond_the_budget_is_refused_and_a_small_one_gets_in() {
    let server = start().await;
    let mut sized = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST /events HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        server.address,
        LARGE + 10
    );
    sized.write_all(head.as_bytes()).await.unwrap();
    sized.write_all(" ".repeat(LARGE).as_bytes()).await.unwrap();
    check_refused_beside(&server, sized).await;
}

#[tokio::test]
async fn a_chunked_body_counts_as_it_grows() {
    let server = start().await;
    let start = " ".repeat(LARGE);
    let chunked = server.stalled("/events", "application/json", &start).await;
    check_refused_beside(&server, chunked).await;
}

#[tokio::test]
async fn the_event_that_a_streamed_body_has_begun_counts() {
    for (content_type, path) in
        [("application/x-ndjson", "/events"), ("text/event-stream", "/events?topic=a")]
    {
        let server = start().await;
        let start = format!("data: {}", "x".repeat(LARGE));
        let streamed = server.stalled(path, content_type, &start).await;
        check_refused_beside(&server, streamed).await;
    }
}

//! The producer of a stream within a topic, whose requests are numbered.

use std::time::Duration;

use tidings_client::testing::SteppedTimer;
use tidings_client::{Draft, EndNotice, HyperTransport, Producer, PublishError, Publisher};

use crate::server::{Request, Server};

/// A request's target, its body, and the number that the producer gave it.
fn said(request: &Request) -> (String, String, Option<String>) {
    let target = request.line.split(' ').nth(1).expect("a target").to_owned();
    let body = String::from_utf8(request.body.clone()).expect("UTF-8");
    let numbers =
        ["producer-id", "producer-epoch", "producer-seq"].map(|name| request.header(name));
    let numbers = numbers.into_iter().collect::<Option<Vec<_>>>();
    (target, body, numbers.map(|numbers| numbers.join(" ")))
}

async fn answer(request: Request, status: &str, text: &str) {
    let head = format!("content-length: {}\r\nconnection: close\r\n", text.len());
    request.respond(status, &head).await.raw(text.as_bytes()).await;
}

fn publisher(server: &Server, timer: &SteppedTimer) -> Publisher {
    let publisher = Publisher::builder(&server.url("")).transport(HyperTransport::new()).seed(1);
    publisher.timer(timer.clone()).build().expect("a hub")
}

#[tokio::test]
async fn each_request_of_a_producer_is_numbered_and_a_repetition_has_its_number() {
    let server = Server::new().await;
    let timer = SteppedTimer::new();
    let publisher = publisher(&server, &timer);
    let produce = async {
        let producer = Producer::new("p", 7);
        let mut stream = publisher.begin("chat/1", producer).await?;
        stream.send(Draft::new("chat/1", "a")).await?;
        stream.end(EndNotice::Close).await
    };
    let serve = async {
        let mut seen = Vec::new();
        for (status, text) in
            [("201 Created", "0\n"), ("", ""), ("204 No Content", ""), ("201 Created", "2\n")]
        {
            let request = server.request().await;
            seen.push(said(&request));
            match status {
                // Committed, and not answered.
                "" => {
                    request.hang_up();
                    let wait = timer.armed_between(Duration::ZERO, SOON).await;
                    timer.advance(wait);
                }
                status => answer(request, status, text).await,
            }
        }
        seen
    };
    let (produced, seen) = tokio::join!(produce, serve);
    produced.expect("all of it is published");
    let expected = [
        ("/topics/chat/1?begin", "", "p 7 0"),
        ("/topics/chat/1", "a", "p 7 1"),
        ("/topics/chat/1", "a", "p 7 1"),
        ("/topics/chat/1?end=close", "", "p 7 2"),
    ];
    let expected = expected.map(|(target, body, numbers)| {
        (target.to_owned(), body.to_owned(), Some(numbers.to_owned()))
    });
    assert_eq!(seen, expected);
}

/// Shorter than the time-out of an attempt, which must not be stepped to.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_stream_without_a_producer_has_no_numbers_and_a_refusal_is_reported() {
    let server = Server::new().await;
    let publisher = publisher(&server, &SteppedTimer::new());
    let mut stream = publisher.resume("chat/1", None);
    let serve = async {
        let request = server.request().await;
        let seen = said(&request);
        request.refuse("409 Conflict", "").await;
        seen
    };
    let (sent, seen) = tokio::join!(stream.send(Draft::new("elsewhere", "late")), serve);
    assert_eq!(seen, ("/topics/chat/1".to_owned(), "late".to_owned(), None));
    assert!(matches!(sent, Err(PublishError::Refused(refused)) if refused.status == 409));
    assert!(Producer::new("", 0).is_none() && Producer::new("a\nb", 0).is_none());
}

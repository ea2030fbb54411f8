//! The publisher against a small hub that commits, remembers keys, and can be cut off anywhere.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use http::HeaderValue;
use tidings_client::testing::SteppedTimer;
use tidings_client::{
    Cause, Credentials, Draft, EventType, HyperTransport, IdempotencyKey, Occasion, PublishError,
    Publisher, PublisherBuilder,
};

use crate::server::{Nobody, Request, Server};

/// The hub's reaction to a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Luck {
    Answer,
    /// Commits, and hangs up before it answers.
    CommitAndCut,
    /// Hangs up before anything happens.
    Cut,
    Busy,
}

/// A hub with a journal that honors idempotency keys.
#[derive(Default)]
struct Hub {
    /// Topic and data of every event, in order of commit.
    committed: Vec<(String, String)>,
    answers: HashMap<String, String>,
    keys_seen: Vec<String>,
}

impl Hub {
    /// Serves one request for each piece of luck.
    async fn serve(&mut self, server: &Server, luck: &[Luck]) {
        for luck in luck {
            let request = server.request().await;
            if *luck == Luck::Cut {
                request.hang_up();
                continue;
            }
            if *luck == Luck::Busy {
                request.refuse("503 Service Unavailable", "retry-after: 2\r\n").await;
                continue;
            }
            let answer = self.commit(&request);
            if *luck == Luck::CommitAndCut {
                request.hang_up();
                continue;
            }
            let head = format!("content-length: {}\r\nconnection: close\r\n", answer.len());
            request.respond("201 Created", &head).await.raw(answer.as_bytes()).await;
        }
    }

    fn commit(&mut self, request: &Request) -> String {
        let key = request.header("idempotency-key").expect("every publish has a key");
        self.keys_seen.push(key.clone());
        if let Some(answer) = self.answers.get(&key) {
            return answer.clone();
        }
        let target = request.line.split(' ').nth(1).expect("a target");
        let body = String::from_utf8(request.body.clone()).expect("UTF-8");
        let answer = match target.strip_prefix("/topics/") {
            Some(topic) => {
                self.committed.push((topic.to_owned(), body));
                format!("{}\n", self.committed.len())
            }
            None => {
                assert_eq!(target, "/events");
                self.commit_many(&body)
            }
        };
        self.answers.insert(key, answer.clone());
        answer
    }

    fn commit_many(&mut self, body: &str) -> String {
        let events: Vec<serde_json::Value> = serde_json::from_str(body).expect("an array");
        let mut ids = Vec::new();
        for event in &events {
            let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
            self.committed.push((text(&event["topics"][0]), text(&event["data"])));
            ids.push(self.committed.len().to_string());
        }
        serde_json::json!({"committed": events.len(), "ids": ids}).to_string()
    }
}

/// A publisher whose every request has a connection of its own, as the server expects.
fn publisher(server: &Server) -> PublisherBuilder {
    Publisher::builder(&server.url("")).transport(HyperTransport::new()).seed(1)
}

/// Steps the time whenever the publisher waits for another attempt.
async fn step(timer: &SteppedTimer) {
    loop {
        // Shorter than the time-out of an attempt, which must not be stepped to.
        let wait = timer.armed_between(Duration::ZERO, Duration::from_secs(20)).await;
        timer.advance(wait);
    }
}

#[tokio::test]
async fn an_event_is_published_once_however_often_the_connection_breaks() {
    let server = Server::new().await;
    let timer = SteppedTimer::new();
    let publisher = publisher(&server).timer(timer.clone()).build().expect("a hub");
    let mut hub = Hub::default();
    let luck = [Luck::Cut, Luck::CommitAndCut, Luck::Busy, Luck::CommitAndCut, Luck::Answer];
    let publish = publisher.publish(Draft::new("news", "hello"));
    let published = tokio::select! {
        (published, ()) = async { tokio::join!(publish, hub.serve(&server, &luck)) } => published,
        () = step(&timer) => unreachable!("stepping goes on for ever"),
    };
    assert_eq!(published.expect("settled").id, "1");
    assert_eq!(hub.committed, [("news".to_owned(), "hello".to_owned())]);
    assert!(hub.keys_seen.iter().all(|key| *key == hub.keys_seen[0]), "{:?}", hub.keys_seen);
}

#[tokio::test]
async fn many_events_are_published_in_order_and_once() {
    let server = Server::new().await;
    let timer = SteppedTimer::new();
    let publisher = publisher(&server).timer(timer.clone()).build().expect("a hub");
    let mut hub = Hub::default();
    let drafts = (0..2_500).map(|number| Draft::new("a//b", number.to_string()));
    let luck = [Luck::CommitAndCut, Luck::Answer, Luck::Cut, Luck::Answer, Luck::Answer];
    let receipt = tokio::select! {
        (receipt, ()) = async {
            tokio::join!(publisher.publish_all(drafts), hub.serve(&server, &luck))
        } => receipt.expect("settled"),
        () = step(&timer) => unreachable!("stepping goes on for ever"),
    };
    assert_eq!((receipt.committed, receipt.ids.len()), (2_500, 2_500));
    assert_eq!(receipt.ids.last().map(String::as_str), Some("2500"));
    let numbers: Vec<_> = hub.committed.iter().map(|(_, data)| data.clone()).collect();
    assert_eq!(numbers, (0..2_500).map(|number| number.to_string()).collect::<Vec<_>>());
}

/// A stream that is ready only for some of its items.
struct Slow(u32);

impl Stream for Slow {
    type Item = Draft;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Draft>> {
        self.0 += 1;
        match self.0 {
            4 | 7 | 8 => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            number @ 1..10 => Poll::Ready(Some(Draft::new("t", number.to_string()))),
            _ => Poll::Ready(None),
        }
    }
}

#[tokio::test]
async fn a_stream_is_published_in_the_pieces_it_comes_in() {
    let server = Server::new().await;
    let publisher = publisher(&server).build().expect("a hub");
    let mut hub = Hub::default();
    let mut pieces = Vec::new();
    let publish = publisher.publish_stream(Slow(0), |receipt| pieces.push(receipt.committed));
    let luck = [Luck::Answer; 3];
    let (committed, ()) = tokio::join!(publish, hub.serve(&server, &luck));
    assert_eq!(committed.expect("settled"), 6);
    assert_eq!(pieces, [3, 2, 1]);
    let data: Vec<_> = hub.committed.iter().map(|(_, data)| data.as_str()).collect();
    assert_eq!(data, ["1", "2", "3", "5", "6", "9"]);
}

#[tokio::test]
async fn what_is_never_answered_is_unsettled_and_its_key_settles_it_later() {
    let server = Server::new().await;
    let timer = SteppedTimer::new();
    let twice = NonZeroU32::new(2).expect("not zero");
    let builder = publisher(&server).timer(timer.clone()).attempts_max(twice);
    let publisher = builder.build().expect("a hub");
    let mut hub = Hub::default();
    let draft = Draft::new("news", "hello");
    let error = tokio::select! {
        (result, ()) = async {
            tokio::join!(
                publisher.publish(draft.clone()),
                hub.serve(&server, &[Luck::CommitAndCut, Luck::CommitAndCut]),
            )
        } => result.expect_err("never answered"),
        () = step(&timer) => unreachable!("stepping goes on for ever"),
    };
    let PublishError::Unsettled { key, attempts, last: Cause::Transport(_) } = error else {
        panic!("{error:?}");
    };
    assert_eq!(attempts, twice);
    let (published, ()) =
        tokio::join!(publisher.publish_with_key(draft, &key), hub.serve(&server, &[Luck::Answer]),);
    assert_eq!(published.expect("settled").id, "1");
    assert_eq!(hub.committed.len(), 1);
}

#[tokio::test]
async fn a_hub_that_is_not_there_is_unreachable() {
    let nobody = Nobody::new();
    let once = NonZeroU32::MIN;
    let publisher = Publisher::builder(&nobody.url()).attempts_max(once).build().expect("a URL");
    let error = publisher.publish(Draft::new("a", "b")).await.expect_err("nobody there");
    assert!(matches!(error, PublishError::Unreachable { attempts, .. } if attempts == once));
}

#[tokio::test]
async fn a_hub_that_does_not_answer_in_time_is_asked_again() {
    let server = Server::new().await;
    let timer = SteppedTimer::new();
    let publisher = publisher(&server).timer(timer.clone()).build().expect("a hub");
    let mut hub = Hub::default();
    let serve = async {
        let silent = server.request().await;
        timer.armed(Duration::from_secs(30)).await;
        timer.advance(Duration::from_secs(30));
        // The moment in which the network is read before the deadline counts.
        timer.armed(Duration::from_millis(250)).await;
        timer.advance(Duration::from_millis(250));
        let wait = timer.armed_between(Duration::ZERO, Duration::from_secs(1)).await;
        timer.advance(wait);
        hub.serve(&server, &[Luck::Answer]).await;
        drop(silent);
    };
    let (published, ()) = tokio::join!(publisher.publish(Draft::new("a", "b")), serve);
    assert_eq!(published.expect("settled").id, "1");
}

#[tokio::test]
async fn a_refusal_is_final_and_told_in_the_hubs_words() {
    let server = Server::new().await;
    let publisher = publisher(&server).build().expect("a hub");
    let refuse = async {
        let problem = r#"{"type":"…","title":"t","detail":"no such topic","index":3}"#;
        let head = format!("content-length: {}\r\n", problem.len());
        let request = server.request().await;
        request.respond("400 Bad Request", &head).await.raw(problem.as_bytes()).await;
    };
    let (result, ()) = tokio::join!(publisher.publish(Draft::new("a", "b")), refuse);
    match result.expect_err("refused") {
        PublishError::Refused(refused) => {
            assert_eq!((refused.status.as_u16(), refused.index), (400, Some(3)));
            assert_eq!(refused.detail, "no such topic");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_refusal_whose_body_stays_open_is_told_after_one_second() {
    let server = Server::new().await;
    let timer = SteppedTimer::new();
    let publisher = publisher(&server).timer(timer.clone()).build().expect("a hub");
    let refuse = async {
        let request = server.request().await;
        let mut open = request.respond("403 Forbidden", "content-length: 100\r\n").await;
        open.raw(b"go away").await;
        timer.armed(Duration::from_secs(1)).await;
        timer.advance(Duration::from_secs(1));
        timer.armed(Duration::from_millis(250)).await;
        timer.advance(Duration::from_millis(250));
        open
    };
    let (result, _open) = tokio::join!(publisher.publish(Draft::new("a", "b")), refuse);
    match result.expect_err("refused") {
        PublishError::Refused(refused) => assert_eq!(refused.status.as_u16(), 403),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_attempt_that_is_repeated_is_told_and_a_long_wait_is_the_callers() {
    let server = Server::new().await;
    let timer = SteppedTimer::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let builder = publisher(&server).timer(timer.clone()).on_retry(move |retrying| {
        heard.lock().expect("nothing panics while it is locked").push(retrying.attempt);
    });
    let publisher = builder.build().expect("a hub");
    let serve = async {
        server.request().await.hang_up();
        server.request().await.refuse("503 Service Unavailable", "retry-after: 1\r\n").await;
        server.request().await.refuse("503 Service Unavailable", "retry-after: 400\r\n").await;
    };
    let error = tokio::select! {
        (result, ()) = async { tokio::join!(publisher.publish(Draft::new("a", "b")), serve) } => {
            result.expect_err("not within five minutes")
        }
        () = step(&timer) => unreachable!("stepping goes on for ever"),
    };
    assert_eq!(error.retry_after(), Some(Duration::from_secs(400)));
    assert_eq!(*told.lock().expect("nothing panics while it is locked"), [2, 3]);
}

#[tokio::test]
async fn a_relayed_event_names_its_way_and_a_loop_is_told_from_other_refusals() {
    let server = Server::new().await;
    let publisher = publisher(&server).build().expect("a hub");
    let key = IdempotencyKey::random();
    let via = HeaderValue::from_static("e1/news, e2/copy");
    let serve = async {
        let request = server.request().await;
        assert_eq!(request.header("relay-via").as_deref(), Some("e1/news, e2/copy"));
        let problem = r#"{"type":"https://tidings.example/problems/relay-loop","detail":"again"}"#;
        let head = format!("content-length: {}\r\n", problem.len());
        request.respond("409 Conflict", &head).await.raw(problem.as_bytes()).await;
    };
    let (result, ()) =
        tokio::join!(publisher.publish_relayed(Draft::new("a", "b"), &key, via), serve);
    match result.expect_err("refused") {
        PublishError::Refused(refused) => assert!(refused.is_relay_loop(), "{refused:?}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_request_says_everything_the_draft_does() {
    let server = Server::new().await;
    let builder = publisher(&server).authorize(|occasion| async move {
        Credentials::bearer(match occasion {
            Occasion::Unauthorized => "fresh",
            _ => "cached",
        })
    });
    let publisher = builder.build().expect("a hub");
    let draft = Draft::new("a/b c", "x\ny").with_type(EventType::new("t").expect("legal"));
    let key = IdempotencyKey::new("mine-1").expect("legal");
    let serve = async {
        server.request().await.refuse("401 Unauthorized", "").await;
        let request = server.request().await;
        assert_eq!(request.line, "POST /topics/a/b%20c?type=t HTTP/1.1");
        assert_eq!(request.header("authorization").as_deref(), Some("Bearer fresh"));
        assert_eq!(request.header("idempotency-key").as_deref(), Some("mine-1"));
        assert_eq!(request.body, b"x\ny");
        let head = "content-length: 3\r\n";
        request.respond("201 Created", head).await.raw(b"id\n").await;
    };
    let (published, ()) = tokio::join!(publisher.publish_with_key(draft, &key), serve);
    assert_eq!(published.expect("settled").id, "id");
}

#[tokio::test]
async fn a_token_replaces_the_credentials_in_the_hubs_url() {
    let server = Server::new().await;
    let url = server.url("").replace("http://", "http://user:pass@");
    for (token, expected) in [(None, "Basic dXNlcjpwYXNz"), (Some("t"), "Bearer t")] {
        let builder = Publisher::builder(&url);
        let builder = token.into_iter().fold(builder, PublisherBuilder::bearer);
        let publisher = builder.build().expect("a hub");
        let serve = async {
            let request = server.request().await;
            assert_eq!(request.header("authorization").as_deref(), Some(expected));
            let head = "content-length: 3\r\nconnection: close\r\n";
            request.respond("201 Created", head).await.raw(b"id\n").await;
        };
        let (published, ()) = tokio::join!(publisher.publish(Draft::new("a", "b")), serve);
        assert_eq!(published.expect("settled").id, "id");
    }
}

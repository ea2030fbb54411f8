//! Routes beside the hub's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{HeaderValue, Method};
use tidings_hub::{Event, EventId, Start, Topic};
use tidings_server::{AnswerFuture, ExtraRoutes, Problem, ProblemKind, Request, StreamAnswer};

use crate::harness::{Running, start, start_server};

/// A GET that counts, a stream of a topic that greets, and a page.
struct Extra {
    counted: AtomicUsize,
}

impl ExtraRoutes for Extra {
    fn page(&self) -> Option<&str> {
        Some("demo.html")
    }

    fn is_unsafe_get(&self, path: &str) -> bool {
        path == "/count"
    }

    fn answer<'a>(&'a self, request: Request<'a>) -> Option<AnswerFuture<'a>> {
        match request.head.uri.path() {
            "/count" => Some(Box::pin(async move {
                let bytes = request.body.whole(3, ProblemKind::BodyTooLarge).await?;
                self.counted.fetch_add(1, Ordering::Relaxed);
                Ok(http::Response::new(bytes).into())
            })),
            "/stream" => Some(Box::pin(async {
                let view = Topic::new("extra").unwrap().into();
                let mut stream = StreamAnswer::new(view, Start::Tail);
                stream.head.insert("x-extra", HeaderValue::from_static("1"));
                let greeting = Event::new("welcome").with_id(EventId::new("1").unwrap());
                stream.spec.greeting = Some(greeting);
                Ok(stream.into())
            })),
            "/topics" => {
                Some(Box::pin(async { Err(Problem::new(ProblemKind::NotFound, "replaced")) }))
            }
            _ => None,
        }
    }
}

async fn server(extra: &mut Option<Arc<Extra>>) -> Running {
    let routes = Arc::new(Extra { counted: AtomicUsize::new(0) });
    *extra = Some(Arc::clone(&routes));
    start_server(|_, _| {}, |server| server.with_routes(routes)).await
}

#[tokio::test]
async fn they_are_looked_at_first_and_know_their_own_paths_only() {
    let mut extra = None;
    let server = server(&mut extra).await;
    assert_eq!(server.post("/count", "abc").answer().await.text(), "abc");
    server.post("/count", "abcd").answer().await.problem(413, "body-too-large");
    assert_eq!(server.get("/topics").answer().await.problem(404, "not-found"), "replaced");
    server.publish("a", "1").await;
    let page = server.get("/").answer().await;
    assert!(page.text().contains("assets/demo.mjs"));
}

#[tokio::test]
async fn a_get_that_acts_is_none_for_pages_of_other_sites() {
    let mut extra = None;
    let server = server(&mut extra).await;
    for method in [Method::GET, Method::HEAD, Method::POST] {
        let ask = server.request(method.clone(), "/count").header("sec-fetch-site", "cross-site");
        assert_eq!(ask.answer().await.status, 403, "{method}");
        let ask = server.request(method, "/count").header("origin", "http://evil.example");
        assert_eq!(ask.answer().await.status, 403);
    }
    assert_eq!(extra.unwrap().counted.load(Ordering::Relaxed), 0);
    // Requests that only read are as before.
    let ask = server.get("/healthz").header("sec-fetch-site", "cross-site");
    assert_eq!(ask.answer().await.status, 200);
}

#[tokio::test]
async fn their_streams_are_opened_where_all_are() {
    let mut extra = None;
    let server = server(&mut extra).await;
    let mut stream = server.stream("/stream").await;
    assert_eq!(stream.header("x-extra"), "1");
    assert_eq!(stream.header("x-accel-buffering"), "no");
    server.publish("extra", "news").await;
    let greeting = stream.event().await;
    assert_eq!((greeting.data(), greeting.id()), ("welcome", None));
    assert_eq!(stream.data().await, "news");
}

#[tokio::test]
async fn a_final_slash_is_redirected_to_the_clean_path() {
    let server = start().await;
    for (path, clean) in [
        ("/topics/a/b/?last_event_id=1", "../b?last_event_id=1"),
        ("/topics/a%20b/", "../a%20b"),
        ("/topics/", "../topics"),
        ("/events/?topic=a", "../events?topic=a"),
        ("/healthz/", "../healthz"),
    ] {
        for method in [Method::GET, Method::POST] {
            let answer = server.request(method, path).answer().await;
            let found = (answer.status.as_u16(), answer.header("location"));
            assert_eq!(found, (308, clean), "{path}");
        }
    }
    for (path, status) in [
        ("/topics/a//", 400),
        ("/topics/../", 400),
        ("//topics/a/", 404),
        ("//", 404),
        ("/x/", 404),
    ] {
        assert_eq!(server.get(path).answer().await.status, status, "{path}");
    }
}

//! Routes beside the hub's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Method;
use http::request::Parts;
use tidings_hub::{Body, Client, Event, Hub, Start, Topic};
use tidings_server::{
    Answer, AnswerFuture, ExtraRoutes, Problem, ProblemKind, RequestBody, StreamAnswer,
};

use crate::harness::{Running, start_server};

/// A GET that counts, a stream of a topic, a stream of one reader's own, and a page.
struct Extra {
    hub: Hub,
    counted: AtomicUsize,
}

impl ExtraRoutes for Extra {
    fn page(&self) -> Option<&str> {
        Some("demo.html")
    }

    fn is_unsafe_get(&self, path: &str) -> bool {
        path == "/count"
    }

    fn answer<'a>(
        &'a self,
        head: &'a Parts,
        body: &'a mut RequestBody,
    ) -> Option<AnswerFuture<'a>> {
        match head.uri.path() {
            "/count" => Some(Box::pin(async move {
                let bytes = body.whole(3, ProblemKind::BodyTooLarge).await?;
                self.counted.fetch_add(1, Ordering::Relaxed);
                Ok(http::Response::new(bytes).into())
            })),
            "/stream" => Some(Box::pin(async {
                Ok(Answer::Stream(StreamAnswer {
                    head: [("x-extra".parse().unwrap(), "1".parse().unwrap())]
                        .into_iter()
                        .collect(),
                    view: Topic::new("extra").unwrap().into(),
                    start: Start::Tail,
                    client: Client::Other,
                }))
            })),
            "/own" => Some(Box::pin(async {
                let body = Body::from_stream(&self.hub, One(Some(Event::new("for you alone"))));
                Ok(Answer::Body(Box::new(body)))
            })),
            "/topics" => {
                Some(Box::pin(async { Err(Problem::new(ProblemKind::NotFound, "replaced")) }))
            }
            _ => None,
        }
    }
}

/// A stream of one event.
struct One(Option<Event>);

impl futures_core::Stream for One {
    type Item = Event;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Event>> {
        std::task::Poll::Ready(self.0.take())
    }
}

async fn server(extra: &mut Option<Arc<Extra>>) -> Running {
    let hub = Hub::new(tidings_hub::HubConfig::default());
    let routes = Arc::new(Extra { hub, counted: AtomicUsize::new(0) });
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
    assert!(page.text().contains("/assets/demo.mjs"));
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
    // Beside it, whatever only reads is as before.
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
    assert_eq!(stream.data().await, "news");

    let own = server.stream("/own").await.rest().await;
    assert!(own.contains("data: for you alone\n\n"), "{own}");
}

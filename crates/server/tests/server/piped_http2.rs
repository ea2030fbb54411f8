//! Bodies that are piped into streams over HTTP/2.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::harness::{Running, Whole, start};
use crate::streams::{end_of, state_of};

/// The body of a client that is still sending.
struct Pipe(mpsc::Receiver<Bytes>);

impl Body for Pipe {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// Begins to pipe an event stream.
fn pipe(server: &Running, path: &str) -> (mpsc::Sender<Bytes>, JoinHandle<Response<Incoming>>) {
    let (sender, receiver) = mpsc::channel(1);
    let ask = server.post(path, "").content_type("text/event-stream");
    (sender, tokio::spawn(ask.send_http2_with(Pipe(receiver))))
}

#[tokio::test]
async fn a_body_is_piped_while_it_is_sent() {
    let server = start().await;
    let mut reader = server.stream("/topics/c/1").await;
    let (sender, answer) = pipe(&server, "/events?topic=c/1&begin&end");
    for data in ["a", "b"] {
        sender.send(format!("data: {data}\n\n").into()).await.unwrap();
        assert_eq!(reader.data().await, data);
    }
    drop(sender);
    let answer = Whole::read(answer.await.unwrap()).await;
    assert_eq!((answer.status, &answer.json()["committed"]), (StatusCode::CREATED, &2.into()));
    assert!(end_of(&mut reader).await.starts_with(r#"{"reason":"done","events":2"#));
}

#[tokio::test]
async fn a_body_is_answered_when_the_server_shuts_down() {
    let mut server = start().await;
    let mut reader = server.stream("/topics/c/1").await;
    let (sender, answer) = pipe(&server, "/events?topic=c/1&begin&end");
    sender.send("data: a\n\n".into()).await.unwrap();
    assert_eq!(reader.data().await, "a");
    server.signal();
    Whole::read(answer.await.unwrap()).await.problem(503, "draining");
    drop(sender);
}

#[tokio::test]
async fn a_reader_stops_a_body_whose_client_is_still_sending() {
    let server = start().await;
    let mut reader = server.stream("/topics/c/1").await;
    let (sender, answer) = pipe(&server, "/events?topic=c/1&begin&end");
    sender.send("data: a\n\n".into()).await.unwrap();
    assert_eq!(reader.data().await, "a");
    let stopped = server.post("/streams/stop?topic=c/1", "").answer().await;
    assert_eq!(stopped.status, StatusCode::ACCEPTED);
    Whole::read(answer.await.unwrap()).await.problem(409, "stopped");
    assert!(end_of(&mut reader).await.starts_with(r#"{"reason":"stopped","events":1"#));
    assert_eq!(state_of(&server, "c/1").await["state"], "stopped");
    drop(sender);
}

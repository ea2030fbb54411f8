//! HTTP/2: its own ways to end a stream, and shared connections.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tidings_client::{Cause, Client, EventSource, HttpVersion, HyperTransport, Stage};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::watch::watch;

/// The next piece of a body; an error resets the stream.
type Piece = Result<&'static str, &'static str>;

struct Pieces(mpsc::Receiver<Piece>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        let piece = self.0.poll_recv(cx);
        piece.map(|piece| piece.map(|piece| piece.map(|text| Frame::data(Bytes::from(text)))))
    }
}

/// A connection, which is served until its task is aborted. Each request comes with the sender of
/// its response's body.
struct Connection {
    requests: mpsc::Receiver<(Request<()>, mpsc::Sender<Piece>)>,
    goaway: mpsc::Sender<()>,
    task: JoinHandle<()>,
}

async fn accept(listener: &TcpListener) -> Connection {
    let (socket, _) = listener.accept().await.expect("a connection");
    let (report, requests) = mpsc::channel(8);
    let (goaway, mut leave) = mpsc::channel(1);
    let task = tokio::spawn(async move {
        let service = service_fn(move |request: Request<Incoming>| {
            let report = report.clone();
            async move {
                let (sender, receiver) = mpsc::channel(8);
                let _ = report.send((request.map(drop), sender)).await;
                let head = Response::builder().header("content-type", "text/event-stream");
                Ok::<_, Infallible>(head.body(Pieces(receiver)).expect("a legal head"))
            }
        });
        let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let mut connection = std::pin::pin!(http2.serve_connection(TokioIo::new(socket), service));
        loop {
            tokio::select! {
                _ = &mut connection => return,
                Some(()) = leave.recv() => connection.as_mut().graceful_shutdown(),
            }
        }
    });
    Connection { requests, goaway, task }
}

#[tokio::test]
async fn t30_a_reset_stream_a_goaway_and_a_lost_connection_reestablish() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    let transport = HyperTransport::builder().http_version(HttpVersion::Http2).build();
    let mut watch = watch(EventSource::get(&url).transport(transport));

    let mut connection = accept(&listener).await;
    let (request, body) = connection.requests.recv().await.expect("a request");
    assert_eq!(request.version(), http::Version::HTTP_2);
    watch.open().await;
    body.send(Ok("id: 1\ndata: a\n\ndata: ha")).await.expect("read");
    assert_eq!(watch.event().await, "a");
    body.send(Err("RST_STREAM")).await.expect("read");
    let cause = watch.wait().await.cause;
    assert!(matches!(&cause, Cause::Transport(error) if error.stage() == Stage::Body), "{cause:?}");

    // A reconnection has a connection of its own: the old one may be broken.
    let mut connection = accept(&listener).await;
    let (request, body) = connection.requests.recv().await.expect("a request");
    assert_eq!(request.headers()["last-event-id"], "1");
    watch.open().await;
    connection.goaway.send(()).await.expect("served");
    body.send(Ok("id: 2\ndata: b\n\n")).await.expect("read");
    assert_eq!(watch.event().await, "b");
    drop(body);
    assert!(matches!(watch.wait().await.cause, Cause::Ended));

    let mut connection = accept(&listener).await;
    let (request, body) = connection.requests.recv().await.expect("a request");
    assert_eq!(request.headers()["last-event-id"], "2");
    watch.open().await;
    body.send(Ok("id: 3\ndata: c\n\nid: 4\n")).await.expect("read");
    assert_eq!(watch.event().await, "c");
    connection.task.abort();
    assert!(matches!(watch.wait().await.cause, Cause::Transport(_)));

    let mut connection = accept(&listener).await;
    let (request, _body) = connection.requests.recv().await.expect("a request");
    assert_eq!(request.headers()["last-event-id"], "3");
}

#[tokio::test]
async fn sources_of_one_client_share_a_connection_that_a_broken_stream_does_not_return_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    let transport = HyperTransport::builder().http_version(HttpVersion::Http2).connections_kept(1);
    let client = Client::with_transport(transport.build());

    let mut one = watch(client.get(&url));
    let mut shared = accept(&listener).await;
    let (_, one_body) = shared.requests.recv().await.expect("a request");
    one.open().await;
    let mut two = watch(client.clone().get(&url));
    let (_, two_body) = shared.requests.recv().await.expect("a request on the same connection");
    two.open().await;

    one_body.send(Err("RST_STREAM")).await.expect("read");
    assert!(matches!(one.wait().await.cause, Cause::Transport(_)));
    let mut own = accept(&listener).await;
    let (_, _one_body) = own.requests.recv().await.expect("a request on a new connection");
    one.open().await;

    two_body.send(Ok("data: still here\n\n")).await.expect("read");
    assert_eq!(two.event().await, "still here");
}

//! A test service for LaunchDarkly's harness `sse-contract-tests`, which controls event sources by
//! REST and checks them.
//!
//! ```text
//! contract_service 8000        (then: sse-contract-tests -url http://localhost:8000)
//! ```
//!
//! The harness creates a stream with `POST /`. The service reports the source's signals by
//! callbacks, one after the other. It claims every capability except event-type listeners, which
//! are for clients that deliver only events of registered types.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use serde_json::{Value, json};
use tidings_client::{Body, EventSource, HyperTransport, Signal, Transport};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

/// The harness waits five seconds for a callback. A slower one belongs to a test that has ended.
const CALLBACK_TIMEOUT: Duration = Duration::from_secs(5);

/// The maximum number of callbacks in the queue. A stream that runs further ahead is read no faster
/// than the harness takes its callbacks.
const CALLBACKS_MAX: usize = 256;

/// Idle connections kept for callbacks: tests run one after another, with one or two streams each.
const CONNECTIONS_KEPT: usize = 2;

/// The maximum size of a request; the harness's requests have a few hundred bytes.
const REQUEST_BYTES_MAX: usize = 1 << 20;

#[allow(dead_code, reason = "a test includes this file and serves without the program around it")]
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).ok_or("usage: contract_service PORT")?;
    let listener = TcpListener::bind(("127.0.0.1", port.parse::<u16>()?)).await?;
    serve(listener).await?;
    Ok(())
}

/// Serves until a `DELETE /` comes.
pub(crate) async fn serve(listener: TcpListener) -> std::io::Result<()> {
    let (stop, mut stopped) = mpsc::channel(1);
    let service = Arc::new(Service::new(stop));
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            _ = stopped.recv() => break,
            Some(_) = connections.join_next() => continue,
        };
        let service = Arc::clone(&service);
        connections.spawn(async move {
            let handle = service_fn(|request| {
                let service = Arc::clone(&service);
                async move { Ok::<_, Infallible>(service.answer(request).await) }
            });
            let mut http1 = hyper::server::conn::http1::Builder::new();
            let http1 = http1.timer(TokioTimer::new()).keep_alive(false);
            // A harness that hangs up during a request has ended its test.
            let _ = http1.serve_connection(TokioIo::new(socket), handle).await;
        });
    }
    // The answer to `DELETE /` has yet to be sent.
    while connections.join_next().await.is_some() {}
    Ok(())
}

/// The streams that the harness has open.
struct Service {
    streams: Mutex<Streams>,
    callbacks: HyperTransport,
    stop: mpsc::Sender<()>,
}

#[derive(Default)]
struct Streams {
    open: HashMap<u64, Stream>,
    last_number: u64,
}

/// One stream: the task that reads it and posts callbacks, and how to restart it.
struct Stream {
    task: JoinHandle<()>,
    restarts: mpsc::Sender<oneshot::Sender<()>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Create {
    stream_url: String,
    callback_url: String,
    initial_delay_ms: Option<u64>,
    read_timeout_ms: Option<u64>,
    last_event_id: Option<String>,
    #[serde(default)]
    headers: HashMap<String, String>,
    method: Option<String>,
    body: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "command", rename_all = "lowercase")]
enum Command {
    Restart,
}

impl Service {
    fn new(stop: mpsc::Sender<()>) -> Self {
        let callbacks = HyperTransport::builder().connections_kept(CONNECTIONS_KEPT).build();
        Self { streams: Mutex::default(), callbacks, stop }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = http_body_util::Limited::new(body, REQUEST_BYTES_MAX).collect().await;
        let Ok(body) = body else { return status(StatusCode::BAD_REQUEST) };
        let body = body.to_bytes();
        let number = head.uri.path().strip_prefix("/streams/").and_then(|n| n.parse().ok());
        match (&head.method, head.uri.path(), number) {
            (&Method::GET, "/", _) => capabilities(),
            (&Method::POST, "/", _) => self.create(&body),
            (&Method::DELETE, "/", _) => {
                // A second request to stop adds nothing to the first.
                let _ = self.stop.try_send(());
                status(StatusCode::NO_CONTENT)
            }
            (&Method::POST, _, Some(number)) => self.command(number, &body).await,
            (&Method::DELETE, _, Some(number)) => self.delete(number).await,
            _ => status(StatusCode::NOT_FOUND),
        }
    }

    fn create(&self, body: &[u8]) -> Response<Full<Bytes>> {
        let create = serde_json::from_slice::<Create>(body).ok();
        let source = create.and_then(|create| Some((source(&create)?, create.callback_url)));
        let Some((source, callback_url)) = source else {
            return status(StatusCode::BAD_REQUEST);
        };
        let (restarts, given) = mpsc::channel(1);
        let (messages, queued) = mpsc::channel(CALLBACKS_MAX);
        let callbacks = self.callbacks.clone();
        let task = tokio::spawn(async move {
            tokio::join!(
                follow(source, messages, given),
                post_callbacks(callbacks, callback_url, queued),
            );
        });
        let stream = Stream { task, restarts };
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.last_number += 1;
        let number = streams.last_number;
        streams.open.insert(number, stream);
        let created = Response::builder().status(StatusCode::CREATED);
        let created = created.header("location", format!("/streams/{number}"));
        created.body(Full::default()).expect("a legal head")
    }

    async fn command(&self, number: u64, body: &[u8]) -> Response<Full<Bytes>> {
        let restarts = {
            let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
            streams.open.get(&number).map(|stream| stream.restarts.clone())
        };
        let Some(restarts) = restarts else { return status(StatusCode::NOT_FOUND) };
        let Ok(Command::Restart) = serde_json::from_slice(body) else {
            return status(StatusCode::BAD_REQUEST);
        };
        let (carried_out, done) = oneshot::channel();
        match restarts.send(carried_out).await {
            Ok(()) if done.await.is_ok() => status(StatusCode::ACCEPTED),
            _ => status(StatusCode::NOT_FOUND),
        }
    }

    async fn delete(&self, number: u64) -> Response<Full<Bytes>> {
        let stream = {
            let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
            streams.open.remove(&number)
        };
        let Some(stream) = stream else { return status(StatusCode::NOT_FOUND) };
        // The task owns the event source and the callback under way, so both are gone before this
        // request is answered.
        stream.task.abort();
        let _ = stream.task.await;
        status(StatusCode::NO_CONTENT)
    }
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(Full::default()).expect("a legal head")
}

fn capabilities() -> Response<Full<Bytes>> {
    let body = json!({
        "name": "tidings-client",
        "capabilities": [
            "bom", "comments", "headers", "last-event-id", "post", "read-timeout", "report",
            "restart", "server-directed-shutdown-request",
        ],
    });
    let json = Response::builder().header("content-type", "application/json");
    json.body(Full::from(body.to_string())).expect("a legal head")
}

/// The event source that the harness describes.
fn source(create: &Create) -> Option<EventSource> {
    let method = create.method.as_deref().unwrap_or("GET");
    let method = Method::from_bytes(method.as_bytes()).ok()?;
    let mut builder = EventSource::request(method, &create.stream_url).comments();
    for (name, value) in &create.headers {
        builder = builder.header(name.as_str(), value.as_str());
    }
    if let Some(body) = &create.body {
        builder = builder.body(body.clone());
    }
    if let Some(id) = &create.last_event_id {
        builder = builder.last_event_id(id.as_str());
    }
    if let Some(delay) = create.initial_delay_ms {
        builder = builder.reconnection_time(Duration::from_millis(delay));
    }
    if let Some(timeout) = create.read_timeout_ms {
        builder = builder.idle_timeout(Duration::from_millis(timeout));
    }
    // The harness expects a request with a body again on every reconnection.
    builder.resend().open().ok()
}

/// Reads the stream, and passes on its signals in order.
async fn follow(
    mut source: EventSource,
    messages: mpsc::Sender<Value>,
    mut restarts: mpsc::Receiver<oneshot::Sender<()>>,
) {
    loop {
        let restart = tokio::select! {
            Some(signal) = source.next() => {
                if let Some(message) = message(&signal)
                    && messages.send(message).await.is_err()
                {
                    return;
                }
                continue;
            }
            restart = restarts.recv() => restart,
        };
        let Some(carried_out) = restart else { return };
        source.restart();
        // The source is restarted even if nobody waits for the answer.
        let _ = carried_out.send(());
    }
}

/// Posts callbacks: numbered, one at a time, and without delaying their stream.
async fn post_callbacks(
    callbacks: HyperTransport,
    url: String,
    mut messages: mpsc::Receiver<Value>,
) {
    let mut number = 0;
    while let Some(message) = messages.recv().await {
        number += 1;
        let request = Request::post(format!("{url}/{number}"))
            .header("content-type", "application/json")
            .body(Body::from(Bytes::from(message.to_string())));
        let Ok(request) = request else { return };
        // The answer does not matter: a test that has ended may answer anything, or nothing.
        let _ = tokio::time::timeout(CALLBACK_TIMEOUT, async {
            if let Ok(response) = callbacks.send(request).await {
                let _ = response.into_body().collect().await;
            }
        })
        .await;
    }
}

/// The callback for a signal, if there is one.
fn message(signal: &Signal) -> Option<Value> {
    match signal {
        Signal::Event(event) => Some(json!({
            "kind": "event",
            "event": {
                "type": event.event_type(),
                "data": event.data(),
                "id": event.last_event_id(),
            },
        })),
        Signal::Comment(text) => Some(json!({"kind": "comment", "comment": text})),
        Signal::Retrying(retrying) => {
            Some(json!({"kind": "error", "error": retrying.cause.to_string()}))
        }
        Signal::Closed(closed) => Some(json!({"kind": "error", "error": closed.to_string()})),
        _ => None,
    }
}

//! The harness's part: a server of event streams, REST calls to the service, ordered callbacks.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tidings_client::{Body, HyperTransport, Transport};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::service;
use crate::server::Server;

/// One test's service, stream server and callback server.
pub(crate) struct Harness {
    pub(crate) streams: Server,
    callbacks: Server,
    /// Callbacks that have arrived early, by number.
    early: BTreeMap<u64, Value>,
    due: u64,
    base: String,
    rest: Arc<HyperTransport>,
    service: JoinHandle<std::io::Result<()>>,
}

impl Harness {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let base = format!("http://{}", listener.local_addr().expect("bound"));
        Self {
            streams: Server::new().await,
            callbacks: Server::new().await,
            early: BTreeMap::new(),
            due: 1,
            base,
            rest: Arc::new(HyperTransport::new()),
            service: tokio::spawn(service::serve(listener)),
        }
    }

    /// Sends a REST request to the service.
    pub(crate) async fn rest(&self, method: Method, path: &str, body: &Value) -> Response<Bytes> {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        let body = Body::from(Bytes::from(body.to_string()));
        let request = request.body(body).expect("legal");
        let response = self.rest.send(request).await.expect("the service answers");
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a whole answer").to_bytes();
        Response::from_parts(head, body)
    }

    /// Creates a stream with the defaults of the harness and `more`; returns its path.
    pub(crate) async fn create(&self, more: Value) -> String {
        let mut create = json!({
            "streamUrl": self.streams.url("/stream"),
            "callbackUrl": self.callbacks.url("/callback"),
            "tag": "a test",
            "initialDelayMs": null,
            "readTimeoutMs": null,
            "somethingNew": {"is": "ignored"},
        });
        let fields = create.as_object_mut().expect("an object");
        fields.extend(more.as_object().expect("an object").clone());
        let response = self.rest(Method::POST, "/", &create).await;
        assert!(response.status().is_success(), "{}", response.status());
        response.headers()["location"].to_str().expect("a path").to_owned()
    }

    /// Waits for the next callback in the order of numbers, without gaps.
    pub(crate) async fn callback(&mut self) -> Value {
        loop {
            if let Some(callback) = self.early.remove(&self.due) {
                self.due += 1;
                return callback;
            }
            let request = self.callbacks.request().await;
            let target = request.line.strip_prefix("POST /callback/").expect("a callback");
            let number = target.split(' ').next().and_then(|number| number.parse().ok());
            let number: u64 = number.expect("a number");
            let body = serde_json::from_slice(&request.body).expect("JSON");
            request.refuse("202 Accepted", "connection: close\r\n").await;
            assert!(number >= self.due, "callback {number} came twice");
            assert!(self.early.insert(number, body).is_none(), "callback {number} came twice");
        }
    }

    #[track_caller]
    fn assert_event(callback: &Value, event_type: &str, data: &str, id: &str) {
        let expected = json!({
            "kind": "event", "event": {"type": event_type, "data": data, "id": id},
        });
        assert_eq!(*callback, expected);
    }

    pub(crate) async fn expect_event(&mut self, event_type: &str, data: &str, id: &str) {
        let callback = self.callback().await;
        Self::assert_event(&callback, event_type, data, id);
    }

    pub(crate) async fn expect_comment(&mut self, text: &str) {
        assert_eq!(self.callback().await, json!({"kind": "comment", "comment": text}));
    }

    pub(crate) async fn expect_error(&mut self) {
        let callback = self.callback().await;
        assert_eq!(callback["kind"], "error", "{callback}");
        assert!(callback["error"].is_string(), "{callback}");
    }

    /// Waits for the next event, before which at most one error may come.
    pub(crate) async fn expect_event_after_break(&mut self, data: &str, id: &str) {
        let mut callback = self.callback().await;
        if callback["kind"] == "error" {
            callback = self.callback().await;
        }
        Self::assert_event(&callback, "message", data, id);
    }

    pub(crate) async fn delete(&self, stream: &str) -> StatusCode {
        self.rest(Method::DELETE, stream, &Value::Null).await.status()
    }

    /// Ends the service, as the harness does with `-stop-service-at-end`.
    pub(crate) async fn stop(self) {
        assert!(self.delete("/").await.is_success());
        self.service.await.expect("no panic").expect("no error");
    }
}

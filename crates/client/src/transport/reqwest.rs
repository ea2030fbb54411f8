//! The transport that sends requests through the caller's `reqwest::Client`.

use std::fmt;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;

use super::{Body, Sending, Stage, Transport, TransportError};

/// Sends requests through a [`reqwest::Client`], for programs that already have one with its own
/// roots, proxies and name resolution.
///
/// The client must not follow redirects (`redirect(Policy::none())`) and must not add cookies: this
/// crate decides which redirect to follow and which headers to send. If the client has a time-out
/// for whole requests, it ends streams.
#[derive(Clone)]
pub struct ReqwestTransport(reqwest::Client);

impl ReqwestTransport {
    /// Makes a transport of `client`.
    #[must_use]
    pub fn new(client: reqwest::Client) -> Self {
        Self(client)
    }
}

impl fmt::Debug for ReqwestTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestTransport").finish_non_exhaustive()
    }
}

impl Transport for ReqwestTransport {
    fn send(&self, request: Request<Body>) -> Sending {
        let client = self.0.clone();
        Box::pin(async move {
            let request = request.map(reqwest_body).try_into();
            let request = request.map_err(|error: reqwest::Error| wrap(Stage::Connect, error))?;
            let response = client.execute(request).await.map_err(|error| {
                let stage = if error.is_connect() { Stage::Connect } else { Stage::Request };
                wrap(stage, error)
            })?;
            let response = http::Response::<reqwest::Body>::from(response);
            Ok(response.map(|body| Body::new(body.map_err(|error| wrap(Stage::Body, error)))))
        })
    }
}

fn reqwest_body(body: Body) -> reqwest::Body {
    match body.is_end_stream() {
        // A wrapped body has no known length, even if it is empty, and would be sent as chunks.
        true => reqwest::Body::from(""),
        false => reqwest::Body::wrap(Shared(Mutex::new(body))),
    }
}

/// A body that is `Sync`, as `reqwest` requires. It is never shared, so the lock never waits.
struct Shared(Mutex<Body>);

impl HttpBody for Shared {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        match self.0.get_mut() {
            Ok(body) => Pin::new(body).poll_frame(cx),
            Err(poisoned) => Pin::new(poisoned.into_inner()).poll_frame(cx),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().map(|body| body.size_hint()).unwrap_or_default()
    }
}

fn wrap(stage: Stage, error: reqwest::Error) -> TransportError {
    // The URL may hold a token.
    TransportError::new(stage, error.without_url())
}

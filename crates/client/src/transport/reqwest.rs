//! Requests by a `reqwest::Client` of the caller's.

use std::fmt;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;

use super::{Body, Sending, Stage, Transport, TransportError};

/// Hands requests to a [`reqwest::Client`]: for programs that have one set up already, with its
/// roots, proxies and name resolution.
///
/// The client must follow no redirects (`redirect(Policy::none())`) and keep no cookies it should
/// not send: this crate decides where a redirect leads and which headers go along. Its own
/// time-out for a whole request, if one is set, ends streams.
#[derive(Clone)]
pub struct ReqwestTransport(reqwest::Client);

impl ReqwestTransport {
    /// Uses `client`.
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
        // A wrapped body has no length that is known to be none, and would be sent as chunks.
        true => reqwest::Body::from(""),
        false => reqwest::Body::wrap(Shared(Mutex::new(body))),
    }
}

/// A body that may be shared between threads, which nobody does, so the lock never waits.
/// `reqwest` asks for the bound.
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

//! Responses that several handlers give.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

use crate::http::pieces::AnswerPieces;

/// The content type of JSON.
pub(crate) static JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A response of status 204, without headers.
pub(crate) fn no_content() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// The response to OPTIONS.
pub(crate) fn allowed(methods: &'static str) -> Response<Bytes> {
    let mut response = no_content();
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}

/// A response with a body that must not be stored.
pub(crate) fn no_store(content_type: &HeaderValue, body: impl Into<Bytes>) -> Response<Bytes> {
    unstored(content_type, body.into())
}

/// A response of JSON that is written piece by piece and must not be stored.
pub(crate) fn json_in_pieces(pieces: AnswerPieces) -> Response<AnswerPieces> {
    unstored(&JSON, pieces)
}

fn unstored<B>(content_type: &HeaderValue, body: B) -> Response<B> {
    static NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type.clone());
    headers.insert(CACHE_CONTROL, NO_STORE.clone());
    response
}

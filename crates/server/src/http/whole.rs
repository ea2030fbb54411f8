//! Whole responses, on their way from a handler to the sender.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};

use crate::http::common_headers::CommonHeaders;

/// A whole response.
///
/// It is small, because every function between the handler and the sender moves it. Most answers of a
/// hub that is published to are a short text without headers of their own.
#[derive(Debug)]
pub struct WholeAnswer {
    /// The kind of headers that its sender adds.
    pub(crate) common: CommonHeaders,
    pub(crate) status: StatusCode,
    /// Its own headers. They are boxed because few answers have any.
    pub(crate) headers: Option<Box<HeaderMap>>,
    pub(crate) body: Bytes,
}

impl WholeAnswer {
    /// Plain text that must not be stored. The headers that say so are added by the sender.
    pub(crate) fn text(status: StatusCode, text: impl Into<Bytes>) -> Self {
        let common = CommonHeaders::NoStoreText;
        Self { common, status, headers: None, body: text.into() }
    }

    pub(crate) fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers.get_or_insert_default()
    }

    /// The response with the headers of its own, and the kind of the others.
    pub(crate) fn into_response(self) -> (CommonHeaders, Response<Bytes>) {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        if let Some(headers) = self.headers {
            *response.headers_mut() = *headers;
        }
        (self.common, response)
    }
}

impl From<Response<Bytes>> for WholeAnswer {
    fn from(response: Response<Bytes>) -> Self {
        let (head, body) = response.into_parts();
        let headers = (!head.headers.is_empty()).then(|| Box::new(head.headers));
        Self { common: CommonHeaders::Any, status: head.status, headers, body }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::ALLOW;

    use super::*;

    #[test]
    fn a_response_comes_out_as_it_was_put_in() {
        for allow in [None, Some("GET")] {
            let mut response = Response::new(Bytes::from_static(b"x"));
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            let allow = allow.map(HeaderValue::from_static);
            response.headers_mut().extend(allow.clone().map(|allow| (ALLOW, allow)));
            let whole = WholeAnswer::from(response);
            assert_eq!(whole.headers.is_some(), allow.is_some());
            let (common, response) = whole.into_response();
            assert_eq!(common, CommonHeaders::Any);
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(response.headers().get(ALLOW), allow.as_ref());
            assert_eq!(response.body(), "x");
        }
    }

    /// It was 150 bytes, and each function that passed it on copied them.
    #[test]
    fn it_takes_48_bytes() {
        assert_eq!(size_of::<WholeAnswer>(), 48);
    }
}

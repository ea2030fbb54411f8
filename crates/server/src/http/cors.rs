//! CORS headers: they tell browsers which pages may read an answer (WHATWG Fetch, section 3.3).

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
};
use http::{HeaderMap, HeaderValue, Method};

/// The pages that may read an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cors<'a> {
    /// The server's own, or no page at all: no headers are needed.
    Same,
    /// The one of this listed origin, with credentials.
    Listed(&'a HeaderValue),
    /// Any, without credentials.
    Any,
}

impl Cors<'_> {
    /// Adds the headers to an answer.
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        match self {
            Self::Same => return,
            Self::Listed(origin) => {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, (*origin).clone());
                headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            }
            Self::Any => {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            }
        }
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }

    /// Adds the headers that answer a preflight, beside those of [`Cors::apply`].
    ///
    /// A listed origin may send any header it asks for: tracing and monitoring add their own to every
    /// request of a page, and headers that the API does not read have no effect.
    pub(crate) fn apply_preflight(&self, asked: &HeaderMap, headers: &mut HeaderMap) {
        let (methods, names) = match self {
            Self::Same => return,
            Self::Listed(_) => ("GET, HEAD, POST, DELETE", REQUEST_HEADERS),
            Self::Any => ("GET, HEAD", READING_HEADERS),
        };
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(names));
        if let Self::Listed(_) = self {
            for names in asked.get_all(ACCESS_CONTROL_REQUEST_HEADERS) {
                headers.append(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
            }
        }
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
    }
}

/// The method that a preflight asks about; `None` if the request is not a preflight.
pub(crate) fn preflight_method(method: &Method, headers: &HeaderMap) -> Option<Method> {
    if method != Method::OPTIONS || !headers.contains_key(ORIGIN) {
        return None;
    }
    let asked = headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
    Method::from_bytes(asked.as_bytes()).ok()
}

/// Headers of an answer that a page may read beside the safelisted ones.
const EXPOSED: &str = "Last-Event-ID, Idempotency-Replayed, Retry-After, Stream-Gap, \
                       Stream-Id, Stream-State, Stream-Tail-Index, Tidings-Epoch";
/// Headers that requests may carry: all headers that the API reads.
const REQUEST_HEADERS: &str = "Last-Event-ID, Cache-Control, Content-Type, Authorization, \
                               Idempotency-Key, Event-Type, Event-Id, Producer-Id, Producer-Epoch, \
                               Producer-Seq";
/// The same for pages that may only read, without credentials.
const READING_HEADERS: &str = "Last-Event-ID, Cache-Control";
/// The time that a browser may cache a preflight, in seconds: two hours, Chromium's maximum.
const MAX_AGE: &str = "7200";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preflight_has_an_origin_and_a_method() {
        let preflight = |method: Method, pairs: &[(&'static str, &'static str)]| {
            let headers = pairs
                .iter()
                .map(|&(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
            preflight_method(&method, &headers.collect())
        };
        let asked = [("origin", "http://a"), ("access-control-request-method", "POST")];
        assert_eq!(preflight(Method::OPTIONS, &asked), Some(Method::POST));
        assert_eq!(preflight(Method::GET, &asked), None);
        assert_eq!(preflight(Method::OPTIONS, &asked[..1]), None);
        assert_eq!(preflight(Method::OPTIONS, &asked[1..]), None);
    }
}

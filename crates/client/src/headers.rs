//! Which headers a request carries, and to which origins.

use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH,
    CONTENT_LOCATION, CONTENT_TYPE, COOKIE, HOST, HeaderName, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue};

/// The header that carries the last event ID.
pub(crate) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Headers that never go to another origin, whether marked secret or not. The last three are not
/// standardized, but so common that leaking them by default would be a trap.
const SECRET: [HeaderName; 6] = [
    AUTHORIZATION,
    COOKIE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-auth-token"),
];

/// Headers that describe a request's body, and are removed with it (Fetch, "HTTP-redirect fetch").
const OF_THE_BODY: [HeaderName; 5] =
    [CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION, CONTENT_TYPE, CONTENT_LENGTH];

/// Headers that only this crate or the transport can set correctly.
const MANAGED: [HeaderName; 8] = [
    LAST_EVENT_ID,
    ACCEPT_ENCODING,
    CONNECTION,
    CONTENT_LENGTH,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Returns whether the client or the transport sets `name`, so that a caller may not.
pub(crate) fn is_managed(name: &HeaderName) -> bool {
    MANAGED.contains(name)
}

/// Removes headers that another origin must not see: credentials, headers marked secret, and
/// `Host`, which names the original origin.
pub(crate) fn strip_secrets(headers: &mut HeaderMap) {
    retain(headers, |name, value| !value.is_sensitive() && *name != HOST && !SECRET.contains(name));
}

/// Removes the headers that described a body, when it is no longer sent.
pub(crate) fn strip_body_headers(headers: &mut HeaderMap) {
    OF_THE_BODY.iter().for_each(|name| {
        headers.remove(name);
    });
}

/// Marks a value as secret: it does not go to another origin and does not appear in `Debug` output.
pub(crate) fn secret(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

/// The header value of an event ID: its UTF-8 bytes, or `None` if it contains characters that a
/// header cannot carry.
pub(crate) fn last_event_id_value(id: &str) -> Option<HeaderValue> {
    HeaderValue::from_bytes(id.as_bytes()).ok()
}

fn retain(headers: &mut HeaderMap, keep: impl Fn(&HeaderName, &HeaderValue) -> bool) {
    // `HeaderMap` has no `retain`, and one name may have both secret and public values.
    let kept: Vec<_> = headers
        .iter()
        .filter(|(name, value)| keep(name, value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    headers.clear();
    headers.extend(kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_and_headers_marked_secret_stay_at_their_origin() {
        let mut headers = HeaderMap::new();
        for name in ["authorization", "cookie", "proxy-authorization", "x-api-key", "host"] {
            headers.insert(name, HeaderValue::from_static("s"));
        }
        headers.insert("x-own", secret(HeaderValue::from_static("s")));
        headers.append("x-mixed", HeaderValue::from_static("open"));
        headers.append("x-mixed", secret(HeaderValue::from_static("s")));
        headers.insert("accept", HeaderValue::from_static("text/event-stream"));

        strip_secrets(&mut headers);
        let left: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value)).collect();
        assert_eq!(
            left,
            [
                ("x-mixed", &HeaderValue::from_static("open")),
                ("accept", &HeaderValue::from_static("text/event-stream")),
            ]
        );
    }

    #[test]
    fn an_id_is_sent_as_its_utf8_bytes_or_not_at_all() {
        assert_eq!(last_event_id_value("…").expect("legal").as_bytes(), "…".as_bytes());
        assert_eq!(last_event_id_value("a\u{1}b"), None);
        assert_eq!(last_event_id_value("a\u{7f}b"), None);
    }
}

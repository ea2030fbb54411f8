//! Checks of the URLs and headers that builders are given.

use std::error::Error;
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::headers::{is_managed, secret};

/// A mistake in what a builder was given.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// This is not an absolute `http` or `https` URL.
    Url(String),
    /// A header's name is not legal.
    HeaderName,
    /// The value of this header has characters that a header cannot carry.
    HeaderValue(HeaderName),
    /// Only the client or the transport may set this header. For `Last-Event-ID` see
    /// [`Builder::last_event_id`](crate::Builder::last_event_id), for `Accept-Encoding`
    /// [`Builder::identity`](crate::Builder::identity).
    Managed(HeaderName),
    /// This last event ID contains CR, LF or NUL, which no event ID can contain.
    LastEventId(String),
    /// The body could not be serialized as JSON.
    Json(serde_json::Error),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => write!(f, "{url:?} is not an absolute http or https URL"),
            Self::HeaderName => write!(f, "a header's name is not legal"),
            Self::HeaderValue(name) => write!(f, "the value of the header {name} is not legal"),
            Self::Managed(name) => write!(f, "the header {name} is set by the client itself"),
            Self::LastEventId(id) => write!(f, "{id:?} cannot be an event ID"),
            Self::Json(_) => write!(f, "the body could not be written as JSON"),
        }
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Json(error) => Some(error),
            _ => None,
        }
    }
}

/// Parses the URL that a builder was given. A mistake is returned beside a URL that stands in for
/// it: the builder reports the mistake before any request is made.
pub(crate) fn url_or_mistake(url: &str) -> (Url, Option<BuildError>) {
    match parse_url(url) {
        Ok(url) => (url, None),
        Err(mistake) => (Url::parse("http://localhost/").expect("a legal URL"), Some(mistake)),
    }
}

fn parse_url(url: &str) -> Result<Url, BuildError> {
    let refused = || BuildError::Url(url.to_owned());
    let mut parsed = Url::parse(url).map_err(|_| refused())?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(refused());
    }
    // A fragment is never sent.
    parsed.set_fragment(None);
    Ok(parsed)
}

/// Removes the user name and password from a URL, so that they cannot reach a log, and makes the
/// Basic `Authorization` that they stand for.
pub(crate) fn take_basic_credentials(url: &mut Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
    let mut pair = decoded(url.username());
    pair.push(b':');
    pair.extend(decoded(url.password().unwrap_or_default()));
    let basic = format!("Basic {}", BASE64_STANDARD.encode(pair));
    // Neither call can fail: the URL has a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Some(secret(HeaderValue::try_from(basic).expect("base64 is legal in a header")))
}

/// Checks a header that a caller sets.
pub(crate) fn checked_header<N, V>(
    name: N,
    value: V,
) -> Result<(HeaderName, HeaderValue), BuildError>
where
    N: TryInto<HeaderName>,
    V: TryInto<HeaderValue>,
{
    let name = name.try_into().map_err(|_| BuildError::HeaderName)?;
    if is_managed(&name) {
        return Err(BuildError::Managed(name));
    }
    match value.try_into() {
        Ok(value) => Ok((name, value)),
        Err(_) => Err(BuildError::HeaderValue(name)),
    }
}

/// Adds a header. A header that a request can have only once is replaced instead.
pub(crate) fn put_header(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    match name.as_str() {
        "accept" | "cache-control" | "authorization" | "content-type" | "host" => {
            headers.insert(name, value);
        }
        _ => {
            headers.append(name, value);
        }
    }
}

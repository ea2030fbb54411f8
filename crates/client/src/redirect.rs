//! Redirects: the next URL, and what a request may carry to it (Fetch, "HTTP-redirect fetch").

use std::fmt;

use http::header::LOCATION;
use http::{HeaderMap, Method, StatusCode};
use url::Url;

use crate::headers::{strip_body_headers, strip_secrets};

/// The maximum number of redirects within one attempt, as in Fetch.
pub(crate) const REDIRECTS_MAX: u32 = 20;

/// A redirect that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedirectError {
    /// `Location` is missing or empty: a mistake on the server.
    NoLocation,
    /// `Location` is not a URL. Holds its value.
    InvalidLocation(String),
    /// `Location` has another scheme than `http` or `https`. Holds the scheme.
    Scheme(String),
    /// More than twenty redirects in a row: most likely a loop.
    TooMany,
}

impl fmt::Display for RedirectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLocation => write!(f, "the redirect names no location"),
            Self::InvalidLocation(location) => {
                write!(f, "the redirect's location {location:?} is not a URL")
            }
            Self::Scheme(scheme) => write!(f, "the redirect leads to the scheme {scheme:?}"),
            Self::TooMany => write!(f, "more than {REDIRECTS_MAX} redirects in a row"),
        }
    }
}

impl std::error::Error for RedirectError {}

/// One request of an attempt: the original one, or one that follows a redirect.
#[derive(Debug, Clone)]
pub(crate) struct Hop {
    pub(crate) url: Url,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    /// Whether the request carries the body.
    pub(crate) body: Carried,
    /// Whether the request may carry the credentials for the original origin. Once an attempt has
    /// left that origin it may not, even if a later redirect leads back: the other origin chose
    /// that URL.
    pub(crate) credentials: Carried,
    redirects: u32,
}

/// Whether a hop carries something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carried {
    Yes,
    No,
}

impl Hop {
    pub(crate) fn first(url: Url, method: Method, headers: HeaderMap) -> Self {
        let (body, credentials) = (Carried::Yes, Carried::Yes);
        Self { url, method, headers, body, credentials, redirects: 0 }
    }

    /// Returns whether `status` is one of the five that redirect.
    pub(crate) fn is_redirect(status: StatusCode) -> bool {
        matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
    }

    /// The request that follows this redirect.
    pub(crate) fn follow(
        mut self,
        status: StatusCode,
        response: &HeaderMap,
    ) -> Result<Self, RedirectError> {
        if self.redirects == REDIRECTS_MAX {
            return Err(RedirectError::TooMany);
        }
        let url = self.target(response)?;
        if self.url.origin() != url.origin() {
            strip_secrets(&mut self.headers);
            self.credentials = Carried::No;
        }
        if becomes_get(status, &self.method) {
            self.method = Method::GET;
            self.body = Carried::No;
            strip_body_headers(&mut self.headers);
        }
        Ok(Self { url, redirects: self.redirects + 1, ..self })
    }

    fn target(&self, response: &HeaderMap) -> Result<Url, RedirectError> {
        // A location may contain raw UTF-8, which `to_str` would reject.
        let location =
            response.get(LOCATION).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let location = location.filter(|location| !location.trim().is_empty());
        let location = location.ok_or(RedirectError::NoLocation)?;
        let url = self.url.join(location.trim());
        let mut url = url.map_err(|_| RedirectError::InvalidLocation(location.into_owned()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(RedirectError::Scheme(url.scheme().to_owned()));
        }
        // Another server's choice of user name and password must not be sent.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Ok(url)
    }
}

fn becomes_get(status: StatusCode, method: &Method) -> bool {
    match status.as_u16() {
        301 | 302 => method == Method::POST,
        303 => method != Method::GET && method != Method::HEAD,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn hop(method: Method) -> Hop {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_static("Bearer t"));
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("accept", HeaderValue::from_static("text/event-stream"));
        Hop::first(Url::parse("http://a.example/x/y?q=1").expect("legal"), method, headers)
    }

    fn follow(hop: Hop, status: u16, location: &str) -> Result<Hop, RedirectError> {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, HeaderValue::from_str(location).expect("legal"));
        hop.follow(StatusCode::from_u16(status).expect("legal"), &headers)
    }

    #[track_caller]
    fn check(location: &str, expected: &str, credentials: Carried) {
        let next = follow(hop(Method::GET), 307, location).expect("followed");
        assert_eq!(next.url.as_str(), expected);
        assert_eq!(next.credentials, credentials, "credentials at {expected}");
        assert_eq!(next.headers.contains_key("authorization"), credentials == Carried::Yes);
        assert!(next.headers.contains_key("accept"), "what is no secret goes along");
    }

    #[test]
    fn a_location_is_resolved_against_the_url_that_sent_it() {
        check("z", "http://a.example/x/z", Carried::Yes);
        check("/z", "http://a.example/z", Carried::Yes);
        check("?q=2", "http://a.example/x/y?q=2", Carried::Yes);
        check("http://a.example:80/z", "http://a.example/z", Carried::Yes);
    }

    #[test]
    fn scheme_host_and_port_each_make_another_origin() {
        check("https://a.example/z", "https://a.example/z", Carried::No);
        check("http://b.example/z", "http://b.example/z", Carried::No);
        check("//b.example/z", "http://b.example/z", Carried::No);
        check("http://a.example:81/z", "http://a.example:81/z", Carried::No);
        check("http://u:p@b.example/z", "http://b.example/z", Carried::No);
    }

    #[test]
    fn credentials_do_not_come_back_with_a_redirect_that_does() {
        let away = follow(hop(Method::GET), 302, "http://b.example/").expect("followed");
        let back = follow(away, 302, "http://a.example/x/y").expect("followed");
        assert_eq!(back.credentials, Carried::No);
        assert!(!back.headers.contains_key("authorization"));
    }

    #[test]
    fn which_methods_become_get_is_what_fetch_says() {
        for (status, method, becomes) in [
            (301, Method::POST, Method::GET),
            (302, Method::POST, Method::GET),
            (303, Method::POST, Method::GET),
            (303, Method::PUT, Method::GET),
            (302, Method::PUT, Method::PUT),
            (307, Method::POST, Method::POST),
            (308, Method::POST, Method::POST),
        ] {
            let next = follow(hop(method.clone()), status, "/z").expect("followed");
            assert_eq!(next.method, becomes, "{status} to {method}");
            let kept = becomes == method;
            assert_eq!(next.body == Carried::Yes, kept, "{status} to {method}");
            assert_eq!(next.headers.contains_key("content-type"), kept, "{status} to {method}");
        }
    }

    #[test]
    fn what_cannot_be_followed_says_why() {
        let none = hop(Method::GET).follow(StatusCode::FOUND, &HeaderMap::new());
        assert_eq!(none.expect_err("none"), RedirectError::NoLocation);
        let follow = |location| follow(hop(Method::GET), 301, location).expect_err("refused");
        assert_eq!(follow(""), RedirectError::NoLocation);
        assert_eq!(follow("file:///etc/passwd"), RedirectError::Scheme("file".into()));
        assert_eq!(follow("http://[x"), RedirectError::InvalidLocation("http://[x".into()));
    }

    #[test]
    fn twenty_redirects_are_followed_and_the_next_is_a_loop() {
        let mut hop = hop(Method::GET);
        for _ in 0..REDIRECTS_MAX {
            hop = follow(hop, 302, "/round").expect("within the limit");
        }
        assert_eq!(follow(hop, 302, "/round").expect_err("a loop"), RedirectError::TooMany);
    }
}

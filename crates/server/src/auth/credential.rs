//! Where a token stands in a request.

use std::borrow::Cow;
use std::fmt;

use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, Uri};

use super::config::AuthConfig;
use crate::http::problem::{Problem, ProblemKind};
use crate::http::request::{Query, no_token_in_query, percent_decode};

/// The name of the query parameter.
const PARAMETER: &str = "token";

/// A token as a request brings it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credential<'a> {
    pub(crate) token: Cow<'a, str>,
    pub(crate) place: Place,
}

/// Where a token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Header,
    Query,
    /// Browsers send it without a page's doing, so that it proves less.
    Cookie,
}

impl fmt::Debug for Credential<'_> {
    /// Shows where it stands alone: a token is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("place", &self.place).finish_non_exhaustive()
    }
}

impl<'a> Credential<'a> {
    /// Finds the token of a request, if it has one: in the header, or else in the query, or else in
    /// the cookie, where these may hold one.
    ///
    /// # Errors
    ///
    /// The problem of a token that is given twice in one place, because it is unclear which one
    /// counts, or in a query that may have none.
    pub(crate) fn find(head: &'a Parts, config: &AuthConfig) -> Result<Option<Self>, Problem> {
        if let Some(token) = of_header(&head.headers)? {
            return Ok(Some(Self { token: token.into(), place: Place::Header }));
        }
        if has_parameter(&head.uri)
            && let Some(token) = Query::parse(head.uri.query())?.one(PARAMETER)?
        {
            if !config.in_query {
                return Err(no_token_in_query());
            }
            return Ok(Some(Self { token: token.to_owned().into(), place: Place::Query }));
        }
        let Some(name) = &config.cookie else { return Ok(None) };
        let token = of_cookies(&head.headers, name)?;
        Ok(token.map(|token| Self { token: token.into(), place: Place::Cookie }))
    }
}

/// The token of the header `Authorization`; other schemes may be a proxy's, and say nothing here.
fn of_header(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut found = None;
    for value in headers.get_all(AUTHORIZATION) {
        let Some(token) = bearer_token(value.as_bytes()) else { continue };
        if found.replace(token).is_some() {
            return Err(ambiguous("the header Authorization has two tokens"));
        }
    }
    Ok(found)
}

/// The token of a header's value in the scheme `Bearer` (RFC 6750, section 2.1). What is not ASCII is
/// none.
fn bearer_token(value: &[u8]) -> Option<&str> {
    let value = value.trim_ascii();
    let (scheme, token) = value.split_at_checked("bearer".len())?;
    let token = token.strip_prefix(b" ").filter(|_| scheme.eq_ignore_ascii_case(b"bearer"))?;
    token.is_ascii().then(|| str::from_utf8(token.trim_ascii()).ok())?
}

/// The token of a cookie. A neighbor of this site can set a cookie of the same name, and nothing
/// tells the two apart.
fn of_cookies<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(found, _)| found.trim() == name).map(|(_, value)| value.trim());
    let first = values.next();
    if values.any(|value| Some(value) != first) {
        return Err(ambiguous("there are two cookies with a token"));
    }
    Ok(first.filter(|value| !value.is_empty()))
}

fn ambiguous(what: &str) -> Problem {
    let detail = format!("{what}, and it is unclear which one counts: send one");
    Problem::new(ProblemKind::InvalidParameter, detail)
}

fn has_parameter(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| query.split('&').any(is_parameter))
}

fn is_parameter(pair: &str) -> bool {
    let name = pair.split_once('=').map_or(pair, |(name, _)| name);
    percent_decode(name).is_ok_and(|name| name == PARAMETER)
}

/// The head of a request without the token of its query: no handler, log or answer sees it. `None`
/// if there is none.
pub(crate) fn without_token(head: &Parts) -> Option<Parts> {
    if !has_parameter(&head.uri) {
        return None;
    }
    let mut clean = head.clone();
    let pairs = head.uri.query().unwrap_or_default().split('&');
    let others = pairs.filter(|pair| !is_parameter(pair)).collect::<Vec<_>>().join("&");
    let path = head.uri.path();
    let target = if others.is_empty() { path.to_owned() } else { format!("{path}?{others}") };
    let mut parts = head.uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
    clean.uri = Uri::from_parts(parts).ok()?;
    Some(clean)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn head(target: &str, headers: &[(&str, &str)]) -> Parts {
        let request = Request::builder().uri(target);
        let request = headers.iter().fold(request, |it, (name, value)| it.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    fn config() -> AuthConfig {
        AuthConfig { in_query: true, cookie: Some("tidings".to_owned()), ..AuthConfig::default() }
    }

    fn found(target: &str, headers: &[(&str, &str)]) -> Option<(String, Place)> {
        let head = head(target, headers);
        let found = Credential::find(&head, &config()).unwrap();
        found.map(|credential| (credential.token.into_owned(), credential.place))
    }

    #[test]
    fn a_token_is_found_in_each_of_its_places_and_the_header_wins() {
        let of = |token: &str, place| Some((token.to_owned(), place));
        let header = ("authorization", "bearer  h");
        let cookie = ("cookie", "a=b; tidings=c; x");
        assert_eq!(found("/a?token=q", &[header, cookie]), of("h", Place::Header));
        assert_eq!(found("/a?x=1&tok%65n=q%2B", &[cookie]), of("q+", Place::Query));
        assert_eq!(found("/a", &[("cookie", "x=1"), cookie]), of("c", Place::Cookie));
        for headers in [
            &[("authorization", "Basic YTpi")][..],
            &[("authorization", "Bearer")],
            &[("cookie", "Tidings=c")],
            &[("cookie", "tidings=")],
            &[],
        ] {
            assert_eq!(found("/token?tokens=q&Token=q", headers), None, "{headers:?}");
        }
        let config = AuthConfig::default();
        assert!(Credential::find(&head("/a?token=q", &[]), &config).is_err());
        assert_eq!(Credential::find(&head("/a", &[cookie]), &config).unwrap(), None);
    }

    #[test]
    fn two_tokens_in_one_place_are_refused() {
        for (target, headers) in [
            ("/a?token=q&token=q", &[][..]),
            ("/", &[("authorization", "Bearer a"), ("authorization", "Bearer a")]),
            ("/", &[("cookie", "tidings=a; tidings=b")]),
        ] {
            let head = head(target, headers);
            assert!(Credential::find(&head, &config()).is_err(), "{target} {headers:?}");
        }
        assert!(found("/", &[("cookie", "tidings=a; tidings=a")]).is_some());
    }

    #[test]
    fn a_query_without_its_token_is_as_it_was() {
        for (target, clean) in [
            ("/a?token=q", "/a"),
            ("/a?x=%2F&token=q&y=a+b", "/a?x=%2F&y=a+b"),
            ("/a?tok%65n=q&token&x", "/a?x"),
            ("http://h:1/a?token=q", "http://h:1/a"),
        ] {
            let clean_head = without_token(&head(target, &[("host", "h")])).unwrap();
            assert_eq!(clean_head.uri.to_string(), clean, "{target}");
            assert_eq!(clean_head.headers["host"], "h");
        }
        assert!(without_token(&head("/token?x=token", &[])).is_none());
    }
}

//! The URL of a key set.

use std::fmt;
use std::net::IpAddr;

use http::Uri;
use jsonwebtoken::Algorithm as Jwa;

use crate::auth::key::Algorithm;

/// The URL that a key set is fetched from.
#[derive(Clone, PartialEq, Eq)]
pub struct KeySetSource {
    uri: Uri,
    /// The algorithm of RSA keys that name none.
    rsa: Algorithm,
}

impl KeySetSource {
    /// Checks the URL of a key set.
    ///
    /// # Errors
    ///
    /// [`InvalidKeySetUrl`] unless it is `https://`, or `http://` on this machine: whoever could change
    /// the answer on its way could sign tokens.
    pub fn new(url: &str) -> Result<Self, InvalidKeySetUrl> {
        let uri: Uri = url.parse().map_err(|_| InvalidKeySetUrl)?;
        let host = uri.host().unwrap_or_default();
        let is_safe = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => is_loopback(host),
            _ => false,
        };
        let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
        if !is_safe || host.is_empty() || has_user {
            return Err(InvalidKeySetUrl);
        }
        Ok(Self { uri, rsa: Algorithm(Jwa::RS256) })
    }

    /// Sets the algorithm of RSA keys that name none; RS256 by default. Other algorithms than those
    /// of RSA change nothing: the curve of a key tells its algorithm.
    #[must_use]
    pub fn with_algorithm(mut self, algorithm: Algorithm) -> Self {
        let is_of_rsa = algorithm.name().starts_with("RS") || algorithm.name().starts_with("PS");
        if is_of_rsa {
            self.rsa = algorithm;
        }
        self
    }

    /// The URL without its query, which may have a secret.
    #[must_use]
    pub fn without_query(&self) -> String {
        let scheme = self.uri.scheme_str().unwrap_or_default();
        let authority = self.uri.authority().map(|authority| authority.as_str());
        format!("{scheme}://{}{}", authority.unwrap_or_default(), self.uri.path())
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    pub(super) fn rsa(&self) -> Algorithm {
        self.rsa
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

impl fmt::Debug for KeySetSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut source = f.debug_struct("KeySetSource");
        source.field("url", &self.without_query()).field("rsa", &self.rsa).finish()
    }
}

/// The text cannot be the URL of a key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidKeySetUrl;

impl fmt::Display for InvalidKeySetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "must be a URL such as \"https://login.example.com/jwks.json\"; http is for this machine \
             alone, and there is no user name",
        )
    }
}

impl std::error::Error for InvalidKeySetUrl {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_https_or_from_this_machine() {
        for (url, is_good) in [
            ("https://login.example.com/jwks.json?tenant=1", true),
            ("https://[2001:db8::1]:8443/keys", true),
            ("http://127.0.0.1:8080/keys", true),
            ("http://[::1]/keys", true),
            ("http://localhost/keys", true),
            ("http://login.example.com/keys", false),
            ("http://localhost.example.com/keys", false),
            ("http://10.0.0.1/keys", false),
            ("https://user:password@login.example.com/keys", false),
            ("file:///etc/keys", false),
            ("ftp://login.example.com/keys", false),
            ("/keys", false),
            ("", false),
        ] {
            assert_eq!(KeySetSource::new(url).is_ok(), is_good, "{url}");
        }
    }

    #[test]
    fn a_query_is_not_shown() {
        let source = KeySetSource::new("https://login.example.com:1/keys?secret=x").unwrap();
        assert_eq!(source.without_query(), "https://login.example.com:1/keys");
        assert!(!format!("{source:?}").contains("secret"));
    }
}

//! Credentials, which the caller makes for every attempt.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::header::{AUTHORIZATION, InvalidHeaderValue};
use http::{HeaderName, HeaderValue};

use crate::headers::secret;

/// A header that authenticates the client.
///
/// Its value is secret: it appears neither in `Debug` output nor in requests to another origin.
#[derive(Clone)]
pub struct Credentials {
    name: HeaderName,
    value: HeaderValue,
}

impl Credentials {
    /// Makes `Authorization: Bearer …`.
    ///
    /// # Errors
    ///
    /// If `token` contains control characters, such as a line end.
    pub fn bearer(token: &str) -> Result<Self, InvalidHeaderValue> {
        let value = HeaderValue::try_from(format!("Bearer {token}"))?;
        Ok(Self::header(AUTHORIZATION, value))
    }

    /// Makes any other header.
    #[must_use]
    pub fn header(name: HeaderName, value: HeaderValue) -> Self {
        Self { name, value: secret(value) }
    }

    pub(crate) fn into_parts(self) -> (HeaderName, HeaderValue) {
        (self.name, self.value)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The reason why credentials are requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Occasion {
    /// A new attempt. Cached credentials will do.
    Attempt,
    /// The server answered 401 to the last credentials: a cached token should be renewed. This
    /// happens at most once per attempt; a second 401 is final.
    Unauthorized,
}

/// The caller's function returned no credentials.
#[derive(Debug)]
pub struct CredentialsError {
    source: Box<dyn Error + Send + Sync>,
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the credentials could not be made")
    }
}

impl Error for CredentialsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

/// A future of credentials.
pub(crate) type Authorizing =
    Pin<Box<dyn Future<Output = Result<Credentials, CredentialsError>> + Send>>;

/// The caller's function that makes credentials.
#[derive(Clone)]
pub(crate) struct Authorize(Arc<dyn Fn(Occasion) -> Authorizing + Send + Sync>);

impl Authorize {
    pub(crate) fn new<F, Fut, E>(make: F) -> Self
    where
        F: Fn(Occasion) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Credentials, E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        Self(Arc::new(move |occasion| {
            let made = make(occasion);
            Box::pin(async move {
                made.await.map_err(|error| CredentialsError { source: error.into() })
            })
        }))
    }

    pub(crate) fn run(&self, occasion: Occasion) -> Authorizing {
        (self.0)(occasion)
    }
}

impl fmt::Debug for Authorize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorize")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_shown_and_cannot_smuggle_a_header() {
        let credentials = Credentials::bearer("geheim").expect("legal");
        assert!(!format!("{credentials:?}").contains("geheim"));
        let (name, value) = credentials.into_parts();
        assert_eq!((name, value.as_bytes()), (AUTHORIZATION, &b"Bearer geheim"[..]));
        assert!(value.is_sensitive());
        assert!(Credentials::bearer("a\r\nX-Evil: 1").is_err());
    }
}

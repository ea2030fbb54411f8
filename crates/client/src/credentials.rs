//! What proves to a server who is asking, made anew for every attempt.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::header::{AUTHORIZATION, InvalidHeaderValue};
use http::{HeaderName, HeaderValue};

use crate::headers::secret;

/// A header that proves who is asking.
///
/// Its value is marked sensitive: it is left out of `Debug` output and of requests to another
/// origin.
#[derive(Clone)]
pub struct Credentials {
    name: HeaderName,
    value: HeaderValue,
}

impl Credentials {
    /// `Authorization: Bearer …`.
    ///
    /// # Errors
    ///
    /// If `token` has control characters, a line end for example.
    pub fn bearer(token: &str) -> Result<Self, InvalidHeaderValue> {
        let value = HeaderValue::try_from(format!("Bearer {token}"))?;
        Ok(Self::header(AUTHORIZATION, value))
    }

    /// Any other header.
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

/// Why credentials are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Occasion {
    /// A new attempt. Credentials that are known to be good may be given again.
    Attempt,
    /// The server answered 401 to those just given: a cached token should be made anew. Asked
    /// once per attempt; a second 401 is final.
    Unauthorized,
}

/// The caller's function had no credentials to give.
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

/// The caller's function, run once per attempt.
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

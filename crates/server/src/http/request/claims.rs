//! The claims of a request, by which it is admitted.

use std::sync::OnceLock;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::headers::Given;

/// The headers that every request is asked for, found in one pass. A connection whose requests repeat their
/// headers finds them once.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    pub(crate) host: Given<HeaderValue>,
    pub(crate) origin: Given<HeaderValue>,
    /// Whether a browser says that another site made it send the request. A neighbor under the same
    /// registrable domain, or at another port, is another site here.
    pub(crate) is_by_other_site: bool,
    /// Whether no page can read the answer (WHATWG Fetch, section 2.2.5, mode `no-cors`). Images
    /// and scripts of a page are requested in this mode; navigation and EventSource are not.
    pub(crate) is_blind: bool,
    /// Whether there is a header that describes events. Only requests that publish are asked for it.
    describes_events: OnceLock<bool>,
}

impl Claims {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut claims = Self::default();
        headers.iter().for_each(|(name, value)| claims.add(name, value));
        claims
    }

    /// Adds a header; headers must be added in the order in which they were sent.
    pub(crate) fn add(&mut self, name: &HeaderName, value: &HeaderValue) {
        match name.as_str() {
            "host" => self.host.add(value.clone()),
            "origin" => self.origin.add(value.clone()),
            "sec-fetch-site" => {
                self.is_by_other_site |= !matches!(value.as_bytes(), b"same-origin" | b"none");
            }
            "sec-fetch-mode" => self.is_blind |= value == "no-cors",
            _ => {}
        }
    }

    /// Returns whether there is a header that describes events, as `find` finds out once.
    pub(crate) fn describes_events(&self, find: impl FnOnce() -> bool) -> bool {
        *self.describes_events.get_or_init(find)
    }
}

//! The headers that all answers of a kind have.
//!
//! They never differ, so the HTTP/1 encoder gets them as text, and a map is filled only for hyper.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, VARY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue};

/// The headers that are added to an answer's own, by its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommonHeaders {
    /// The headers of every answer. Published data must never be run as a script. Every answer
    /// depends on the Origin, if only because another one would have been refused, and caches must
    /// know.
    Any,
    /// The same, of plain text that is not to be kept.
    NoStoreText,
}

macro_rules! any {
    () => {
        "x-content-type-options: nosniff\r\nvary: Origin\r\n"
    };
}

impl CommonHeaders {
    /// The headers as HTTP/1 writes them.
    pub(crate) fn lines(self) -> &'static str {
        match self {
            Self::Any => any!(),
            Self::NoStoreText => concat!(
                "content-type: text/plain; charset=utf-8\r\ncache-control: no-store\r\n",
                any!()
            ),
        }
    }

    /// Adds them to a map.
    pub(crate) fn add_to(self, headers: &mut HeaderMap) {
        if self == Self::NoStoreText {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_text_and_in_a_map_they_are_the_same() {
        for common in [CommonHeaders::Any, CommonHeaders::NoStoreText] {
            let mut headers = HeaderMap::new();
            common.add_to(&mut headers);
            let mut lines = String::new();
            for (name, value) in &headers {
                lines += &format!("{name}: {}\r\n", value.to_str().unwrap());
            }
            assert_eq!(lines, common.lines());
        }
    }
}

//! The body of an event source's request.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;

use crate::transport::Body;

/// A request's body, which every attempt sends again.
#[derive(Clone)]
pub(crate) enum RequestBody {
    None,
    Bytes(Bytes),
    Json(Bytes),
    Made(Arc<dyn Fn() -> Body + Send + Sync>),
}

impl RequestBody {
    pub(crate) fn make(&self) -> Body {
        match self {
            Self::None => Body::empty(),
            Self::Bytes(bytes) | Self::Json(bytes) => Body::from(bytes.clone()),
            Self::Made(make) => make(),
        }
    }

    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The content type, if the kind of body implies one.
    pub(crate) fn content_type(&self) -> Option<HeaderValue> {
        match self {
            Self::Json(_) => Some(HeaderValue::from_static("application/json")),
            Self::None | Self::Bytes(_) | Self::Made(_) => None,
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => write!(f, "None"),
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Json(bytes) => write!(f, "Json({})", bytes.len()),
            Self::Made(_) => write!(f, "Made"),
        }
    }
}

//! Axum's traits for the types that handlers take and return. The feature `axum` adds it.

use std::hash::Hash;

use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;

use crate::body::Body;
use crate::draft::Refused;
use crate::emitters::Emitter;
use crate::filter::InvalidPattern;
use crate::journal::NotCommitted;
use crate::publish::{PublishError, Published};
use crate::request::{InvalidLastEventId, StreamRequest};
use crate::topic::InvalidTopic;

/// Reads the request as [`StreamRequest::parse`] does.
impl<S: Sync> FromRequestParts<S> for StreamRequest {
    type Rejection = InvalidLastEventId;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, InvalidLastEventId> {
        Self::parse(&parts.headers, parts.uri.query())
    }
}

/// The response of [`Body::into_response`].
impl IntoResponse for Body {
    fn into_response(self) -> Response {
        // The inherent method, which makes a response with this body.
        Self::into_response(self).map(axum_core::body::Body::new)
    }
}

/// The response of [`Emitter::into_response`].
impl<K: Eq + Hash + Send + 'static> IntoResponse for Emitter<K> {
    fn into_response(self) -> Response {
        IntoResponse::into_response(self.into_body())
    }
}

/// Status 201 with the event's ID as text.
impl IntoResponse for Published {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, self.id().as_str().to_owned()).into_response()
    }
}

/// Status 400, 409 or 413 with a sentence for the publisher, 507 if the journal has no room, or 503 if it failed.
impl IntoResponse for PublishError {
    fn into_response(self) -> Response {
        match self {
            Self::Refused { reason, .. } => reason.into_response(),
            Self::NotCommitted(why) => {
                let status = match why {
                    NotCommitted::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
                    NotCommitted::Full => StatusCode::INSUFFICIENT_STORAGE,
                    NotCommitted::Unseen => StatusCode::CONFLICT,
                    NotCommitted::Busy | NotCommitted::Stopped | NotCommitted::Unreachable => {
                        StatusCode::SERVICE_UNAVAILABLE
                    }
                };
                (status, self.to_string()).into_response()
            }
            Self::Stream(_) => (StatusCode::CONFLICT, self.to_string()).into_response(),
            Self::Unknown => (StatusCode::SERVICE_UNAVAILABLE, self.to_string()).into_response(),
        }
    }
}

/// Status 413 for an event that is too large, otherwise 400; with a sentence for the publisher.
impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        (status, self.to_string()).into_response()
    }
}

macro_rules! bad_request {
    ($($error:ty),*) => {$(
        /// Status 400 with a sentence for the client.
        impl IntoResponse for $error {
            fn into_response(self) -> Response {
                (StatusCode::BAD_REQUEST, self.to_string()).into_response()
            }
        }
    )*};
}

bad_request!(InvalidLastEventId, InvalidPattern, InvalidTopic);

//! The settings of an event source, checked and complete.

use std::num::NonZeroU32;
use std::time::Duration;

use http::header::{ACCEPT, CACHE_CONTROL};
use http::{HeaderMap, HeaderValue, Method};
use tidings_proto::Limits;
use url::Url;

use crate::backoff::Backoff;
use crate::status::StatusPolicy;

/// The settings that the lifecycle machine decides by. Settings that only the driver needs (the
/// body, the function that makes credentials) stay with the driver.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) url: Url,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) last_event_id: String,
    pub(crate) resend: Resend,
    pub(crate) credentials: CredentialsPlan,
    pub(crate) mode: Mode,
    pub(crate) comments: Comments,
    pub(crate) encoding: EncodingPlan,
    pub(crate) status_policy: StatusPolicy,
    pub(crate) backoff: Backoff,
    pub(crate) limits: Limits,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) response_timeout: Duration,
    pub(crate) attempts_max: Option<NonZeroU32>,
    pub(crate) first_attempts_max: Option<NonZeroU32>,
}

impl Plan {
    pub(crate) fn new(url: Url, method: Method) -> Self {
        Self {
            url,
            method,
            headers: default_headers(),
            last_event_id: String::new(),
            resend: Resend::Allowed,
            credentials: CredentialsPlan::None,
            mode: Mode::Lasting,
            comments: Comments::Dropped,
            encoding: EncodingPlan::Any,
            status_policy: StatusPolicy::default(),
            backoff: Backoff::default(),
            limits: Limits::default(),
            idle_timeout: Some(IDLE_TIMEOUT),
            response_timeout: RESPONSE_TIMEOUT,
            attempts_max: None,
            first_attempts_max: None,
        }
    }
}

/// Whether a request that may have reached the server may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resend {
    Allowed,
    Forbidden,
}

/// Whether each attempt requests credentials from the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CredentialsPlan {
    None,
    PerAttempt,
}

/// The meaning of a response's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mode {
    /// An interruption: the stream is reestablished.
    Lasting,
    /// The end of the stream. With `until`, only an event with that data is the proper end.
    Once { until: Option<String> },
}

/// Whether comments are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comments {
    Dropped,
    Reported,
}

/// Which content encodings a request accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EncodingPlan {
    Any,
    Identity,
}

fn default_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers
}

/// Servers that send heartbeats do so within a minute, but many send none: five minutes find a dead
/// connection without ending a quiet one too often. TCP's keep-alive usually finds it earlier.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// A model may need time before its first token, but after a minute proxies give up too.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

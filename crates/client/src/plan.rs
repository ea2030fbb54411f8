//! What a caller decided about an event source, checked and complete.

use std::num::NonZeroU32;
use std::time::Duration;

use http::header::{ACCEPT, CACHE_CONTROL};
use http::{HeaderMap, HeaderValue, Method};
use tidings_proto::Limits;
use url::Url;

use crate::backoff::Backoff;
use crate::status::StatusPolicy;

/// The part of a caller's wishes that decisions are made from. What only the driver needs (the
/// body, the function that makes credentials) stays with the driver.
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

/// Whether each attempt asks the caller for credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CredentialsPlan {
    None,
    PerAttempt,
}

/// What the end of a response means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mode {
    /// An interruption: the stream goes on for ever.
    Lasting,
    /// The end. With `until`, only data equal to it is the proper one.
    Once { until: Option<String> },
}

/// Whether the caller wants to see comments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comments {
    Dropped,
    Reported,
}

/// Which content encodings are asked for.
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

/// A server that sends heartbeats does so within a minute, many send none: five minutes find a dead
/// connection without cutting a quiet one too often. TCP's own keep-alive usually finds it earlier.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// Models may think before their first token; longer than this, proxies give up too.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

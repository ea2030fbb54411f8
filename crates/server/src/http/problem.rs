//! Problems: errors as RFC 9457 describes them.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Response, StatusCode};
use serde_json::{Map, Value, json};
use tidings_hub::journal::NotCommitted;
use tidings_hub::{InvalidLastEventId, InvalidTopic, PublishError, Refused, StreamRefused};

/// An error answer, which says what is wrong and what to do about it.
#[derive(Clone, Debug)]
pub struct Problem(Box<Parts>);

/// Boxed, because every result that may hold a problem would need the space.
#[derive(Clone, Debug)]
struct Parts {
    kind: ProblemKind,
    detail: String,
    members: Map<String, Value>,
    allow: Option<&'static str>,
    retry_after: Option<Duration>,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $status:ident $slug:literal $title:literal,)+) => {
        /// The kind of a problem: each has a status, a name and a title of its own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum ProblemKind {
            $($(#[$doc])* $kind,)+
        }

        impl ProblemKind {
            /// The status of the answer.
            #[must_use]
            pub fn status(self) -> StatusCode {
                match self { $(Self::$kind => StatusCode::$status,)+ }
            }

            /// Its name: the last segment of the problem's `type`, and a metric's label.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $slug,)+ }
            }

            fn title(self) -> &'static str {
                match self { $(Self::$kind => $title,)+ }
            }

            /// All kinds.
            pub(crate) const ALL: &[Self] = &[$(Self::$kind,)+];
        }
    };
}

kinds! {
    /// A query parameter that the call does not have.
    UnknownParameter = BAD_REQUEST "unknown-parameter" "Unknown query parameter",
    /// A query parameter or header whose value cannot be used.
    InvalidParameter = BAD_REQUEST "invalid-parameter" "Invalid parameter",
    /// A required parameter that is missing.
    MissingParameter = BAD_REQUEST "missing-parameter" "Missing parameter",
    /// A text that is not a topic.
    InvalidTopic = BAD_REQUEST "invalid-topic" "Invalid topic",
    /// A text that is not a pattern of topics.
    InvalidPattern = BAD_REQUEST "invalid-pattern" "Invalid pattern",
    /// A path that does not spell a topic in the one clean way.
    UncleanPath = BAD_REQUEST "unclean-path" "Unclean path",
    /// An event whose ID, type or other part breaks a rule.
    InvalidEvent = BAD_REQUEST "invalid-event" "Invalid event",
    /// JSON that cannot be parsed, or lacks a required member.
    InvalidJson = BAD_REQUEST "invalid-json" "Invalid JSON",
    /// Bytes that are not UTF-8.
    NotUtf8 = BAD_REQUEST "not-utf-8" "Not UTF-8",
    /// A token where no tokens are configured.
    TokensNotConfigured = BAD_REQUEST "tokens-not-configured" "Tokens are not configured",
    /// A request without a host.
    MissingHost = BAD_REQUEST "missing-host" "Missing Host",
    /// A request for a host that is not served.
    ForeignHost = MISDIRECTED_REQUEST "foreign-host" "Foreign Host",
    /// A request of another origin's page.
    ForeignOrigin = FORBIDDEN "foreign-origin" "Foreign origin",
    /// A request that another site made a browser send.
    ForeignSite = FORBIDDEN "foreign-site" "Sent by another site",
    /// A request without the token that it needs.
    TokenMissing = UNAUTHORIZED "token-missing" "Token missing",
    /// A request with a token that is not accepted.
    TokenRefused = UNAUTHORIZED "token-refused" "Token refused",
    /// An act that the token does not allow.
    NotGranted = FORBIDDEN "not-granted" "Not granted",
    /// A path with nothing there.
    NotFound = NOT_FOUND "not-found" "Not found",
    /// A method that the path does not have.
    MethodNotAllowed = METHOD_NOT_ALLOWED "method-not-allowed" "Method not allowed",
    /// None of the accepted formats is available.
    NotAcceptable = NOT_ACCEPTABLE "not-acceptable" "Not acceptable",
    /// A place after which events are lost, of a reader that is told so by the status.
    EventsLost = GONE "events-lost" "Events lost",
    /// A stream of a topic that has ended, all of which its reader has been sent.
    StreamEnded = GONE "stream-ended" "Stream ended",
    /// An event for a topic whose stream has ended.
    Ended = CONFLICT "ended" "Ended",
    /// An event for a stream that a reader has stopped.
    Stopped = CONFLICT "stopped" "Stopped",
    /// An event for a stream that another producer owns.
    Streaming = CONFLICT "streaming" "Owned by another producer",
    /// An event of a producer whose successor has taken over.
    StaleEpoch = FORBIDDEN "stale-epoch" "Stale epoch",
    /// A request of a producer before which one is missing.
    MissingSequence = CONFLICT "missing-sequence" "Missing sequence",
    /// An event that came back to the hub by relays.
    RelayLoop = CONFLICT "relay-loop" "Relay loop",
    /// A body that did not arrive in time.
    BodyTimeout = REQUEST_TIMEOUT "body-timeout" "Body timed out",
    /// A body that ended too early.
    BodyBroken = BAD_REQUEST "body-broken" "Body ended too early",
    /// An event over the limit.
    EventTooLarge = PAYLOAD_TOO_LARGE "event-too-large" "Event too large",
    /// A body over the limit.
    BodyTooLarge = PAYLOAD_TOO_LARGE "body-too-large" "Body too large",
    /// A content type or coding that cannot be read.
    UnsupportedContent = UNSUPPORTED_MEDIA_TYPE "unsupported-content" "Unsupported content",
    /// A transfer coding that is not `chunked`.
    UnsupportedTransferCoding = NOT_IMPLEMENTED "unsupported-transfer-coding"
        "Unsupported transfer coding",
    /// A token whose key may be among those that could not be fetched.
    KeysAway = SERVICE_UNAVAILABLE "keys-away" "Keys not available",
    /// The server is shutting down.
    Draining = SERVICE_UNAVAILABLE "draining" "Draining",
    /// The limit on open streams is reached.
    TooManyStreams = SERVICE_UNAVAILABLE "too-many-streams" "Too many streams",
    /// The limit on open streams of one address is reached.
    TooManyStreamsOfAddress = TOO_MANY_REQUESTS "too-many-streams-of-address"
        "Too many streams of this address",
    /// The limit on open streams of one subject is reached.
    TooManyStreamsOfSubject = TOO_MANY_REQUESTS "too-many-streams-of-subject"
        "Too many streams of this subject",
    /// The limit on requests of one address in a second is reached.
    TooManyRequestsOfAddress = TOO_MANY_REQUESTS "too-many-requests-of-address"
        "Too many requests from this address",
    /// The limit on requests of one subject in a second is reached.
    TooManyRequestsOfSubject = TOO_MANY_REQUESTS "too-many-requests-of-subject"
        "Too many requests of this subject",
    /// The limit on events that one subject publishes in a second is reached.
    TooManyEventsOfSubject = TOO_MANY_REQUESTS "too-many-events-of-subject"
        "Too many events of this subject",
    /// The bytes that request bodies and answers may hold together are held.
    TooManyBytes = SERVICE_UNAVAILABLE "too-many-bytes" "Too many bytes held",
    /// Too much waits for the journal. Nothing was committed.
    JournalBusy = SERVICE_UNAVAILABLE "journal-busy" "Journal busy",
    /// The store of the journal cannot be reached. Nothing was committed.
    JournalUnreachable = SERVICE_UNAVAILABLE "journal-unreachable" "Journal unreachable",
    /// The journal has no room. Nothing was committed.
    JournalFull = INSUFFICIENT_STORAGE "journal-full" "Journal full",
    /// The journal has stopped. Nothing was committed.
    JournalStopped = SERVICE_UNAVAILABLE "journal-stopped" "Journal stopped",
    /// The journal failed, and it is unknown what was committed.
    JournalFailed = SERVICE_UNAVAILABLE "journal-failed" "Journal failed",
}

impl Problem {
    /// A problem, with a sentence that a person can act on.
    #[must_use]
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let members = Map::new();
        Self(Box::new(Parts { kind, detail, members, allow: None, retry_after: None }))
    }

    /// A path with nothing there.
    pub(crate) fn not_found() -> Self {
        Self::new(
            ProblemKind::NotFound,
            "nothing is at this path; topics are at /topics/{topic}, several of them at /events",
        )
    }

    /// A method that the path does not have; `methods` is as the header `Allow` lists them.
    #[must_use]
    pub fn method_not_allowed(method: &Method, methods: &'static str) -> Self {
        let detail = format!("this path does not support {method}; it supports {methods}");
        Self::new(ProblemKind::MethodNotAllowed, detail).with_allow(methods)
    }

    /// A query parameter whose value cannot be used.
    #[must_use]
    pub fn invalid_parameter(name: &str, why: &str) -> Self {
        let detail = format!("the query parameter '{name}' cannot be used: {why}");
        Self::new(ProblemKind::InvalidParameter, detail).with("parameter", name)
    }

    /// A body or an answer for which the budget has no room.
    pub(crate) fn too_many_bytes() -> Self {
        /// Spread, so that those who are refused do not all come back at once.
        const SPREAD_MILLIS: RangeInclusive<u64> = 1000..=5000;
        let detail = "other requests hold all the memory there is for bodies and answers: try \
                      again in a moment";
        let after = Duration::from_millis(fastrand::u64(SPREAD_MILLIS));
        Self::new(ProblemKind::TooManyBytes, detail).with_retry_after(after)
    }

    /// A failure of the journal after which nobody knows what was committed. It may be over in a moment.
    pub(crate) fn journal_failed(detail: &str) -> Self {
        /// The election of a leader, or the restart of a server, takes seconds.
        const AFTER: Duration = Duration::from_secs(2);
        Self::new(ProblemKind::JournalFailed, detail).with_retry_after(AFTER)
    }

    /// An event that breaks a rule.
    pub(crate) fn invalid_event(why: &str) -> Self {
        Self::new(ProblemKind::InvalidEvent, why)
    }

    /// Adds a member that a program can read.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.members.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a member unless it exists: the code nearer to the problem knew better.
    pub(crate) fn or_with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.members.entry(name).or_insert_with(|| value.into());
        self
    }

    /// Sets the header `Allow`.
    pub(crate) fn with_allow(mut self, methods: &'static str) -> Self {
        self.0.allow = Some(methods);
        self
    }

    /// Sets the header `Retry-After`.
    pub(crate) fn with_retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// The time after which to retry; zero if none was set.
    pub(crate) fn retry_after(&self) -> Duration {
        self.0.retry_after.unwrap_or_default()
    }

    /// The kind of the problem.
    #[must_use]
    pub fn kind(&self) -> ProblemKind {
        self.0.kind
    }

    /// The sentence.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The members as JSON, without those that describe the whole answer.
    pub(crate) fn to_members(&self) -> Value {
        let mut members = self.0.members.clone();
        members.insert("type".into(), self.type_reference().into());
        members.insert("detail".into(), self.0.detail.clone().into());
        members.into()
    }

    /// A reference that names the kind; relative, because the server does not know its own name.
    fn type_reference(&self) -> String {
        format!("/problems/{}", self.0.kind.name())
    }

    pub(crate) fn into_response(self) -> Response<Bytes> {
        let status = self.0.kind.status();
        let mut body = json!({
            "type": self.type_reference(),
            "title": self.0.kind.title(),
            "status": status.as_u16(),
            "detail": self.0.detail,
        });
        if let Value::Object(body) = &mut body {
            body.extend(self.0.members);
        }
        let mut response = Response::new(Bytes::from(format!("{body}\n")));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            // RFC 6750, section 3: an error code only if there was a token.
            headers.insert(
                WWW_AUTHENTICATE,
                match self.0.kind {
                    ProblemKind::TokenRefused => {
                        HeaderValue::from_static("Bearer error=\"invalid_token\"")
                    }
                    _ => HeaderValue::from_static("Bearer"),
                },
            );
        }
        if let Some(methods) = self.0.allow {
            headers.insert(ALLOW, HeaderValue::from_static(methods));
        }
        if let Some(after) = self.0.retry_after {
            // Whole seconds, and not too early.
            let seconds = u64::try_from(after.as_millis().div_ceil(1000)).unwrap_or(u64::MAX);
            headers.insert(RETRY_AFTER, seconds.into());
            // Close the connection: the limit is on connections.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Refused { reason, .. } => Self::from(&reason),
            PublishError::NotCommitted(why) => Self::from(why),
            PublishError::Stream(why) => Self::from(why),
            _ => Self::journal_failed(
                "the journal failed, so that the event may have been published or not; repeat it \
                 with the same Idempotency-Key",
            ),
        }
    }
}

impl From<StreamRefused> for Problem {
    fn from(why: StreamRefused) -> Self {
        let problem = |kind| Self::new(kind, format!("nothing was published: {why}"));
        match why {
            StreamRefused::Ended => problem(ProblemKind::Ended),
            StreamRefused::Stopped => problem(ProblemKind::Stopped),
            StreamRefused::StaleEpoch { epoch } => {
                problem(ProblemKind::StaleEpoch).with("epoch", epoch)
            }
            StreamRefused::MissingSequence { expected } => {
                problem(ProblemKind::MissingSequence).with("expected", expected)
            }
            _ => problem(ProblemKind::Streaming),
        }
    }
}

impl From<NotCommitted> for Problem {
    fn from(why: NotCommitted) -> Self {
        /// A queue is worked off in a moment.
        const BUSY: Duration = Duration::from_secs(1);
        /// The election of a leader takes seconds.
        const UNREACHABLE: Duration = Duration::from_secs(2);
        /// Room is made by people, or by the retention of other programs.
        const FULL: Duration = Duration::from_secs(30);
        let detail = format!("nothing was published: {why}");
        match why {
            NotCommitted::Full => {
                Self::new(ProblemKind::JournalFull, detail).with_retry_after(FULL)
            }
            NotCommitted::TooLarge => Self::new(ProblemKind::EventTooLarge, detail),
            NotCommitted::Unreachable => {
                Self::new(ProblemKind::JournalUnreachable, detail).with_retry_after(UNREACHABLE)
            }
            NotCommitted::Busy => {
                Self::new(ProblemKind::JournalBusy, detail).with_retry_after(BUSY)
            }
            _ => Self::new(ProblemKind::JournalStopped, detail).with_retry_after(FULL),
        }
    }
}

impl From<&Refused> for Problem {
    fn from(reason: &Refused) -> Self {
        match reason {
            Refused::TooLarge { bytes_max, .. } => {
                Self::new(ProblemKind::EventTooLarge, reason.to_string())
                    .with("bytes_max", *bytes_max)
            }
            Refused::Topic(invalid) => {
                let detail = format!("the key cannot be used: {invalid}");
                Self::new(ProblemKind::InvalidTopic, detail)
            }
            Refused::RelayLoop => Self::new(ProblemKind::RelayLoop, reason.to_string()),
            _ => Self::invalid_event(&reason.to_string()),
        }
    }
}

impl From<InvalidTopic> for Problem {
    fn from(error: InvalidTopic) -> Self {
        Self::new(ProblemKind::InvalidTopic, error.to_string())
    }
}

impl From<Refused> for Problem {
    fn from(reason: Refused) -> Self {
        Self::from(&reason)
    }
}

impl From<InvalidLastEventId> for Problem {
    fn from(error: InvalidLastEventId) -> Self {
        Self::new(ProblemKind::InvalidParameter, error.to_string())
            .with("parameter", error.parameter())
    }
}

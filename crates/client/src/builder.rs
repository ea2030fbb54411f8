//! A caller's wishes, on their way to an event source.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method};
use serde::Serialize;
use tidings_proto::Limits;
use url::Url;

use crate::backoff::Backoff;
use crate::credentials::{Authorize, Credentials, Occasion};
use crate::headers::{is_managed, secret};
use crate::lifecycle::Lifecycle;
use crate::plan::{Comments, CredentialsPlan, EncodingPlan, Mode, Plan, Resend};
use crate::source::{EventSource, Wiring};
use crate::status::StatusPolicy;
use crate::timer::{Timer, TokioTimer};
use crate::transport::{Body, HyperTransport, Transport};

/// Describes an event source; [`open`](Self::open) makes it.
///
/// Made by [`EventSource::get`], [`EventSource::post`] and [`EventSource::request`]. A mistake in
/// an argument (a URL, a header) is remembered and reported by `open`, the first one.
#[derive(Debug)]
#[must_use = "nothing happens before `open`"]
pub struct Builder {
    plan: Plan,
    body: RequestBody,
    authorize: Option<Authorize>,
    transport: Option<Arc<dyn Transport>>,
    timer: Arc<dyn Timer>,
    seed: Option<u64>,
    mistake: Option<BuildError>,
}

/// What a request carries, as often as it is sent.
#[derive(Clone)]
pub(crate) enum RequestBody {
    None,
    Bytes(Bytes),
    Made(Arc<dyn Fn() -> Body + Send + Sync>),
}

impl RequestBody {
    pub(crate) fn make(&self) -> Body {
        match self {
            Self::None => Body::empty(),
            Self::Bytes(bytes) => Body::from(bytes.clone()),
            Self::Made(make) => make(),
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => write!(f, "None"),
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Made(_) => write!(f, "Made"),
        }
    }
}

impl Builder {
    pub(crate) fn new(method: Method, url: &str) -> Self {
        // Stands in where the URL is a mistake; `open` reports that before anybody uses it.
        let nowhere = || Url::parse("http://localhost/").expect("a legal URL");
        let (mut url, mistake) = match parse_url(url) {
            Ok(url) => (url, None),
            Err(mistake) => (nowhere(), Some(mistake)),
        };
        let user = take_user(&mut url);
        let mut plan = Plan::new(url, method);
        plan.headers.extend(user.map(|value| (AUTHORIZATION, value)));
        Self {
            plan,
            body: RequestBody::None,
            authorize: None,
            transport: None,
            timer: Arc::new(TokioTimer),
            seed: None,
            mistake,
        }
    }

    /// Adds a request header. One that this crate sets by itself, `Accept` and `Cache-Control`,
    /// is replaced; any other is added to those of the same name.
    ///
    /// `Authorization`, `Cookie`, `Proxy-Authorization`, `X-Api-Key`, `Api-Key` and
    /// `X-Auth-Token` are not sent to another origin that a redirect leads to. For other secrets
    /// see [`secret_header`](Self::secret_header).
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        match checked_header(name, value) {
            Ok((name, value)) => self.put_header(name, value),
            Err(mistake) => self.remember(mistake),
        }
        self
    }

    /// Adds a request header that must not reach another origin than the URL's own, nor `Debug`
    /// output.
    pub fn secret_header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        match checked_header(name, value) {
            Ok((name, value)) => self.put_header(name, secret(value)),
            Err(mistake) => self.remember(mistake),
        }
        self
    }

    /// Sends `Authorization: Bearer …` with a token that does not change. For one that does, see
    /// [`authorize`](Self::authorize).
    pub fn bearer(self, token: &str) -> Self {
        self.secret_header(AUTHORIZATION, format!("Bearer {token}"))
    }

    /// Asks `make` for credentials before every attempt, and once more if the server answers 401
    /// to them.
    ///
    /// If `make` fails, the attempt has failed, and is repeated like any other. Credentials do not
    /// follow a redirect to another origin.
    ///
    /// ```
    /// use tidings_client::{Credentials, EventSource, Occasion};
    ///
    /// # async fn token(anew: bool) -> Result<String, std::io::Error> { Ok(String::new()) }
    /// let builder = EventSource::get("https://example.org/events").authorize(|why| async move {
    ///     let token = token(why == Occasion::Unauthorized).await?;
    ///     Ok::<_, Box<dyn std::error::Error + Send + Sync>>(Credentials::bearer(&token)?)
    /// });
    /// ```
    pub fn authorize<F, Fut, E>(mut self, make: F) -> Self
    where
        F: Fn(Occasion) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Credentials, E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.authorize = Some(Authorize::new(make));
        self.plan.credentials = CredentialsPlan::PerAttempt;
        self
    }

    /// Sends `body` with the request.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = RequestBody::Bytes(body.into());
        self.plan.resend = Resend::Forbidden;
        self
    }

    /// Sends a body that is made anew each time the request is sent.
    pub fn body_with(mut self, make: impl Fn() -> Body + Send + Sync + 'static) -> Self {
        self.body = RequestBody::Made(Arc::new(make));
        self.plan.resend = Resend::Forbidden;
        self
    }

    /// Sends `value` as JSON, with the content type that says so.
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(bytes) => {
                let json = HeaderValue::from_static("application/json");
                self.plan.headers.insert(CONTENT_TYPE, json);
                self.body(bytes)
            }
            Err(error) => {
                self.remember(BuildError::Json(error));
                self
            }
        }
    }

    /// Allows a request that is no GET, or that has a body, to be sent again after it may have
    /// reached the server. Without this, a stream that breaks is closed with
    /// [`Closed::NotResent`](crate::Closed::NotResent).
    ///
    /// Call it after [`body`](Self::body).
    pub fn resend(mut self) -> Self {
        self.plan.resend = Resend::Allowed;
        self
    }

    /// Starts after the event with this ID, as kept from an earlier run.
    pub fn last_event_id(mut self, id: impl Into<String>) -> Self {
        let id = id.into();
        if id.contains(['\r', '\n', '\0']) {
            self.remember(BuildError::LastEventId(id));
        } else {
            self.plan.last_event_id = id;
        }
        self
    }

    /// Sets the reconnection time that holds until the server names another. 3 s by default.
    pub fn reconnection_time(mut self, reconnection_time: Duration) -> Self {
        self.plan.backoff.reconnection_time = reconnection_time;
        self
    }

    /// Sets the whole rule for the wait between attempts, the reconnection time included.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.plan.backoff = backoff;
        self
    }

    /// Sets which statuses are worth another attempt.
    pub fn status_policy(mut self, policy: StatusPolicy) -> Self {
        self.plan.status_policy = policy;
        self
    }

    /// Sets the silence after which a stream counts as dead and is reestablished: any byte breaks
    /// it, those of a comment too. Five minutes by default; `None` waits for ever.
    ///
    /// A server that sends a comment every 15 s, as the standard advises and a Tidings hub does,
    /// is best watched with 45 s.
    pub fn idle_timeout(mut self, idle_timeout: impl Into<Option<Duration>>) -> Self {
        self.plan.idle_timeout = idle_timeout.into();
        self
    }

    /// Sets how long one attempt may take until the response's head, credentials, redirects and
    /// connecting included. 60 s by default.
    pub fn response_timeout(mut self, response_timeout: Duration) -> Self {
        self.plan.response_timeout = response_timeout;
        self
    }

    /// Gives up after so many failed attempts in a row. Without this it never gives up.
    pub fn attempts_max(mut self, attempts_max: NonZeroU32) -> Self {
        self.plan.attempts_max = Some(attempts_max);
        self
    }

    /// Gives up after so many failed attempts if the stream was never open: a server that cannot
    /// be reached at first is more often a mistake than an outage. Without this,
    /// [`attempts_max`](Self::attempts_max) holds from the start.
    pub fn first_attempts_max(mut self, attempts_max: NonZeroU32) -> Self {
        self.plan.first_attempts_max = Some(attempts_max);
        self
    }

    /// Sets how much the stream may make the decoder hold. 16 MiB an event by default.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.plan.limits = limits;
        self
    }

    /// Reports comments too, as [`Signal::Comment`](crate::Signal::Comment).
    pub fn comments(mut self) -> Self {
        self.plan.comments = Comments::Reported;
        self
    }

    /// Asks for no content encoding. By default gzip, brotli and zstd are understood; a server
    /// that compresses without flushing delays its events, and this is the way around it.
    pub fn identity(mut self) -> Self {
        self.plan.encoding = EncodingPlan::Identity;
        self
    }

    /// Makes the end of the response the end of the stream: one answer, as model APIs give, and
    /// not a subscription.
    ///
    /// Attempts that fail before the stream is open are repeated as always, those that may have
    /// reached the server only with [`resend`](Self::resend). Once it is open it is never
    /// reestablished.
    pub fn once(mut self) -> Self {
        self.plan.mode = Mode::Once { until: None };
        self
    }

    /// Like [`once`](Self::once), and an event with exactly this data is the proper end. It is
    /// not reported; an end without it is [`Closed::Incomplete`](crate::Closed::Incomplete).
    pub fn until(mut self, data: impl Into<String>) -> Self {
        self.plan.mode = Mode::Once { until: Some(data.into()) };
        self
    }

    /// Sends requests by another transport than [`HyperTransport`] with its defaults.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// Goes by another clock than tokio's.
    pub fn timer(mut self, timer: impl Timer) -> Self {
        self.timer = Arc::new(timer);
        self
    }

    /// Makes the jitter repeatable. By default every source draws its own.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Makes the event source. It connects when it is first polled.
    ///
    /// # Errors
    ///
    /// The first mistake in what the builder was given.
    pub fn open(self) -> Result<EventSource, BuildError> {
        if let Some(mistake) = self.mistake {
            return Err(mistake);
        }
        let seed = self.seed.unwrap_or_else(|| fastrand::u64(..));
        Ok(EventSource::new(
            Lifecycle::new(self.plan, seed),
            Wiring {
                transport: self.transport.unwrap_or_else(|| Arc::new(HyperTransport::new())),
                timer: self.timer,
                body: self.body,
                authorize: self.authorize,
            },
        ))
    }

    fn remember(&mut self, mistake: BuildError) {
        self.mistake.get_or_insert(mistake);
    }

    fn put_header(&mut self, name: HeaderName, value: HeaderValue) {
        match name.as_str() {
            "accept" | "cache-control" | "authorization" | "content-type" | "host" => {
                self.plan.headers.insert(name, value);
            }
            _ => {
                self.plan.headers.append(name, value);
            }
        }
    }
}

/// Takes a user name and password out of a URL, where they would reach logs, and makes the Basic
/// `Authorization` of them that they mean.
pub(crate) fn take_user(url: &mut Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
    let mut pair = decoded(url.username());
    pair.push(b':');
    pair.extend(decoded(url.password().unwrap_or_default()));
    let basic = format!("Basic {}", BASE64_STANDARD.encode(pair));
    // Neither can fail: the URL has a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Some(secret(HeaderValue::try_from(basic).expect("base64 is legal in a header")))
}

/// Checks a header that a caller sets.
pub(crate) fn checked_header<N, V>(
    name: N,
    value: V,
) -> Result<(HeaderName, HeaderValue), BuildError>
where
    N: TryInto<HeaderName>,
    V: TryInto<HeaderValue>,
{
    let name = name.try_into().map_err(|_| BuildError::HeaderName)?;
    if is_managed(&name) {
        return Err(BuildError::Managed(name));
    }
    match value.try_into() {
        Ok(value) => Ok((name, value)),
        Err(_) => Err(BuildError::HeaderValue(name)),
    }
}

pub(crate) fn parse_url(url: &str) -> Result<Url, BuildError> {
    let refused = || BuildError::Url(url.to_owned());
    let mut parsed = Url::parse(url).map_err(|_| refused())?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(refused());
    }
    // A fragment is never sent.
    parsed.set_fragment(None);
    Ok(parsed)
}

/// A mistake in what a builder was given.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// This is not an absolute `http` or `https` URL.
    Url(String),
    /// A header's name is not one.
    HeaderName,
    /// The value of this header has characters that no header can carry.
    HeaderValue(HeaderName),
    /// This header is set by the client or the transport alone. For `Last-Event-ID` see
    /// [`Builder::last_event_id`], for `Accept-Encoding` [`Builder::identity`].
    Managed(HeaderName),
    /// This last event ID has a CR, LF or NUL, which no event ID can have.
    LastEventId(String),
    /// The body could not be written as JSON.
    Json(serde_json::Error),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => write!(f, "{url:?} is not an absolute http or https URL"),
            Self::HeaderName => write!(f, "a header's name is not legal"),
            Self::HeaderValue(name) => write!(f, "the value of the header {name} is not legal"),
            Self::Managed(name) => write!(f, "the header {name} is set by the client itself"),
            Self::LastEventId(id) => write!(f, "{id:?} cannot be an event ID"),
            Self::Json(_) => write!(f, "the body could not be written as JSON"),
        }
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Json(error) => Some(error),
            _ => None,
        }
    }
}

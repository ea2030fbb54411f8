//! The description of an event source, up to the moment it is opened.

use std::error::Error;
use std::future::Future;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method};
use serde::Serialize;
use tidings_proto::Limits;

use crate::backoff::Backoff;
use crate::checks::{
    BuildError, checked_header, put_header, take_basic_credentials, url_or_mistake,
};
use crate::credentials::{Authorize, Credentials, Occasion};
use crate::headers::secret;
use crate::lifecycle::Lifecycle;
use crate::plan::{Comments, CredentialsPlan, EncodingPlan, Mode, Plan, Resend};
use crate::request_body::RequestBody;
use crate::source::EventSource;
use crate::status::StatusPolicy;
use crate::timer::Timer;
use crate::transport::{Body, Transport};
use crate::wiring::Wiring;

/// Describes an event source; [`open`](Self::open) makes it.
///
/// Made by [`EventSource::get`], [`EventSource::post`] and [`EventSource::request`], or by the
/// same methods of a [`Client`](crate::Client). The order of calls does not matter; of two calls
/// that set the same thing, the last one counts. A mistake in an argument (a URL, a header) is
/// remembered, and `open` reports the first one.
#[derive(Debug)]
#[must_use = "nothing happens before `open`"]
pub struct Builder {
    wiring: Wiring,
    plan: Plan,
    body: RequestBody,
    resend: Option<Resend>,
    reconnection_time: Option<Duration>,
    last_event_id: Option<String>,
    predecessor: Option<Predecessor>,
    authorize: Option<Authorize>,
    seed: Option<u64>,
    mistake: Option<BuildError>,
}

/// The state that an event source takes over from the one before it.
#[derive(Debug)]
struct Predecessor {
    last_event_id: String,
    reconnection_time: Duration,
}

impl EventSource {
    /// Describes a source that requests `url` with GET.
    pub fn get(url: &str) -> Builder {
        Self::request(Method::GET, url)
    }

    /// Describes a source that requests `url` with POST, as model APIs expect.
    pub fn post(url: &str) -> Builder {
        Self::request(Method::POST, url)
    }

    /// Describes a source that requests `url` with any method.
    pub fn request(method: Method, url: &str) -> Builder {
        Builder::new(Wiring::for_one_source(), method, url)
    }
}

impl Builder {
    pub(crate) fn new(wiring: Wiring, method: Method, url: &str) -> Self {
        let (mut url, mistake) = url_or_mistake(url);
        let basic = take_basic_credentials(&mut url);
        let mut plan = Plan::new(url, method);
        plan.headers.extend(basic.map(|value| (AUTHORIZATION, value)));
        Self {
            wiring,
            plan,
            body: RequestBody::None,
            resend: None,
            reconnection_time: None,
            last_event_id: None,
            predecessor: None,
            authorize: None,
            seed: None,
            mistake,
        }
    }

    /// Adds a request header. `Accept`, `Cache-Control`, `Authorization`, `Content-Type` and
    /// `Host` are replaced; any other header is added to those of the same name.
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
            Ok((name, value)) => put_header(&mut self.plan.headers, name, value),
            Err(mistake) => self.remember(mistake),
        }
        self
    }

    /// Adds a request header that reaches neither another origin than the URL's own nor `Debug`
    /// output.
    pub fn secret_header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        match checked_header(name, value) {
            Ok((name, value)) => put_header(&mut self.plan.headers, name, secret(value)),
            Err(mistake) => self.remember(mistake),
        }
        self
    }

    /// Sends `Authorization: Bearer …` with a token that does not change. For a token that does,
    /// see [`authorize`](Self::authorize).
    pub fn bearer(self, token: &str) -> Self {
        self.secret_header(AUTHORIZATION, format!("Bearer {token}"))
    }

    /// Calls `make` for credentials before every attempt, and once more if the server answers
    /// them with 401.
    ///
    /// If `make` fails, the attempt has failed and is repeated like any other. Credentials do not
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
        self
    }

    /// Sends a body that `make` makes anew for each request.
    pub fn body_with(mut self, make: impl Fn() -> Body + Send + Sync + 'static) -> Self {
        self.body = RequestBody::Made(Arc::new(make));
        self
    }

    /// Sends `value` as JSON, with the content type `application/json` unless
    /// [`header`](Self::header) names another.
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(bytes) => self.body = RequestBody::Json(bytes.into()),
            Err(error) => self.remember(BuildError::Json(error)),
        }
        self
    }

    /// Allows the request to be sent again after it may have reached the server, although it has
    /// a body or another method than GET. Without this, a stream that breaks is closed with
    /// [`Closed::NotResent`](crate::Closed::NotResent).
    pub fn resend(mut self) -> Self {
        self.resend = Some(Resend::Allowed);
        self
    }

    /// Starts after the event with this ID, as kept from an earlier run.
    pub fn last_event_id(mut self, id: impl Into<String>) -> Self {
        let id = id.into();
        if id.contains(['\r', '\n', '\0']) {
            self.remember(BuildError::LastEventId(id));
        } else {
            self.last_event_id = Some(id);
        }
        self
    }

    /// Sets the reconnection time that holds until the server sends another. 3 s by default.
    pub fn reconnection_time(mut self, reconnection_time: Duration) -> Self {
        self.reconnection_time = Some(reconnection_time);
        self
    }

    /// Continues where another source stopped: takes over its last event ID and its reconnection
    /// time, and makes the first attempt once that time has passed since [`open`](Self::open).
    ///
    /// This is for a stream that begins as the answer to a POST and goes on with a GET, as the
    /// Model Context Protocol has it:
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use tidings_client::Client;
    ///
    /// let client = Client::new();
    /// let mut call = client.post("http://localhost:3000/mcp").body("{}").once().open()?;
    /// while let Some(event) = call.next_event().await? {
    ///     println!("{}", event.data());
    /// }
    /// let mut rest = client.get("http://localhost:3000/mcp").continue_from(&call).open()?;
    /// while let Some(event) = rest.next_event().await? {
    ///     println!("{}", event.data());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// [`last_event_id`](Self::last_event_id) and [`reconnection_time`](Self::reconnection_time)
    /// take precedence over what the other source had.
    pub fn continue_from(mut self, source: &EventSource) -> Self {
        self.predecessor = Some(Predecessor {
            last_event_id: source.last_event_id().to_owned(),
            reconnection_time: source.reconnection_time(),
        });
        self
    }

    /// Sets the rule for the wait between attempts. Its reconnection time holds unless
    /// [`reconnection_time`](Self::reconnection_time) sets another.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.plan.backoff = backoff;
        self
    }

    /// Sets which statuses are worth another attempt.
    pub fn status_policy(mut self, policy: StatusPolicy) -> Self {
        self.plan.status_policy = policy;
        self
    }

    /// Sets the idle timeout: a stream that delivers no byte for this long, not even a comment,
    /// counts as dead and is reestablished. Five minutes by default; `None` waits for ever.
    ///
    /// For a server that sends a comment every 15 s, as the standard advises and a Tidings hub
    /// does, 45 s is a good value.
    pub fn idle_timeout(mut self, idle_timeout: impl Into<Option<Duration>>) -> Self {
        self.plan.idle_timeout = idle_timeout.into();
        self
    }

    /// Sets how long one attempt may take until the head of the response arrives, including
    /// credentials, redirects and connecting. 60 s by default.
    pub fn response_timeout(mut self, response_timeout: Duration) -> Self {
        self.plan.response_timeout = response_timeout;
        self
    }

    /// Stops after this many failed attempts in a row. Without this call the source never gives
    /// up.
    pub fn attempts_max(mut self, attempts_max: NonZeroU32) -> Self {
        self.plan.attempts_max = Some(attempts_max);
        self
    }

    /// Stops after this many failed attempts if the stream was never open: a server that is
    /// unreachable at first is more often a mistake than an outage. Without this call,
    /// [`attempts_max`](Self::attempts_max) holds from the start.
    pub fn first_attempts_max(mut self, attempts_max: NonZeroU32) -> Self {
        self.plan.first_attempts_max = Some(attempts_max);
        self
    }

    /// Limits how much the decoder may hold. 16 MiB an event by default.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.plan.limits = limits;
        self
    }

    /// Reports comments too, as [`Signal::Comment`](crate::Signal::Comment).
    pub fn comments(mut self) -> Self {
        self.plan.comments = Comments::Reported;
        self
    }

    /// Requests no content encoding. By default the source accepts gzip, brotli and zstd; a server
    /// that compresses without flushing delays its events, and this call avoids that.
    pub fn identity(mut self) -> Self {
        self.plan.encoding = EncodingPlan::Identity;
        self
    }

    /// Makes the end of the response the end of the stream: a single answer, as model APIs give,
    /// and not a subscription.
    ///
    /// Attempts that fail before the stream is open are repeated as always; attempts that may have
    /// reached the server are repeated only with [`resend`](Self::resend). Once open, the stream
    /// is never reestablished.
    pub fn once(mut self) -> Self {
        if self.plan.mode == Mode::Lasting {
            self.plan.mode = Mode::Once { until: None };
        }
        self
    }

    /// Like [`once`](Self::once), and an event with exactly this data is the proper end. That
    /// event is not reported; an end without it is
    /// [`Closed::Incomplete`](crate::Closed::Incomplete).
    pub fn until(mut self, data: impl Into<String>) -> Self {
        self.plan.mode = Mode::Once { until: Some(data.into()) };
        self
    }

    /// Sends requests through `transport` instead of the client's.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.wiring.transport = Arc::new(transport);
        self
    }

    /// Uses `timer` as the clock instead of the client's.
    pub fn timer(mut self, timer: impl Timer) -> Self {
        self.wiring.timer = Arc::new(timer);
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
    /// The first mistake in the builder's arguments.
    pub fn open(mut self) -> Result<EventSource, BuildError> {
        if let Some(mistake) = self.mistake.take() {
            return Err(mistake);
        }
        let seed = self.seed.unwrap_or_else(|| fastrand::u64(..));
        let continues = self.predecessor.is_some();
        self.complete_plan();
        let mut lifecycle = Lifecycle::new(self.plan, seed);
        if continues {
            lifecycle.wait_first(self.wiring.timer.now());
        }
        Ok(EventSource::new(lifecycle, self.wiring, self.body, self.authorize))
    }

    /// Settles what several calls have a say in, once all of them have been made.
    fn complete_plan(&mut self) {
        let plan = &mut self.plan;
        let (last_event_id, reconnection_time) = match self.predecessor.take() {
            Some(it) => (Some(it.last_event_id), Some(it.reconnection_time)),
            None => (None, None),
        };
        if let Some(id) = self.last_event_id.take().or(last_event_id) {
            plan.last_event_id = id;
        }
        if let Some(time) = self.reconnection_time.or(reconnection_time) {
            plan.backoff.reconnection_time = time;
        }
        let repeatable = plan.method == Method::GET && self.body.is_none();
        let default = if repeatable { Resend::Allowed } else { Resend::Forbidden };
        plan.resend = self.resend.unwrap_or(default);
        if let Some(content_type) = self.body.content_type() {
            plan.headers.entry(CONTENT_TYPE).or_insert(content_type);
        }
    }

    fn remember(&mut self, mistake: BuildError) {
        self.mistake.get_or_insert(mistake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Call = fn(Builder) -> Builder;

    /// Every order of `calls`.
    fn orders(calls: &[Call]) -> Vec<Vec<Call>> {
        let [first, rest @ ..] = calls else { return vec![Vec::new()] };
        let mut all = Vec::new();
        for order in orders(rest) {
            for place in 0..=order.len() {
                let mut order = order.clone();
                order.insert(place, *first);
                all.push(order);
            }
        }
        all
    }

    /// Checks that all orders of `calls` come to the same plan and body, and returns the plan.
    #[track_caller]
    fn check(calls: &[Call]) -> Plan {
        let settle = |order: Vec<Call>| {
            let start = EventSource::get("http://localhost/");
            let mut builder = order.into_iter().fold(start, |builder, call| call(builder));
            builder.complete_plan();
            (format!("{:?} {:?}", builder.plan, builder.body), builder.plan)
        };
        let mut settled: Vec<_> = orders(calls).into_iter().map(settle).collect();
        let (expected, plan) = settled.pop().expect("at least one order");
        for (other, _) in settled {
            assert_eq!(other, expected);
        }
        plan
    }

    #[test]
    fn the_order_of_calls_does_not_matter() {
        let plan = check(&[
            |builder| builder.reconnection_time(Duration::from_secs(9)),
            |builder| builder.backoff(Backoff::default()),
            |builder| {
                let mut other = EventSource::get("http://localhost/").last_event_id("7");
                other = other.reconnection_time(Duration::from_secs(5));
                builder.continue_from(&other.open().expect("a good description"))
            },
        ]);
        assert_eq!(plan.backoff.reconnection_time, Duration::from_secs(9));
        assert_eq!(plan.last_event_id, "7");

        let plan = check(&[
            |builder| builder.json(&7),
            |builder| builder.header("content-type", "application/vnd.example+json"),
            |builder| builder.resend(),
            |builder| builder.until("[DONE]"),
            |builder| builder.once(),
        ]);
        assert_eq!(plan.headers[CONTENT_TYPE], "application/vnd.example+json");
        assert_eq!(plan.resend, Resend::Allowed);
        assert_eq!(plan.mode, Mode::Once { until: Some("[DONE]".to_owned()) });
    }

    #[test]
    fn a_body_forbids_sending_again_and_json_names_its_type() {
        let plan = check(&[|builder| builder.json(&7), |builder| builder.header("x-a", "1")]);
        assert_eq!(plan.headers[CONTENT_TYPE], "application/json");
        assert_eq!(plan.resend, Resend::Forbidden);
        assert_eq!(check(&[|builder| builder.comments()]).resend, Resend::Allowed);
    }
}

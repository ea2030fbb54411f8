//! Sends one publishing request, and repeats it until the hub has answered.

use std::fmt;
use std::future::poll_fn;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body::Body as _;
use url::Url;

use crate::backoff::{Backoff, Pacing};
use crate::checks::take_basic_credentials;
use crate::credentials::{Authorize, Occasion};
use crate::lifecycle::response::REFUSED_BODY_TIME_MAX;
use crate::retry_after::retry_after;
use crate::signal::{Cause, Retrying};
use crate::status::{StatusPolicy, Verdict};
use crate::timer::judge_at;
use crate::transport::{Body, Stage, TransportError};
use crate::wiring::Wiring;

use super::error::{PublishError, refused};
use super::key::IdempotencyKey;

/// A hub remembers keys for ten minutes. Half of that leaves time for an attempt under way, and for
/// a caller that tries once more with the same key.
pub(super) const GIVE_UP_AFTER: Duration = Duration::from_secs(300);

/// A commit takes milliseconds; a hub that needs longer than this will not answer.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// With waits that double to ten seconds, ten attempts bridge a restart of the hub.
const ATTEMPTS_MAX: NonZeroU32 = NonZeroU32::new(10).expect("not zero");

/// The maximum size of an answer that is read: a thousand IDs of 128 bytes, with room to spare.
const ANSWER_BYTES_MAX: usize = 1 << 20;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A caller's function that is told of each attempt that failed and will be repeated.
pub(super) struct OnRetry(pub(super) Box<dyn Fn(&Retrying) + Send + Sync>);

impl fmt::Debug for OnRetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnRetry").finish_non_exhaustive()
    }
}

/// The hub as a publisher reaches it: everything that its requests have in common.
#[derive(Debug)]
pub(super) struct Endpoint {
    hub: Url,
    pub(super) headers: HeaderMap,
    pub(super) authorize: Option<Authorize>,
    pub(super) wiring: Wiring,
    pub(super) backoff: Backoff,
    pub(super) attempts_max: NonZeroU32,
    pub(super) attempt_timeout: Duration,
    pub(super) give_up_after: Duration,
    pub(super) seed: Option<u64>,
    pub(super) on_retry: Option<OnRetry>,
}

/// The parts of a request that differ from one request to the next.
#[derive(Debug)]
pub(super) struct Post {
    /// Relative to the hub's URL.
    pub(super) path: String,
    pub(super) content_type: &'static str,
    pub(super) key: IdempotencyKey,
    /// The headers of this request alone.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

/// The hub's answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

/// The outcome of one attempt.
enum Outcome {
    Settled(Answer),
    Retry { cause: Cause, retry_after: Option<Duration> },
}

impl Endpoint {
    pub(super) fn new(mut hub: Url, wiring: Wiring) -> Self {
        // Without the slash, joining a path would replace the last segment of the hub's URL.
        if !hub.path().ends_with('/') {
            let path = format!("{}/", hub.path());
            hub.set_path(&path);
        }
        let backoff = Backoff {
            reconnection_time: Duration::from_millis(100),
            excess_first: Duration::from_millis(500),
            excess_max: Duration::from_secs(10),
            ..Backoff::default()
        };
        let mut headers = HeaderMap::new();
        headers.extend(take_basic_credentials(&mut hub).map(|value| (AUTHORIZATION, value)));
        Self {
            hub,
            headers,
            authorize: None,
            wiring,
            backoff,
            attempts_max: ATTEMPTS_MAX,
            attempt_timeout: ATTEMPT_TIMEOUT,
            give_up_after: GIVE_UP_AFTER,
            seed: None,
            on_retry: None,
        }
    }

    /// Sends `post` until the hub has answered, or until it may not be sent again.
    pub(super) async fn settle(&self, post: &Post, body: Bytes) -> Result<Answer, PublishError> {
        let seed = self.seed.unwrap_or_else(|| fastrand::u64(..));
        let mut pacing = Pacing::new(self.backoff.clone(), seed);
        let started = self.wiring.timer.now();
        let mut may_have_arrived = false;
        loop {
            let (cause, retry_after) = match self.attempt(post, &body).await {
                Outcome::Settled(answer) if answer.status.is_success() => return Ok(answer),
                Outcome::Settled(answer) => {
                    return Err(PublishError::Refused(refused(answer.status, &answer.body)));
                }
                Outcome::Retry { cause, retry_after } => (cause, retry_after),
            };
            may_have_arrived |= cause.may_have_reached_server();
            pacing.handle_failure();
            let delay = pacing.delay(retry_after);
            let now = self.wiring.timer.now();
            let attempts = NonZeroU32::new(pacing.failures()).unwrap_or(NonZeroU32::MIN);
            if attempts >= self.attempts_max || now + delay > started + self.give_up_after {
                let (key, last) = (post.key.clone(), cause);
                return Err(match may_have_arrived {
                    true => PublishError::Unsettled { key, attempts, last },
                    false => PublishError::Unreachable { attempts, last },
                });
            }
            if let Some(OnRetry(on_retry)) = &self.on_retry {
                on_retry(&Retrying { cause, attempt: attempts.get().saturating_add(1), delay });
            }
            self.wiring.timer.wake_at(now + delay).await;
        }
    }

    /// Makes one attempt, and renews the credentials once if the hub answers 401.
    async fn attempt(&self, post: &Post, body: &Bytes) -> Outcome {
        let deadline = self.wiring.timer.now() + self.attempt_timeout;
        let first = self.send(post, body, Occasion::Attempt, deadline).await;
        match first {
            Outcome::Settled(Answer { status: StatusCode::UNAUTHORIZED, .. })
                if self.authorize.is_some() =>
            {
                self.send(post, body, Occasion::Unauthorized, deadline).await
            }
            outcome => outcome,
        }
    }

    async fn send(
        &self,
        post: &Post,
        body: &Bytes,
        occasion: Occasion,
        deadline: Instant,
    ) -> Outcome {
        let mut sending = Box::pin(self.exchange(post, body, occasion));
        let mut late = judge_at(Arc::clone(&self.wiring.timer), deadline);
        poll_fn(|cx| {
            if let Poll::Ready(outcome) = sending.as_mut().poll(cx) {
                return Poll::Ready(outcome);
            }
            late.as_mut().poll(cx).map(|()| Outcome::Retry {
                cause: Cause::NoResponse(self.attempt_timeout),
                retry_after: None,
            })
        })
        .await
    }

    async fn exchange(&self, post: &Post, body: &Bytes, occasion: Occasion) -> Outcome {
        match self.try_exchange(post, body, occasion).await {
            Ok(outcome) => outcome,
            Err(cause) => Outcome::Retry { cause, retry_after: None },
        }
    }

    async fn try_exchange(
        &self,
        post: &Post,
        body: &Bytes,
        occasion: Occasion,
    ) -> Result<Outcome, Cause> {
        let request = self.request(post, body, occasion).await?;
        let response = self.wiring.transport.send(request).await.map_err(Cause::Transport)?;
        let (head, body) = response.into_parts();
        let policy = StatusPolicy::default();
        if !head.status.is_success() && policy.verdict(head.status) == Verdict::Retry {
            let retry_after = retry_after(&head.headers, self.wiring.timer.wall());
            let cause = Cause::Status { status: head.status, retry_after };
            return Ok(Outcome::Retry { cause, retry_after });
        }
        let body = match head.status.is_success() {
            true => collect(body).await.map_err(Cause::Transport)?,
            false => self.explanation(body).await,
        };
        Ok(Outcome::Settled(Answer { status: head.status, body }))
    }

    /// Reads the explanation of a refusal as far as it comes soon. The status alone is final, so the
    /// request is not repeated for the sake of its body.
    async fn explanation(&self, mut body: Body) -> Bytes {
        let deadline = self.wiring.timer.now() + REFUSED_BODY_TIME_MAX;
        let mut late = judge_at(Arc::clone(&self.wiring.timer), deadline);
        let mut collected = BytesMut::new();
        poll_fn(|cx| {
            while collected.len() < ANSWER_BYTES_MAX {
                match Pin::new(&mut body).poll_frame(cx) {
                    Poll::Ready(Some(Ok(frame))) => {
                        collected.extend(frame.into_data().unwrap_or_default());
                    }
                    Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
                    Poll::Pending => return late.as_mut().poll(cx),
                }
            }
            Poll::Ready(())
        })
        .await;
        collected.freeze()
    }

    async fn request(
        &self,
        post: &Post,
        body: &Bytes,
        occasion: Occasion,
    ) -> Result<Request<Body>, Cause> {
        let mut request = Request::new(Body::from(body.clone()));
        *request.method_mut() = Method::POST;
        let unsendable =
            |error: BoxError| Cause::Transport(TransportError::new(Stage::Connect, error));
        let url = self.hub.join(&post.path).map_err(|error| unsendable(error.into()))?;
        *request.uri_mut() =
            Uri::try_from(url.as_str()).map_err(|error| unsendable(error.into()))?;
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(post.content_type));
        let key = HeaderValue::try_from(post.key.as_str());
        headers.insert(IDEMPOTENCY_KEY, key.expect("a key is visible ASCII"));
        headers.extend(post.headers.iter().cloned());
        if let Some(authorize) = &self.authorize {
            let credentials = authorize.run(occasion).await.map_err(Cause::Credentials)?;
            let (name, value) = credentials.into_parts();
            headers.insert(name, value);
        }
        Ok(request)
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Reads an answer to its end, or to its maximum size.
async fn collect(mut body: Body) -> Result<Bytes, TransportError> {
    let mut collected = BytesMut::new();
    while collected.len() < ANSWER_BYTES_MAX {
        match poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            None => break,
            Some(frame) => collected.extend(frame?.into_data().unwrap_or_default()),
        }
    }
    Ok(collected.freeze())
}

//! Publishes to a hub, exactly once.
//!
//! ```text
//!   publish, publish_all, publish_stream ──▶ Endpoint ──▶ Transport ──▶ POST /topics/{topic}
//!                                     the same key in every attempt     POST /events
//! ```
//!
//! [`Publisher`] and its builder are here. `stream` produces streams within a topic, `exchange` repeats one request until it is settled,
//! `draft` serializes drafts, and `error` has the ways in which publishing can fail.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_core::Stream;
use http::{HeaderName, HeaderValue};
use serde::Deserialize;

use crate::backoff::Backoff;
use crate::checks::{BuildError, checked_header, put_header, url_or_mistake};
use crate::credentials::{Authorize, Credentials, Occasion};
use crate::headers::secret;
use crate::signal::Retrying;
use crate::timer::Timer;
use crate::transport::Transport;
use crate::wiring::Wiring;

mod draft;
mod error;
mod exchange;
mod key;
mod stream;

use draft::Batch;
pub use draft::Draft;
pub use error::{PublishError, PublishManyError, RefusedPublish};
use exchange::{Answer, Endpoint, OnRetry, Post};
pub use key::{IdempotencyKey, InvalidIdempotencyKey};
pub use stream::{EndNotice, Producer, StreamPublisher};

/// Publishes events to a Tidings hub.
///
/// Every request carries an [`IdempotencyKey`] and is repeated with the same key until the hub has
/// answered. So no event is published twice, even if a connection breaks between the hub's commit
/// and its answer. Events published one after the other, or together, stay in order.
///
/// Cloning is cheap, and clones share their connections.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use tidings_client::{Draft, Publisher};
///
/// let hub = Publisher::new("http://localhost:8080")?;
/// let published = hub.publish(Draft::new("news", "hello")).await?;
/// println!("published as {}", published.id);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Publisher(Arc<Endpoint>);

/// An event that the hub has committed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// The event's ID.
    pub id: String,
}

/// A number of events that the hub has committed together.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Receipt {
    /// The number of events.
    pub committed: u64,
    /// Their IDs, in order.
    pub ids: Vec<String>,
}

impl Publisher {
    /// Makes a publisher with the default settings.
    ///
    /// # Errors
    ///
    /// If `hub` is not an absolute `http` or `https` URL.
    pub fn new(hub: &str) -> Result<Self, BuildError> {
        Self::builder(hub).build()
    }

    /// Describes a publisher with other settings. A [`Client`](crate::Client) makes publishers that
    /// share its connections.
    pub fn builder(hub: &str) -> PublisherBuilder {
        PublisherBuilder::new(Wiring::pooled(), hub)
    }

    /// Publishes one event.
    ///
    /// # Errors
    ///
    /// See [`PublishError`]. After [`PublishError::Unsettled`] the event may have been published.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes nothing back: the event may have been published.
    pub async fn publish(&self, draft: Draft) -> Result<Published, PublishError> {
        self.publish_with_key(draft, &IdempotencyKey::random()).await
    }

    /// Publishes one event with the caller's key: to settle a request of an earlier run, or to
    /// relay events that have a name of their own.
    ///
    /// A hub that still knows the key publishes nothing and answers with the ID of the event that
    /// it published before, whatever `draft` contains. Hubs remember keys for ten minutes or
    /// longer.
    ///
    /// # Errors
    ///
    /// As for [`publish`](Self::publish).
    ///
    /// # Cancel safety
    ///
    /// As for [`publish`](Self::publish).
    pub async fn publish_with_key(
        &self,
        draft: Draft,
        key: &IdempotencyKey,
    ) -> Result<Published, PublishError> {
        self.publish_one(draft, key, None).await
    }

    /// Publishes one event that was read from another hub, as
    /// [`publish_with_key`](Self::publish_with_key) does, and names the way it came.
    ///
    /// `via` is the value of the header `Relay-Via`: the hops, oldest first, separated by commas. A
    /// hub refuses an event that it has seen before, so a ring of relays comes to rest: see
    /// [`RefusedPublish::is_relay_loop`].
    ///
    /// # Errors
    ///
    /// As for [`publish`](Self::publish).
    ///
    /// # Cancel safety
    ///
    /// As for [`publish`](Self::publish).
    pub async fn publish_relayed(
        &self,
        draft: Draft,
        key: &IdempotencyKey,
        via: HeaderValue,
    ) -> Result<Published, PublishError> {
        self.publish_one(draft, key, Some(via)).await
    }

    async fn publish_one(
        &self,
        draft: Draft,
        key: &IdempotencyKey,
        via: Option<HeaderValue>,
    ) -> Result<Published, PublishError> {
        if let Some(path) = draft.path() {
            let content_type = "text/plain; charset=utf-8";
            let post = Post { path, content_type, key: key.clone(), headers: hops(via) };
            let answer = self.0.settle(&post, draft.into_data()).await?;
            let id = String::from_utf8_lossy(&answer.body).trim().to_owned();
            return Ok(Published { id });
        }
        let mut batch = Batch::new();
        batch.push(&draft);
        let receipt = self.settle_batch(batch, key, via).await?;
        let id = receipt.ids.into_iter().next().unwrap_or_default();
        Ok(Published { id })
    }

    /// Publishes many events in order, in requests of up to a thousand. The hub commits each
    /// request completely or not at all.
    ///
    /// # Errors
    ///
    /// [`PublishManyError`] has the number of events committed before the request that failed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes nothing back: any number may have been published.
    pub async fn publish_all(
        &self,
        drafts: impl IntoIterator<Item = Draft>,
    ) -> Result<Receipt, PublishManyError> {
        let mut drafts = drafts.into_iter().peekable();
        let mut total = Receipt { committed: 0, ids: Vec::new() };
        while drafts.peek().is_some() {
            let mut batch = Batch::new();
            while let Some(draft) = drafts.next_if(|draft| batch.has_room_for(draft)) {
                batch.push(&draft);
            }
            let receipt = self.settle_batch(batch, &IdempotencyKey::random(), None).await;
            let receipt = receipt
                .map_err(|source| PublishManyError { committed: total.committed, source })?;
            total.committed += receipt.committed;
            total.ids.extend(receipt.ids);
        }
        Ok(total)
    }

    /// Publishes a stream of events in order, and returns their number.
    ///
    /// Events that are ready at the same time share a request, so a slow stream is published event
    /// by event and a fast one in requests of up to a thousand. The stream is read on only after
    /// the last request has been committed. `progress` is called with the receipt of each request.
    ///
    /// # Errors
    ///
    /// As for [`publish_all`](Self::publish_all).
    ///
    /// # Cancel safety
    ///
    /// As for [`publish_all`](Self::publish_all).
    pub async fn publish_stream(
        &self,
        drafts: impl Stream<Item = Draft>,
        mut progress: impl FnMut(&Receipt),
    ) -> Result<u64, PublishManyError> {
        let mut drafts = pin!(drafts);
        let (mut committed, mut held, mut ended) = (0, None, false);
        while !ended {
            let mut batch = Batch::new();
            batch.extend(held.take());
            poll_fn(|cx| {
                loop {
                    match drafts.as_mut().poll_next(cx) {
                        Poll::Ready(Some(draft)) if batch.has_room_for(&draft) => {
                            batch.push(&draft);
                        }
                        Poll::Ready(Some(draft)) => {
                            held = Some(draft);
                            return Poll::Ready(());
                        }
                        Poll::Ready(None) => {
                            ended = true;
                            return Poll::Ready(());
                        }
                        Poll::Pending if batch.is_empty() => return Poll::Pending,
                        Poll::Pending => return Poll::Ready(()),
                    }
                }
            })
            .await;
            if !batch.is_empty() {
                let receipt = self.settle_batch(batch, &IdempotencyKey::random(), None).await;
                let receipt = receipt.map_err(|source| PublishManyError { committed, source })?;
                committed += receipt.committed;
                progress(&receipt);
            }
        }
        Ok(committed)
    }

    async fn settle_batch(
        &self,
        batch: Batch,
        key: &IdempotencyKey,
        via: Option<HeaderValue>,
    ) -> Result<Receipt, PublishError> {
        let path = "events".to_owned();
        let content_type = "application/json";
        let post = Post { path, content_type, key: key.clone(), headers: hops(via) };
        let Answer { status, body } = self.0.settle(&post, batch.into_json()).await?;
        serde_json::from_slice(&body).map_err(|_| {
            let detail = "the hub's answer is no receipt".to_owned();
            PublishError::Refused(RefusedPublish { status, problem: None, detail, index: None })
        })
    }
}

/// The header that names the hops by which a relayed event came.
fn hops(via: Option<HeaderValue>) -> Vec<(HeaderName, HeaderValue)> {
    via.into_iter().map(|via| (HeaderName::from_static("relay-via"), via)).collect()
}

/// Describes a [`Publisher`].
#[derive(Debug)]
#[must_use = "nothing is made before `build`"]
pub struct PublisherBuilder {
    endpoint: Endpoint,
    mistake: Option<BuildError>,
}

impl PublisherBuilder {
    pub(crate) fn new(wiring: Wiring, hub: &str) -> Self {
        let (hub, mistake) = url_or_mistake(hub);
        Self { endpoint: Endpoint::new(hub, wiring), mistake }
    }

    /// Adds a request header. Its value is kept out of `Debug` output, because it is often a
    /// secret. `Authorization` is replaced; any other header is added to those of the same name.
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        match checked_header(name, value) {
            Ok((name, value)) => {
                put_header(&mut self.endpoint.headers, name, secret(value));
            }
            Err(mistake) => {
                self.mistake.get_or_insert(mistake);
            }
        }
        self
    }

    /// Sends `Authorization: Bearer …` with a token that does not change.
    pub fn bearer(self, token: &str) -> Self {
        self.header(http::header::AUTHORIZATION, format!("Bearer {token}"))
    }

    /// Calls `make` for credentials before every attempt, and once more if the hub answers 401.
    pub fn authorize<F, Fut, E>(mut self, make: F) -> Self
    where
        F: Fn(Occasion) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Credentials, E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.endpoint.authorize = Some(Authorize::new(make));
        self
    }

    /// Sets the rule for the wait between attempts. By default it is 100 ms and a random excess
    /// that doubles from half a second to ten seconds.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.endpoint.backoff = backoff;
        self
    }

    /// Sets the maximum number of attempts. 10 by default.
    pub fn attempts_max(mut self, attempts_max: NonZeroU32) -> Self {
        self.endpoint.attempts_max = attempts_max;
        self
    }

    /// Sets how long one attempt may take. 30 s by default.
    pub fn attempt_timeout(mut self, attempt_timeout: Duration) -> Self {
        self.endpoint.attempt_timeout = attempt_timeout;
        self
    }

    /// Sets the time after which no further attempt is made. Five minutes by default and at most: a
    /// hub may forget a key after ten, and an attempt after that could publish an event twice.
    pub fn give_up_after(mut self, time: Duration) -> Self {
        self.endpoint.give_up_after = time.min(exchange::GIVE_UP_AFTER);
        self
    }

    /// Calls `on_retry` for each attempt that failed and will be repeated, before the wait. It must
    /// not block.
    pub fn on_retry(mut self, on_retry: impl Fn(&Retrying) + Send + Sync + 'static) -> Self {
        self.endpoint.on_retry = Some(OnRetry(Box::new(on_retry)));
        self
    }

    /// Sends requests through `transport` instead of the client's.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.endpoint.wiring.transport = Arc::new(transport);
        self
    }

    /// Uses `timer` as the clock instead of the client's.
    pub fn timer(mut self, timer: impl Timer) -> Self {
        self.endpoint.wiring.timer = Arc::new(timer);
        self
    }

    /// Makes the jitter repeatable.
    pub fn seed(mut self, seed: u64) -> Self {
        self.endpoint.seed = Some(seed);
        self
    }

    /// Makes the publisher. It connects when it first publishes.
    ///
    /// # Errors
    ///
    /// The first mistake in the builder's arguments.
    pub fn build(self) -> Result<Publisher, BuildError> {
        match self.mistake {
            Some(mistake) => Err(mistake),
            None => Ok(Publisher(Arc::new(self.endpoint))),
        }
    }
}
